"""Schemas of views that the store holds, the releases that reference them, and their removal.

A schema is kept as long as a release in force references it. Keys of a retired one expire by
themselves once their lookback has passed; collecting frees the memory now.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from feature_runtime.core.keys import watermark_key
from feature_runtime.core.moments import format_moment
from proviso.online.store import OnlineStore

BATCH = 1_000
_TIMELINE = re.compile(rb"fs:\{[^{}]*\}:([a-z][a-z0-9_]*):([0-9a-f]{16})")
_WATERMARK = re.compile(rb"fs:watermark:([a-z][a-z0-9_]*):([0-9a-f]{16})")


@dataclass(frozen=True, order=True)
class Schema:
    """A view under one of its definitions."""

    view: str
    schema: str


@dataclass(frozen=True)
class StoredSchema:
    """A schema in the store. keys: its timelines; complete: its watermark, if it has one."""

    of: Schema
    keys: int
    complete: int | None
    releases: tuple[str, ...]

    @property
    def retired(self) -> bool:
        """Whether no release references it."""
        return not self.releases

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "view": self.of.view,
            "schema": self.of.schema,
            "keys": self.keys,
            "watermark": None if self.complete is None else format_moment(self.complete),
            "releases": list(self.releases),
        }


def stored_schemas(
    store: OnlineStore, references: Mapping[str, Iterable[Schema]]
) -> list[StoredSchema]:
    """All schemas that the store or a release knows, sorted. references: by release id."""
    keys: Counter[Schema] = Counter()
    marked = set()
    for key in store.every_key():
        if schema := _of(_TIMELINE, key):
            keys[schema] += 1
        elif schema := _of(_WATERMARK, key):
            marked.add(schema)
    known = {name: frozenset(schemas) for name, schemas in references.items()}
    return [
        StoredSchema(
            schema,
            keys[schema],
            _complete(store, schema),
            tuple(name for name, schemas in known.items() if schema in schemas),
        )
        for schema in sorted({*keys, *marked}.union(*known.values()))
    ]


def collect(store: OnlineStore, schemas: Iterable[Schema], progress: Callable[[str], None]) -> int:
    """Removes some schemas, watermarks first; returns how many timelines. Safe to repeat.

    Without its watermark a schema counts as never written: if the removal is interrupted and the
    schema is written again, all of it is written.
    """
    doomed = frozenset(schemas)
    store.remove([watermark_key(one.view, one.schema) for one in doomed])
    removed = 0
    source = store.every_key()
    while some := list(islice(source, BATCH)):
        removed += store.remove([key for key in some if _of(_TIMELINE, key) in doomed])
    progress(f"{removed} keys removed")
    return removed


def _of(pattern: re.Pattern[bytes], key: bytes) -> Schema | None:
    found = pattern.fullmatch(key)
    return None if found is None else Schema(found[1].decode(), found[2].decode())


def _complete(store: OnlineStore, schema: Schema) -> int | None:
    mark = store.watermark(schema.view, schema.schema)
    return mark.complete or None if mark else None

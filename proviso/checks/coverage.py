"""Coverage: whether the store has the keys that a release will read (`proviso check coverage`).

A candidate that changes a view reads keys of another schema than the stable release. They are
backfilled beside the stable's before it gets traffic; this is the gate's evidence of that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from feature_runtime.core import timeline
from feature_runtime.core.keys import EntityId, entity_key, timeline_key
from feature_runtime.core.moments import format_moment, now
from feature_runtime.core.service import View
from proviso.checks.evidence import Evidence
from proviso.checks.options import AsOf, History, Store
from proviso.checks.registry import Check, CheckContext
from proviso.contracts.contract import Contract
from proviso.history.engines import history_engine
from proviso.online.store import OnlineStore, Watermark
from proviso.training.score import check_contract

KIND = "coverage"
METRIC = "feature_missing_rate"
BATCH = 1_000
_EXAMPLES = 5


@dataclass(frozen=True)
class ViewCoverage:
    """One view of a release: how far its schema is written, and how many entities have no key.

    live: entities with a visible row in the history; missing: those without a key, or with one
    that holds no row of the view; examples: some of them.
    """

    view: View
    watermark: Watermark | None
    live: int
    missing: int
    examples: tuple[str, ...]

    @property
    def complete(self) -> int | None:
        """All that becomes visible up to here is written; None: no writer has ever finished."""
        return self.watermark.complete or None if self.watermark else None

    def reasons(self) -> list[str]:
        """Why the release could not read its rows; empty when it could."""
        name = f"{self.view.name}, schema {self.view.schema}"
        found = []
        if self.complete is None:
            found.append(f"{name}: no watermark: no writer has ever finished")
        if self.live == 0:
            found.append(f"{name}: history has no live entity at this moment: nothing was verified")
        if self.missing:
            such = ", ".join(self.examples)
            found.append(f"{name}: {self.missing} of {self.live} live entities have no key: {such}")
        return found

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {
            "schema": self.view.schema,
            "watermark": None if self.complete is None else format_moment(self.complete),
            "live": self.live,
            "missing": self.missing,
            "examples": list(self.examples),
        }


def cover(
    contract: Contract,
    views: Sequence[View],
    history: Path,
    store: OnlineStore,
    t: int,
    progress: Callable[[str], None],
) -> list[ViewCoverage]:
    """Asks the store for a key of every entity that the history has a visible row of at `t`."""
    found = []
    for view in views:
        progress(f"{view.name}: asking for the keys of schema {view.schema}")
        stated = contract.view_by_name[view.name]
        mark = store.watermark(view.name, view.schema)
        found.append(
            view_coverage(
                view, mark, history_engine().visible_entities(contract, history, stated, t), store
            )
        )
    return found


def view_coverage(
    view: View,
    mark: Watermark | None,
    entities: Iterable[tuple[EntityId, ...]],
    store: OnlineStore,
) -> ViewCoverage:
    """Asks the store for the keys of some entities of a view, which must hold a row of it."""
    live = missing = 0
    examples: list[str] = []
    source = iter(entities)
    while some := list(islice(source, BATCH)):
        names = [entity_key(view.entities, ids) for ids in some]
        blobs = store.read([timeline_key(name, view.name, view.schema) for name in names])
        absent = [name for name, blob in zip(names, blobs, strict=True) if not _holds(view, blob)]
        live, missing = live + len(some), missing + len(absent)
        examples = sorted([*examples, *absent])[:_EXAMPLES]
    return ViewCoverage(view, mark, live, missing, tuple(examples))


def _holds(view: View, blob: bytes | None) -> bool:
    """Whether a key has at least one row that the pod can read."""
    if blob is None:
        return False
    try:
        rows = timeline.unpack(view.schema, blob)
    except timeline.TimelineError:
        return False
    return any(len(row.values) == len(view.features) for row in rows)


def evidence_of(release: str, found: Sequence[ViewCoverage], t: int) -> Evidence:
    """The evidence. A watermark behind `t` is a warning: the freshness check judges it."""
    reasons = [reason for one in found for reason in one.reasons()]
    if not found:
        reasons.append("the release reads no view: nothing was verified")
    warnings = [
        f"{one.view.name}: written up to {format_moment(one.complete)} only"
        for one in found
        if one.complete is not None and one.complete < t
    ]
    live, missing = sum(one.live for one in found), sum(one.missing for one in found)
    figures = {
        METRIC: missing / live if live else 1.0,
        "views": {one.view.name: one.as_dict() for one in found},
    }
    return Evidence(KIND, release, now(), t, tuple(reasons), tuple(warnings), figures)


@dataclass(frozen=True)
class CoverageOptions:
    """What `proviso check coverage` takes."""

    store: Store
    history: History
    as_of: AsOf = None


def _measure(context: CheckContext, options: CoverageOptions) -> Evidence:
    release, store = context.required_release(), options.store
    check_contract(release, context.contract)
    t = store.clock() if options.as_of is None else options.as_of
    found = cover(context.contract, context.views, options.history, store, t, context.progress)
    evidence = evidence_of(release.id, found, t)
    return replace(evidence, warnings=(*evidence.warnings, *store.warnings()))


def _text(evidence: Evidence) -> str:
    lines = [f"as of {format_moment(evidence.as_of)}"]
    for name, view in evidence.figures["views"].items():
        keys = f"{view['live'] - view['missing']} of {view['live']} live entities have a key"
        lines.append(
            f"{name}, schema {view['schema']}: {keys}, watermark {view['watermark'] or 'none'}"
        )
    return "\n".join([*lines, *(f"warning: {w}" for w in evidence.warnings), *evidence.reasons])


CHECK = Check(
    name=KIND,
    options=CoverageOptions,
    measure=_measure,
    figures=(METRIC,),
    stage="shadow",
    finding="populated keys",
    when_passed="every live entity has its key",
    text=_text,
)

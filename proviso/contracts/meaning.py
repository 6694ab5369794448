"""What gives a view's rows their meaning, as plain data; a view's schema is the hash of it.

Version 1's words are kept where they say everything: rows that were stored under the schema of a
version 1 contract are read by the same contract in version 2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proviso.contracts.sources import Column, EventsSource, ObservedRows, Source, TableSource

_AGGREGATE = frozenset({"name", "function", "of", "where", "dated", "window"})
"""Keys that every aggregate has in the hash; others only where they are stated."""


def source_meaning(
    source: EventsSource | TableSource, sources: Sequence[Source], keys: Mapping[str, str]
) -> dict[str, Any]:
    """A source without what is only said of it, or where it lies.

    keys: the file's column of each of the view's join keys.
    """
    label = version_1_label(source, sources)
    columns = {n: _column(c) for n, c in source.columns.items() if n != label}
    renamed = {key: column for key, column in keys.items() if key != column}
    meaning: dict[str, Any] = {"name": source.name, "event_timestamp": source.event_timestamp}
    meaning |= {"columns": columns, **({"keys": renamed} if renamed else {})}
    if isinstance(source, TableSource):
        return {**meaning, "created_timestamp": source.created_timestamp}
    meaning |= {"id": source.id, "arrival_timestamp": source.arrival_timestamp}
    meaning |= {"id_column": source.id_column} if source.id_column else {}
    if label is not None:
        known = source.late_columns[label].model_dump(mode="json")
        meaning["label"] = {"column": label, "known_at": known["column"], "delay": known["delay"]}
    return meaning


def aggregate_meaning(aggregate: Mapping[str, Any], label: str | None) -> dict[str, Any]:
    """An aggregate's plain data; label: version 1's, where the source has one."""
    stated = {k: v for k, v in aggregate.items() if k in _AGGREGATE or v is not None}
    if label is None or stated["dated"] != "known":
        return stated
    return {**stated, "dated": "label", "where": _version_1_where(stated["where"], label)}


def version_1_label(source: EventsSource | TableSource, sources: Sequence[Source]) -> str | None:
    """The only late column of a source, where it is a label as version 1 knows one."""
    observed = {
        s.label for s in sources if isinstance(s, ObservedRows) and s.rows_of == source.name
    }
    if isinstance(source, TableSource) or observed != source.late_columns.keys():
        return None
    for name, known in source.late_columns.items():
        column = source.columns[name]
        plain = column.dtype == "bool" and column.nullable and column.column is None
        return name if plain and known.delay is not None and len(observed) == 1 else None
    return None


def known_label(label: str) -> str:
    """The condition of version 2 for what version 1 counts without naming the label."""
    return f"{label} is not null"


def with_known_label(where: str | None, label: str) -> str:
    """A `where` of version 1 that does not name the label, in version 2."""
    return known_label(label) if where is None else f"({where}) and {known_label(label)}"


def _version_1_where(where: str | None, label: str) -> str | None:
    """What `with_known_label` was made of; any other condition as it is."""
    if where == known_label(label):
        return None
    end = f") and {known_label(label)}"
    made = where is not None and where.startswith("(") and where.endswith(end)
    return where[1 : -len(end)] if where is not None and made else where


def _column(column: Column) -> dict[str, Any]:
    stated = column.model_dump(mode="json", exclude={"description"}, exclude_defaults=True)
    return {"dtype": column.dtype, "scale": column.scale, **stated}

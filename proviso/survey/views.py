"""Views of a drafted source: for events a few counts, means and shares of each entity."""

from __future__ import annotations

from collections.abc import Iterator

from feature_runtime.core.moments import DAY
from proviso.survey.drafted import DraftAggregate, DraftColumn, DraftSource, DraftView, Span
from proviso.survey.spans import clocks_of_events, clocks_of_table

MOST_COLUMNS = 6
"""Columns that get aggregates: enough to start with, few enough to read."""
_WINDOWS = (1, 7, 30)
_NUMBERS = ("money", "int64", "float64")


def views_of(
    source: DraftSource, label: DraftColumn, span: Span, delay: int
) -> Iterator[DraftView]:
    """A view of each entity of events; one of a table, whose features are its columns.

    delay: how long after a row its label is known where no column says it.
    """
    if source.kind == "table":
        entities = tuple(key.entity for key in source.keys)
        yield DraftView(
            f"{source.name[:20]}_values".replace("__", "_"),
            source,
            entities,
            clocks_of_table(source),
        )
        return
    days = (span.end - span.first) // DAY + 1
    windows = tuple(window for window in _WINDOWS if 3 * window <= days) or (1,)
    aggregates = (
        *_of_columns(source, windows),
        *_of_late(source, label, windows[-1]),
        *_of_label(source, label, windows[-1]),
    )
    for key in source.keys:
        name = f"{key.entity.name}_{source.name[:20]}".rstrip("_")
        distinct = source.roles.table.column(key.physical).distinct
        clocks = clocks_of_events(source, distinct, days, windows[-1] * DAY + delay)
        yield DraftView(name, source, (key.entity,), clocks, aggregates)


def _of_columns(source: DraftSource, windows: tuple[int, ...]) -> Iterator[DraftAggregate]:
    yield DraftAggregate("rows", "count", windows)
    for column in source.usable[:MOST_COLUMNS]:
        name = column.name
        if column.dtype in _NUMBERS:
            scale = column.decimals if column.dtype == "float64" else None
            yield DraftAggregate(f"mean_{name}", "mean", windows[-2:], of=name, scale=scale)
        elif column.dtype == "bool":
            yield DraftAggregate(f"share_{name}", "share", windows[-1:], where=name)
        elif column.dtype == "string":
            yield DraftAggregate(f"usual_{name}", "most_frequent", windows[-1:], of=name, text=True)


def _of_late(source: DraftSource, label: DraftColumn, window: int) -> Iterator[DraftAggregate]:
    """Means of what is known only later, counted when it is known."""
    late = [c for c in source.columns if c.known_at is not None and c is not label]
    for column in late[:MOST_COLUMNS]:
        if column.dtype in _NUMBERS:
            name, scale = column.name, column.decimals if column.dtype == "float64" else None
            yield DraftAggregate(
                f"mean_{name}", "mean", (window,), of=name, scale=scale, known=True
            )


def _of_label(source: DraftSource, label: DraftColumn, window: int) -> Iterator[DraftAggregate]:
    """The share of the label, in the source that has it."""
    if label in source.columns:
        name = f"share_{label.name}"
        yield DraftAggregate(name, "share", (window,), where=label.name, known=True)

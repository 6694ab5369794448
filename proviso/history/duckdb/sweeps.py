"""Aggregates that are no sums: where the best, most frequent or distinct of a window changes.

An event cannot be taken away from a maximum, so these are computed from the places that each event
counts for (`proviso.history.steps`): of some entities at a time, all their runs in one pass. The
table `_swept` has a row for each place where one of them changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from proviso.history.duckdb.dating import Dating
from proviso.history.duckdb.engine import Engine
from proviso.history.duckdb.layout import Layout, Sweep
from proviso.history.steps import (
    Array,
    Keys,
    Spans,
    Steps,
    distinct,
    greatest,
    most_frequent,
    numbered_groups,
)

SWEPT = "_swept"
AT_ONCE = 1_000_000
"""Events that are swept at once, about 200 bytes each; those of one entity always are."""

_TYPES: Mapping[str, pa.DataType] = {
    "bigint": pa.int64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "varchar": pa.string(),
}


@dataclass(frozen=True)
class Numbering:
    """An entity's places 0 <= p < size stand for the runs, or states, first + p * every.

    Those from `end` on stand for nothing: an event that leaves there never leaves.
    """

    size: int
    end: int
    first: int = 0
    every: int = 1


@dataclass(frozen=True)
class _Events:
    """Events of a dating, as `make_swept` has them read."""

    table: pa.Table
    size: int

    def numbers(self, name: str) -> Keys:
        """A column of integers."""
        return np.asarray(self.table[name].to_numpy(), dtype=np.int64)

    def spans(self, window: int) -> Spans:
        """The keys that each event counts for."""
        first = self.numbers("_entity") * self.size
        return Spans(first + self.numbers("_in"), first + self.numbers(f"_out{window}"))


@dataclass(frozen=True)
class _Column:
    """The steps of an aggregate; their values are places in `dictionary` where there is one."""

    steps: Steps
    dictionary: pa.Array | None = None

    def at(self, keys: Keys, engine_type: str) -> pa.Array:
        """Its values at some keys, null where it has none."""
        values, known = self.steps.at(keys)
        if self.dictionary is not None:
            return self.dictionary.take(pa.array(values, pa.int64(), mask=~known))
        typed = values.astype(np.bool_) if engine_type == "boolean" else values
        return pa.array(typed, _TYPES[engine_type], mask=~known)


def create_swept(engine: Engine, layout: Layout) -> None:
    """Makes the table without a row."""
    columns = "".join(f", {sweep.name} {sweep.type}" for sweep in layout.sweeps)
    engine.execute(f"create or replace temp table {SWEPT} (_entity integer, _at bigint{columns})")


def add_swept(
    engine: Engine, layout: Layout, queries: Mapping[Dating, str], numbering: Numbering, first: int
) -> None:
    """Adds what the events of some entities make.

    queries: by dating, events in the order of their moments, event timestamps and ids: `_entity`
    counted from `first`, `_moment`, the places `_in` and `_out<window>`, and the sweeps' values.
    """
    columns: dict[str, _Column] = {}
    for dated, query in queries.items():
        events = _Events(engine.batches(query).read_all(), numbering.size)
        mine = (sweep for sweep in layout.sweeps if sweep.dated == dated)
        columns |= {sweep.name: _swept(sweep, events) for sweep in mine}
    keys = np.unique(np.concatenate([column.steps.keys for column in columns.values()]))
    keys = keys[keys % numbering.size < numbering.end]
    entity, place = np.divmod(keys, numbering.size)
    table = {
        "_entity": pa.array(entity + first, pa.int32()),
        "_at": pa.array(numbering.first + place * numbering.every, pa.int64()),
        **{sweep.name: columns[sweep.name].at(keys, sweep.type) for sweep in layout.sweeps},
    }
    engine.lend("_lent", pa.table(table))
    engine.execute(f"insert into {SWEPT} select * from _lent")


def _swept(sweep: Sweep, events: _Events) -> _Column:
    column = events.table[sweep.value].combine_chunks()
    counting = np.asarray(column.is_valid())
    values, dictionary = _numbers(column.drop_null())
    spans = events.spans(sweep.window).take(counting)
    if sweep.kind in {"greatest", "least"}:
        sign = 1 if sweep.kind == "greatest" else -1
        steps = greatest(spans, sign * values)
        return _Column(Steps(steps.keys, sign * steps.values, steps.known), dictionary)
    if sweep.kind in {"frequent", "distinct"}:
        return _of_groups(sweep, spans, events.numbers("_entity")[counting], values, dictionary)
    order = np.arange(len(spans))
    steps = greatest(spans, -order if sweep.kind == "first" else order)
    if sweep.kind == "age":
        return _Column(_picked(steps, events.numbers("_moment")[counting]))
    return _Column(_picked(steps, values), dictionary)


def _of_groups(
    sweep: Sweep, spans: Spans, entities: Keys, values: Array, dictionary: pa.Array | None
) -> _Column:
    """What depends on how often each value of an entity counts."""
    distinct_values, codes = None, values
    if dictionary is None:
        distinct_values, codes = np.unique(values, return_inverse=True)
    groups = numbered_groups(entities, codes)
    if sweep.kind == "distinct":
        return _Column(distinct(spans, groups))
    steps = most_frequent(spans, groups, codes)
    if distinct_values is None:
        return _Column(steps, dictionary)
    return _Column(_picked(steps, distinct_values))


def _picked(steps: Steps, values: Array) -> Steps:
    """Steps over places in `values`, which may be negated, as steps over what lies there."""
    places = np.where(steps.known, np.abs(steps.values), 0)
    found = values[places] if len(values) else values[:0]
    return Steps(steps.keys, found, steps.known)


def _numbers(column: pa.Array) -> tuple[Array, pa.Array | None]:
    """Values as numbers in their order; of strings their places among all, by their bytes."""
    if not pa.types.is_string(column.type):
        values = np.asarray(column.to_numpy(zero_copy_only=False))
        return (values + 0.0 if values.dtype.kind == "f" else values), None  # -0.0 is 0.0
    encoded = column.dictionary_encode()
    order = np.asarray(pc.sort_indices(encoded.dictionary).to_numpy(), dtype=np.int64)
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order))
    codes = np.asarray(encoded.indices.to_numpy(), dtype=np.int64)
    return places[codes], encoded.dictionary.take(pa.array(order))

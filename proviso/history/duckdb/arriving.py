"""Rows of on-event views as transactions arrive: the batch's own query over what may still count.

A row needs only its entity's events within the widest window before the latest one, so that is
all that is kept. Every part is loaded as `features` loads a file, and computed by the same SQL:
the rows are those of the batch to the bit (docs/streaming.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from feature_runtime.core.availability import Row
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract, FeatureView
from proviso.history.duckdb.dating import BY_EVENT, dating_of
from proviso.history.duckdb.engine import Engine, connect, names, quoted
from proviso.history.duckdb.features import Span, computed
from proviso.history.duckdb.judging import judge
from proviso.history.duckdb.quarantine import content
from proviso.history.duckdb.source import columns_of, said_of
from proviso.history.duckdb.transactions import events_of, load_transactions
from proviso.history.values import EntityRow, Ids, JudgedRow

_HELD, _FRESH, _KNOWN = "_held", "_fresh", "_known_ids"
_FETCH = 20_000
_PRUNE_AFTER = 100_000


@contextmanager
def open_arrivals(
    contract: Contract, views: Sequence[FeatureView], memory: str
) -> Iterator[Arriving]:
    """What has arrived and may still count for some on-event views, in an engine of its own.

    A stream carries the rows that are observed. Raises InputError for a view of another source.
    """
    rows = contract.observations_of().rows
    for view in views:
        if contract.source_of(view).name != rows.name:
            where, found = f"feature_views[{view.name}].source", str(view.source)
            wanted = f"{rows.name}, which the stream carries"
            raise InputError.of(where, found, wanted, code="sources_unsupported")
    with connect(memory) as engine:
        yield Arriving(engine, contract, views)


class Arriving:
    """What has arrived and may still count, in an engine of its own; the rest may spill."""

    def __init__(self, engine: Engine, contract: Contract, views: Sequence[FeatureView]) -> None:
        self._engine, self._contract, self._views = engine, contract, views
        self._rows = contract.observations_of().rows
        self._said = content(said_of(self._rows, columns_of(contract, self._rows)))
        self._made = False
        self._since_pruned = 0
        self.fresh = 0
        """Transactions whose rows have not been published."""

    def take(self, part: Path, *, fresh: bool) -> int:
        """Adds a file of transactions; fresh: their rows are wanted. Returns how many."""
        rows = load_transactions(self._engine, self._contract, part).rows
        ids, keys = quoted(self._contract.observations_of().id), self._keys()
        wanted = "true" if fresh else "false"
        for table, query in {
            _HELD: f"select * from {events_of(self._rows)}",
            _KNOWN: f"select {ids}::varchar as _id, {self._said} as _said"
            f" from {events_of(self._rows)}",
            _FRESH: f"select {keys}, _arrival from {events_of(self._rows)} where {wanted}",
        }.items():
            into = f"insert into {table}" if self._made else f"create temp table {table} as"
            self._engine.execute(f"{into} {query}")
        self._made = True
        self._since_pruned += rows
        if fresh:
            self.fresh += rows
        elif not self.fresh:
            self._prune()
        return rows

    def published(self) -> None:
        """Says that all rows have been published."""
        self._engine.execute(f"delete from {_FRESH}")
        self.fresh = 0
        self._prune()

    def judged(self, messages: Sequence[Mapping[str, str]]) -> list[JudgedRow]:
        """The rows that messages state as text by column, each with what is wrong with it."""
        return judge(self._engine, self._contract, messages) if messages else []

    def known(self, ids: Sequence[str]) -> dict[str, int]:
        """By those of the ids that have arrived before: what their rows said."""
        if not self._made:
            return {}
        query = f"select _id, _said from {_KNOWN} semi join (select unnest(?) as _id) using (_id)"
        return dict(self._engine.execute(query, [list(ids)]).fetchall())

    def last_arrivals(self, view: FeatureView, entities: Sequence[Ids]) -> dict[Ids, int]:
        """The latest arrival of each of some entities; those without one are left out."""
        if not self._made:
            return {}
        joined = self._contract.join_keys(view)
        keys = names(*joined)
        asked = ", ".join(f"unnest(?) as {quoted(key)}" for key in joined)
        columns = [[ids[place] for ids in entities] for place in range(len(joined))]
        query = (
            f"select {keys}, max(_arrival) from {_HELD}"
            f" semi join (select {asked}) using ({keys}) group by all"
        )
        found = self._engine.execute(query, columns).fetchall()
        return {tuple(ids): last for *ids, last in found}

    def rows(self, view: FeatureView) -> Iterator[EntityRow]:
        """The rows that the fresh arrivals make, an entity's next to each other."""
        contract, keys = self._contract, names(*self._contract.join_keys(view))
        first, last = self._engine.row(f"select min(_arrival), max(_arrival) from {_FRESH}")
        if first is None:
            return
        self._engine.execute(
            f"create or replace temp table {events_of(self._rows)} as select * from {_HELD}"
            f" semi join {_FRESH} using ({keys})"
        )
        features = names(*(feature.name for feature in view.features))
        with computed(self._engine, contract, view, Span(first, last + 1)) as made:
            query = (
                f"select {keys}, epoch_us(event_ts), epoch_us(created_ts), {features} from"
                f" (select *, epoch_us(created_ts) - {view.delay_to_readable:d} as _arrival"
                f" from ({made.query})) semi join {_FRESH} using ({keys}, _arrival)"
                f" order by {keys}, event_ts, created_ts"
            )
            cursor, width = self._engine.execute(query), len(view.entities)
            while found := cursor.fetchmany(_FETCH):
                for cells in found:
                    event, created = cells[width : width + 2]
                    row = Row(event, created, tuple(cells[width + 2 :]), event)
                    yield EntityRow(tuple(cells[:width]), row)

    def _prune(self) -> None:
        """Lets go of what no later row can count, once that is much."""
        if self._since_pruned < _PRUNE_AFTER:
            return
        kept = " or ".join(condition for view in self._views for condition in self._kept(view))
        self._engine.execute(
            f"create or replace temp table {_HELD} as select * from {_HELD} qualify {kept}"
        )
        self._since_pruned = 0

    def _kept(self, view: FeatureView) -> Iterator[str]:
        """Windows end at the latest event, which only moves on; late ones must come after."""
        of_entity = f"over (partition by {names(*self._contract.join_keys(view))})"
        widest = {BY_EVENT: 1}
        for aggregate in view.aggregates:
            dated = dating_of(self._contract, view, aggregate)
            widest[dated] = max(widest.get(dated, 1), aggregate.window)
        for dated, window in widest.items():
            yield f"{dated.moment} > max(_event) {of_entity} - {window:d}"
        yield f"_arrival = max(_arrival) {of_entity}"

    def _keys(self) -> str:
        return names(*self._contract.key_columns(self._rows))

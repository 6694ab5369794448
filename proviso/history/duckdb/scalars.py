"""The contract's scalar SQL on single rows, for the oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import Any

from feature_runtime.core.availability import Value
from proviso.contracts.contract import Aggregate, Contract, FeatureView
from proviso.history.duckdb.aggregates import aggregate_where, feature_columns
from proviso.history.duckdb.engine import Engine, names

_AT_ONCE = 64


class EngineScalars:
    """Evaluates one contract's conditions and features; results are kept, since a query is slow."""

    def __init__(self, engine: Engine, contract: Contract) -> None:
        self._engine = engine
        self._known: dict[tuple[object, ...], Any] = {}
        self._where = cache(partial(_where, contract))
        self._features = {view.name: feature_columns(view) for view in contract.feature_views}

    def holds(
        self, view: FeatureView, aggregate: Aggregate, rows: Sequence[Mapping[str, Any]]
    ) -> list[bool]:
        """Whether the aggregate's condition is true for the columns of each row."""
        where = self._where(view.name, aggregate)
        cases = [(where, *row.items()) for row in rows]
        self._judge(where, [case for case in dict.fromkeys(cases) if case not in self._known])
        return [self._known[case] for case in cases]

    def features(self, view: FeatureView, totals: Sequence[int]) -> tuple[Value, ...]:
        """The view's features, given the total of each of its aggregates."""
        named = zip(totals, view.aggregates, strict=True)
        table = ", ".join(f"{total}::hugeint as {names(a.name)}" for total, a in named)
        query = f"select {self._features[view.name]} from (select {table})"
        if (query,) not in self._known:
            self._known[(query,)] = self._engine.row(query)
        values: tuple[Value, ...] = self._known[(query,)]
        return values

    def _judge(self, where: str, cases: Sequence[tuple[Any, ...]]) -> None:
        """Keeps whether the condition holds for the columns of each case."""
        for first in range(0, len(cases), _AT_ONCE):
            some = cases[first : first + _AT_ONCE]
            columns = names(*(name for name, _ in some[0][1:]))
            cells = [value for _, *pairs in some for _, value in pairs]
            rows = ", ".join(f"({i:d}{', ?' * (len(c) - 1)})" for i, c in enumerate(some))
            self._engine.execute(
                f"select _i, {where} from (values {rows}) _cases(_i, {columns})", cells
            )
            for i, holds in self._engine.fetchall():
                self._known[some[i]] = bool(holds)


def _where(contract: Contract, view: str, aggregate: Aggregate) -> str:
    return aggregate_where(contract, contract.view_by_name[view], aggregate)

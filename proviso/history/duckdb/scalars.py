"""The contract's scalar SQL on single rows, for the oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from feature_runtime.core.availability import Value
from proviso.contracts.contract import Aggregate, Contract, FeatureView
from proviso.contracts.publication import of_table
from proviso.history.duckdb.aggregates import feature_columns
from proviso.history.duckdb.engine import Engine, names
from proviso.history.duckdb.layout import aggregate_where

_AT_ONCE = 64


class EngineScalars:
    """Evaluates one contract's conditions and features; results are kept, since a query is slow."""

    def __init__(self, engine: Engine, contract: Contract) -> None:
        self._engine = engine
        self._known: dict[tuple[object, ...], Any] = {}
        self._where = {
            (view.name, aggregate.name): aggregate_where(contract, view, aggregate)
            for view in contract.feature_views
            for aggregate in view.aggregates
        }
        self._features = {
            v.name: feature_columns(contract, v) for v in contract.feature_views if not of_table(v)
        }

    def holds(
        self, view: FeatureView, aggregate: Aggregate, rows: Sequence[Mapping[str, Any]]
    ) -> list[bool | None]:
        """Whether the aggregate's condition is true for the columns of each row."""
        where = self._where[view.name, aggregate.name]
        cases = [(where, *row.items()) for row in rows]
        self._judge(where, [case for case in dict.fromkeys(cases) if case not in self._known])
        return [self._known[case] for case in cases]

    def features(self, view: FeatureView, values: Sequence[Value]) -> tuple[Value, ...]:
        """The view's features, given the value of each of its aggregates."""
        case = (view.name, *((type(value), value) for value in values))
        if case not in self._known:
            named = zip(values, view.aggregates, strict=True)
            table = ", ".join(f"{_typed(value)} as {names(a.name)}" for value, a in named)
            query = f"select {self._features[view.name]} from (select {table})"
            stated = [value for value in values if isinstance(value, str | float)]
            self._known[case] = self._engine.row(query, stated)
        found: tuple[Value, ...] = self._known[case]
        return found

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
                self._known[some[i]] = holds


def _typed(value: Value) -> str:
    """A value of an aggregate as SQL; `?` for what is not a whole number or a truth value."""
    if isinstance(value, str | float):
        return "?::varchar" if isinstance(value, str) else "?::double"
    return "null" if value is None else f"{value!r}::{_KINDS[type(value)]}"


_KINDS: Mapping[type, str] = {bool: "boolean", int: "hugeint"}

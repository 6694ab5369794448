"""The contract's scalar SQL on single rows, for the oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from feature_runtime.core.availability import Value
from proviso.contracts.contract import Aggregate, Contract, FeatureView
from proviso.contracts.definitions import where_scalar
from proviso.contracts.publication import of_table
from proviso.history.duckdb.aggregates import feature_columns
from proviso.history.duckdb.engine import Engine, names

_Cells = tuple[Any, ...]
_CASES = "_cases"
_CELLS: Mapping[str, pa.DataType] = {
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "string": pa.string(),
}
"""The types of columns by their dtypes; others are whole numbers (money, moments)."""


class EngineScalars:
    """Evaluates one contract's conditions and features; results are kept, since a query is slow."""

    def __init__(self, engine: Engine, contract: Contract) -> None:
        self._engine = engine
        self._known: dict[tuple[object, ...], Any] = {}
        self._judged: dict[_Condition, dict[_Cells, bool | None]] = {}
        self._where = {
            (view.name, aggregate.name): _condition(contract, view, aggregate)
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
        condition = self._where[view.name, aggregate.name]
        cases = [tuple(row[name] for name in condition.columns) for row in rows]
        known = self._judged.setdefault(condition, {})
        known.update(self._judge(condition, [c for c in dict.fromkeys(cases) if c not in known]))
        return [known[case] for case in cases]

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

    def _judge(self, condition: _Condition, cases: Sequence[_Cells]) -> dict[_Cells, bool | None]:
        """Whether the condition holds for the cells of each case."""
        if not cases:
            return {}
        cells = zip(zip(*cases, strict=True), condition.types, strict=True)
        columns = [pa.array(list(column), kind) for column, kind in cells]
        table = pa.table([pa.array(range(len(cases))), *columns], ["_i", *condition.columns])
        self._engine.lend(_CASES, table)
        self._engine.execute(f"select _i, {condition.sql} from {_CASES}")
        return {cases[i]: holds for i, holds in self._engine.fetchall()}


@dataclass(frozen=True)
class _Condition:
    """A condition's SQL and the columns that it reads, with their Arrow types."""

    sql: str
    columns: tuple[str, ...]
    types: tuple[pa.DataType, ...]


def _condition(contract: Contract, view: FeatureView, aggregate: Aggregate) -> _Condition:
    """The condition of an aggregate; without one, `true` over no column."""
    scalar = where_scalar(contract, view, aggregate)
    if scalar is None:
        return _Condition("true", (), ())
    stated = contract.source_of(view).columns
    columns = tuple(sorted(scalar.columns))
    types = tuple(_CELLS.get(stated[name].dtype, pa.int64()) for name in columns)
    return _Condition(scalar.sql(), columns, types)


def _typed(value: Value) -> str:
    """A value of an aggregate as SQL; `?` for what is not a whole number or a truth value."""
    if isinstance(value, str | float):
        return "?::varchar" if isinstance(value, str) else "?::double"
    return "null" if value is None else f"{value!r}::{_KINDS[type(value)]}"


_KINDS: Mapping[type, str] = {bool: "boolean", int: "hugeint"}

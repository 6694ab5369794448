"""The contract's SQL: small scalar expressions, parsed, checked, and rendered from their tree.

Two places state SQL: a feature's `sql` (over its view's aggregates) and an aggregate's `where`
(over source columns). Both are restricted to what every engine computes alike: the arithmetic is
exact, over integers, until at most one division ends it (docs/time.md: every ratio is one
division). What an engine runs is rendered from the tree that was judged, never the file's text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

Kind = Literal["bool", "int", "float", "string", "null", "rounded"]
"""What an expression yields; `rounded`: a column of doubles that a division has made."""
MAX_NESTING = 20

_COMMENT = ("--", "/*", ";")
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul)
_COMPARISON = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE)
_CAST_TYPES: dict[str, Kind] = {"DOUBLE": "float", "BIGINT": "int"}
_ALLOWED = (
    "+ - * /, comparisons, in, and/or/not, is null, case, coalesce, nullif, abs, sqrt, greatest, "
    "least, cast to double or bigint, numbers, strings, true, false, null"
)


class SqlError(ValueError):
    """An expression that the contract may not state: found, wanted, why, and the problem's code."""

    def __init__(
        self, found: str, wanted: str, why: str = "", code: str = "sql_not_allowed"
    ) -> None:
        super().__init__(f"found {found}, wanted {wanted}")
        self.found, self.wanted, self.why, self.code = found, wanted, why, code


@dataclass(frozen=True)
class Scalar:
    """A judged expression: what it yields, the columns it reads, and its tree."""

    kind: Kind
    columns: frozenset[str]
    tree: exp.Expr

    def sql(self, dialect: str = "duckdb") -> str:
        """The expression for an engine, every column quoted."""
        tree = self.tree.copy()
        for identifier in tree.find_all(exp.Identifier):
            identifier.set("quoted", True)
        return tree.sql(dialect=dialect)


@dataclass(frozen=True)
class _Type:
    """What a node yields; `exact` until a division or a root has rounded it."""

    kind: Kind
    exact: bool = True


def parse_scalar(text: str, columns: Mapping[str, Kind]) -> Scalar:
    """A judged expression over `columns`. Raises SqlError."""
    tree = _parse(text)
    try:
        judged = _judge(tree, columns)
        names = frozenset(node.name for node in tree.find_all(exp.Column))
    except RecursionError:
        raise _too_deep() from None
    return Scalar(judged.kind, names, tree)


def column_scalar(name: str, columns: Mapping[str, Kind]) -> Scalar:
    """One of the columns by its name, also where SQL would read the name as something else."""
    return Scalar(_type(columns[name]).kind, frozenset({name}), exp.column(exp.to_identifier(name)))


def in_units(scalar: Scalar, units: int) -> Scalar:
    """A column of whole units as a number of what they make up: one division."""
    tree = exp.Div(this=scalar.tree.copy(), expression=exp.Literal.number(units))
    return Scalar("float", scalar.columns, tree)


def _parse(text: str) -> exp.Expr:
    for sign in _COMMENT:
        if sign in text:
            raise SqlError(f"`{sign}` in `{text}`", "one expression without comments")
    if text.count("(") > MAX_NESTING:
        raise _too_deep()
    try:
        trees = sqlglot.parse(text, dialect="duckdb")
    except RecursionError:
        raise _too_deep() from None
    except SqlglotError:
        raise SqlError(f"`{text}`", "a scalar SQL expression") from None
    if len(trees) != 1 or trees[0] is None:
        raise SqlError(f"`{text}`", "a scalar SQL expression")
    return trees[0]


def _too_deep() -> SqlError:
    return SqlError("an expression nested too deep", f"at most {MAX_NESTING} parentheses")


def _judge(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    if not isinstance(node, exp.Expr):  # sqlglot reads `@` as abs() of nothing
        raise SqlError("an operator without its operand", "a scalar SQL expression")
    rule = _RULES.get(type(node))
    if rule is None:
        why = "what is not on this list may differ between engines"
        raise SqlError(f"`{node.sql(dialect='duckdb')}`", _ALLOWED, why)
    return rule(node, columns)


def _column(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    parts = node.parts if isinstance(node, exp.Column) else []
    plain = len(parts) == 1 and not parts[0].args.get("quoted")
    if not plain or node.name not in columns:
        wanted = f"one of {', '.join(sorted(columns))}" if columns else "no column"
        raise SqlError(f"column {node.sql(dialect='duckdb')}", wanted)
    return _type(columns[node.name])


def _type(kind: Kind) -> _Type:
    return _Type("float", exact=False) if kind == "rounded" else _Type(kind)


def _literal(node: exp.Expr, _columns: Mapping[str, Kind]) -> _Type:
    if not isinstance(node, exp.Literal):
        raise SqlError(f"`{node.sql(dialect='duckdb')}`", "a number or a string")
    if node.is_string:
        return _Type("string")
    value = float(node.name)
    if abs(value) > 2**53:
        raise SqlError(f"`{node.name}`", "a number below 2^53", "beyond it doubles skip integers")
    if node.name.isdigit():
        return _Type("int")
    return _Type("float", exact=value.is_integer())


def _boolean(_node: exp.Expr, _columns: Mapping[str, Kind]) -> _Type:
    return _Type("bool")


def _null(_node: exp.Expr, _columns: Mapping[str, Kind]) -> _Type:
    return _Type("null")


def _same(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    return _judge(node.this, columns)


def _sign(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    return _number(node.this, columns)


def _operation(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    """+ - *: both sides exact, so that no order of work changes a bit."""
    left, right = (_exact(side, columns) for side in (node.this, node.expression))
    return _Type(_unify(node, [left, right]).kind)


def _division(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    for side in (node.this, node.expression):
        _exact(side, columns)
    return _Type("float", exact=False)


def _root(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    _number(node.this, columns)
    return _Type("float", exact=False)


def _comparison(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    _unify(node, [_judge(side, columns) for side in (node.this, node.expression)])
    return _Type("bool")


def _membership(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    """in: any of a list of values, all of one kind."""
    values = node.args.get("expressions") or []
    if not values or set(node.args) - {"this", "expressions"}:
        raise SqlError(f"`{node.sql(dialect='duckdb')}`", "in with a list of values")
    _unify(node, [_judge(value, columns) for value in (node.this, *values)])
    return _Type("bool")


def _logic(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    for side in (node.this, node.args.get("expression")):
        if isinstance(side, exp.Expr):
            _truth(side, columns)
    return _Type("bool")


def _is(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    _judge(node.this, columns)
    if not isinstance(node.expression, exp.Null):
        raise SqlError(f"`{node.sql(dialect='duckdb')}`", "is null or is not null")
    return _Type("bool")


def _choice(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    """coalesce, nullif, greatest, least: one of the arguments, all of one kind."""
    rest = node.args.get("expressions") or [node.args.get("expression")]
    arguments = [node.this, *(argument for argument in rest if argument is not None)]
    return _unify(node, [_judge(argument, columns) for argument in arguments])


def _case(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    branches = node.args["ifs"]
    default = node.args.get("default")
    if node.this is not None:
        raise SqlError(f"`{node.sql(dialect='duckdb')}`", "case when <condition> then ...")
    for branch in branches:
        _truth(branch.this, columns)
    results = [branch.args["true"] for branch in branches]
    results += [] if default is None else [default]
    return _unify(node, [_judge(result, columns) for result in results])


def _cast(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    before = _judge(node.this, columns)
    kind = _CAST_TYPES.get(node.args["to"].sql(dialect="duckdb"))
    if kind is None:
        raise SqlError(f"`{node.sql(dialect='duckdb')}`", "cast to double or bigint")
    if before.kind == "string":
        why = "engines read text differently"
        raise SqlError(f"`{node.sql(dialect='duckdb')}`", "a cast of a number", why)
    if kind == "int" and not (before.exact and before.kind in {"int", "bool", "null"}):
        why = "engines round differently"
        raise SqlError(f"`{node.sql(dialect='duckdb')}`", "bigint of integers only", why)
    return _Type(kind, before.exact)


def _exact(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    found = _number(node, columns)
    if not found.exact:
        raise SqlError(
            f"arithmetic on `{node.sql(dialect='duckdb')}`",
            "exact integers up to at most one division, which ends the arithmetic",
            "batch, incremental and streamed results must be equal to the bit",
        )
    return found


def _number(node: exp.Expr, columns: Mapping[str, Kind]) -> _Type:
    found = _judge(node, columns)
    if found.kind in {"bool", "string"}:
        kind = "boolean" if found.kind == "bool" else "string"
        raise SqlError(f"arithmetic on the {kind} `{node.sql(dialect='duckdb')}`", "a number")
    return found


def _truth(node: exp.Expr, columns: Mapping[str, Kind]) -> None:
    found = _judge(node, columns)
    if found.kind not in {"bool", "null"}:
        raise SqlError(f"`{node.sql(dialect='duckdb')}` as a condition", "true or false")


def _unify(node: exp.Expr, types: Iterable[_Type]) -> _Type:
    """The kind that all have in common; integers among doubles are doubles."""
    known = list(types)
    kinds = {t.kind for t in known} - {"null"}
    exact = all(t.exact for t in known)
    if kinds == {"int", "float"}:
        return _Type("float", exact)
    if len(kinds) > 1:
        wanted = "numbers, strings or truth values, not two of them"
        raise SqlError(f"`{node.sql(dialect='duckdb')}`", wanted)
    return _Type(next(iter(kinds), "null"), exact)


_RULES: Mapping[type[exp.Expr], Callable[[exp.Expr, Mapping[str, Kind]], _Type]] = {
    exp.Column: _column,
    exp.Literal: _literal,
    exp.Boolean: _boolean,
    exp.Null: _null,
    exp.Paren: _same,
    exp.Neg: _sign,
    exp.Abs: _sign,
    **dict.fromkeys(_ARITHMETIC, _operation),
    exp.Div: _division,
    exp.Sqrt: _root,
    **dict.fromkeys(_COMPARISON, _comparison),
    exp.In: _membership,
    exp.And: _logic,
    exp.Or: _logic,
    exp.Not: _logic,
    exp.Is: _is,
    exp.Coalesce: _choice,
    exp.Nullif: _choice,
    exp.Greatest: _choice,
    exp.Least: _choice,
    exp.Case: _case,
    exp.Cast: _cast,
}

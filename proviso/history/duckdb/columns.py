"""A column of a source's files: the types it may have, its values, and what is wrong with them.

A column of the contract's source becomes one SQL expression that never fails: what cannot be
converted is null there, and its checks say why. Types are those that pyarrow, pandas, polars, Spark
and DuckDB write: a column that is null in every row (type NULL) fits any column of the contract.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from feature_runtime.core.encode import MODEL_LIMIT
from feature_runtime.core.keys import INTEGER_ID, MAX_ID_BYTES, STRING_ID
from feature_runtime.core.values import MAX_TEXT_BYTES
from proviso.history.duckdb.engine import literal, quoted
from proviso.history.values import MAX_MOMENT

Kind = Literal[
    "moment", "string", "integer", "id", "label", "money", "int64", "float64", "bool", "text",
    "timestamp",
]  # fmt: skip


_NULL = '"NULL"'
_SIGNED = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT"}
_INTEGERS = _SIGNED | {"UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "HUGEINT", "UHUGEINT"}
_DIGITS = {"FLOAT": 24, "DOUBLE": 53}
"""Floating types and the bits of their significands."""
FLOATING = _DIGITS.keys()
_NANOSECONDS = {"TIMESTAMP_NS", "TIMESTAMPTZ_NS"}
_MOMENTS = {"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP WITH TIME ZONE"} | _NANOSECONDS
_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_EXACT = 2**53
_NOISE, _RELATIVE_NOISE = 1e-6, 2.0**-50
"""How far from a whole minor unit a sum or product of doubles may be that still means it: in minor
units, and as a share of the amount (a few units in the last place)."""
_SMALL = 2**46
"""Minor units below which that share is a sixteenth of a minor unit at most."""
_NULL_CODES: Mapping[str, str] = {
    "id": "source_id_null",
    "integer": "source_key_null",
    "moment": "source_event_null",
    "string": "source_key_null",
}
_WHY: Mapping[str, str] = {
    "BLOB": "bytes without the UTF8 annotation: write the column as strings",
    "DATE": "a date has no time of day, and what was known when depends on it",
}


class Check(NamedTuple):
    """A condition that no row may meet, and what to say of the rows that do."""

    condition: str
    found: str
    wanted: str
    code: str


@dataclass(frozen=True)
class SourceColumn:
    """A column that the contract's source names, as it is in a file; `type` is the engine's.

    name: the engine's. called: the file's, where it is another. optional: may be null.
    may_lack: may be missing.
    summed: with how many decimals doubles are summed, None where they are not.
    text: the file has text whatever the contract's type is, as a CSV file does.
    """

    name: str
    kind: Kind
    type: str = ""
    scale: int = 0
    summed: int | None = None
    optional: bool = False
    may_lack: bool = False
    text: bool = False
    latest: int = MAX_MOMENT - 1
    called: str | None = None

    @property
    def place(self) -> str:
        """The file's name of the column."""
        return self.called or self.name

    @property
    def raw(self) -> str:
        """The column as the file has it."""
        return quoted(self.place)

    @property
    def value(self) -> str:
        """The value: moments in microseconds, money in minor units; null where there is none."""
        return self._rule.value(self)

    @property
    def fits(self) -> bool:
        """Whether the file's type can hold the contract's values."""
        return self.type == _NULL or self._rule.fits(self)

    @property
    def wanted(self) -> str:
        """The types that fit, for a reader."""
        return self._rule.wanted

    @property
    def why(self) -> str:
        """Why the file's type does not fit."""
        return _WHY.get(self.type, "the contract's type")

    @property
    def checks(self) -> Iterator[Check]:
        """What is wrong with a row, the first reason first."""
        if not self.optional:
            yield Check(f"{self.raw} is null", "null", "a value in every row", self._null_code)
        if self.type != _NULL:
            yield from self._rule.checks(self)

    @property
    def shown(self) -> str:
        """The file's value as text for a problem: a moment as microseconds, text cut short."""
        if self.kind in {"moment", "timestamp"} and not self.text:
            # DuckDB cannot print every timestamp, and fails for good where it tries.
            return f"concat({self.value}, ' us')" if self.type != _NULL else "null::varchar"
        return f"left({self.raw}::varchar, 60)"

    @property
    def _rule(self) -> _Rule:
        return _TEXTS.get(self.kind, _KINDS[self.kind]) if self.text else _KINDS[self.kind]

    @property
    def _null_code(self) -> str:
        return _NULL_CODES.get(self.kind, "source_value_null")


class _Rule(NamedTuple):
    """What a kind of column is in a file."""

    wanted: str
    fits: Callable[[SourceColumn], bool]
    value: Callable[[SourceColumn], str]
    checks: Callable[[SourceColumn], Iterator[Check]]


def _whole(column: SourceColumn) -> bool:
    """Whether the type holds integers only."""
    decimal = _DECIMAL.fullmatch(column.type)
    return column.type in _INTEGERS or (decimal is not None and decimal[2] == "0")


def _numeric(column: SourceColumn) -> bool:
    return column.type in _INTEGERS | _DIGITS.keys() or bool(_DECIMAL.fullmatch(column.type))


def _moment(column: SourceColumn) -> str:
    if column.type in _NANOSECONDS:
        return f"try(epoch_ns({column.raw}) // 1000)"
    return "null::bigint" if column.type == _NULL else f"epoch_us({column.raw})"


def _moment_checks(column: SourceColumn) -> Iterator[Check]:
    moment = column.value
    beyond = f"{moment} is null or {moment} < 0 or {moment} > {column.latest:d}"
    condition = f"{column.raw} is not null and ({beyond})"
    found, wanted = "a moment before 1970 or after 2255", "a moment between"
    yield Check(condition, found, wanted, "source_moment_out_of_range")


def _text(column: SourceColumn) -> str:
    return column.raw if column.type == "VARCHAR" else f"{column.raw}::varchar"


def _text_checks(column: SourceColumn) -> Iterator[Check]:
    if column.type == "VARCHAR":
        condition = f"strlen({column.raw}) not between 1 and {MAX_ID_BYTES:d}"
        code = "source_id_invalid" if column.kind == "id" else "source_key_invalid"
        yield Check(condition, "another string", STRING_ID, code)


def _integer(column: SourceColumn) -> str:
    return f"try_cast({column.raw} as bigint)"


def _integer_checks(column: SourceColumn) -> Iterator[Check]:
    if column.type not in _SIGNED:
        condition = f"{column.raw} is not null and {column.value} is null"
        yield Check(condition, "a larger number", INTEGER_ID, "source_key_invalid")


def _id(column: SourceColumn) -> str:
    """Integers as they are; what no integer type of Parquet holds becomes text."""
    decimal = _DECIMAL.fullmatch(column.type)
    if decimal is not None and int(decimal[1]) <= 18:
        return f"{column.raw}::bigint"
    return column.raw if column.type in _INTEGERS else _text(column)


def _label(column: SourceColumn) -> str:
    if column.type == _NULL:
        return "null::boolean"
    return f"case {column.raw} when 1 then true when 0 then false end"


def _label_checks(column: SourceColumn) -> Iterator[Check]:
    """NaN is how some tools write null."""
    floating = column.type in _DIGITS
    stated = f"not isnan({column.raw})" if floating else f"{column.raw} is not null"
    condition = f"{column.value} is null and {stated}"
    yield Check(condition, "another value", "0, 1 or null", "source_label_invalid")


def _money(column: SourceColumn) -> str:
    """Minor units, null where the value is not a whole number of them.

    A double or a float32 is what its shortest text says, if that has no more decimals than money
    has: then it is the nearest one to that amount. Sums and products below `_SMALL` may be off by
    the noise of doubles.
    """
    raw, scale, units = column.raw, column.scale, 10**column.scale
    if column.type in _INTEGERS:
        return f"try_cast(try({raw}::hugeint * {units:d}) as bigint)"
    if column.type in _DIGITS:
        near = f"{raw}::double * {units:d}"
        noise = f"greatest({_NOISE}, abs({near}) * {_RELATIVE_NOISE!r})"
        close = f"abs({near}) < {_SMALL:d} and abs({near} - round({near})) <= {noise}"
        shortest = _minor(f"{raw}::varchar", scale, 18)
        return f"case when {close} then try_cast(round({near}) as bigint) else {shortest} end"
    decimal = _DECIMAL.fullmatch(column.type)
    return _minor(raw, scale, int(decimal[2]) if decimal else 0)


def _minor(value: str, scale: int, digits: int) -> str:
    """Minor units of a decimal of up to `digits` decimals, null where it is finer.

    DuckDB's try() does not catch every cast that a comparison implies: each step is its own.
    """
    rounded = f"try_cast({value} as decimal(38, {scale:d}))"
    finest = max(scale, digits)
    same = " = ".join(f"try_cast({one} as decimal(38, {finest:d}))" for one in (rounded, value))
    return f"case when {same} then try_cast(try({rounded} * {10**scale:d}) as bigint) end"


def _money_checks(column: SourceColumn) -> Iterator[Check]:
    yield from _finite(column)
    limit = _largest(column)
    beyond = f"abs({column.raw}::double) >= {limit:.17g}"
    wanted = f"less than {limit:,.10g}"
    code = "source_value_out_of_range"
    if column.type == "FLOAT":
        wanted += ": beyond it float32 has no minor units; write a double or a decimal"
    yield Check(beyond, "a larger amount", wanted, code)
    finer = f"{column.raw} is not null and {column.value} is null"
    wanted = f"at most {column.scale} decimals"
    yield Check(finer, "an amount finer than a minor unit", wanted, "source_value_too_fine")


def _largest(column: SourceColumn) -> float:
    """The amount from which on the type, or a sum, cannot tell minor units apart."""
    units = int(10**column.scale)
    if column.type not in _DIGITS:
        return _EXACT / units
    distinct = (1 << _DIGITS[column.type]) // units
    return float(1 << (distinct.bit_length() - 1))


def _number(column: SourceColumn) -> str:
    return f"try_cast({column.raw} as double)"


def _number_checks(column: SourceColumn) -> Iterator[Check]:
    yield from _finite(column)
    limit, wanted = MODEL_LIMIT, "less than 3.4028235e38, the range of the model's float32"
    if column.summed is not None:
        limit = _EXACT / 10**column.summed
        wanted = f"less than {limit:,.10g}, since it is summed with {column.summed} decimals"
    beyond = f"abs({column.value}) >= {limit!r}"
    yield Check(beyond, "a larger number", wanted, "source_value_out_of_range")


def _finite(column: SourceColumn) -> Iterator[Check]:
    if column.type in _DIGITS:
        condition = f"not isfinite({column.raw})"
        yield Check(condition, "NaN or infinity", "a finite number", "source_value_not_finite")


def _count(column: SourceColumn) -> str:
    return f"try_cast({column.raw} as bigint)"


def _count_checks(column: SourceColumn) -> Iterator[Check]:
    """Beyond 2^53 a request, whose numbers are doubles, could not say the value."""
    value = column.value
    beyond = f"{value} is null or {value} not between {1 - _EXACT:d} and {_EXACT - 1:d}"
    condition = f"{column.raw} is not null and ({beyond})"
    yield Check(condition, "a larger number", "less than 2^53", "source_value_out_of_range")


def _string_checks(column: SourceColumn) -> Iterator[Check]:
    condition = f"strlen({column.raw}) > {MAX_TEXT_BYTES:d}"
    wanted = f"at most {MAX_TEXT_BYTES:,} bytes of UTF-8"
    yield Check(condition, "a longer string", wanted, "source_text_too_long")


def _no_checks(_column: SourceColumn) -> Iterator[Check]:
    return iter(())


def _typed(kind: str) -> Callable[[SourceColumn], str]:
    return lambda column: f"{column.raw}::{kind}"


_KINDS: Mapping[str, _Rule] = {
    "moment": _Rule(
        "a timestamp (no zone is UTC)", lambda c: c.type in _MOMENTS, _moment, _moment_checks
    ),
    "timestamp": _Rule(
        "a timestamp (no zone is UTC)", lambda c: c.type in _MOMENTS, _moment, _moment_checks
    ),
    "text": _Rule("strings", lambda c: c.type in {"VARCHAR", "UUID"}, _text, _string_checks),
    "string": _Rule("strings", lambda c: c.type in {"VARCHAR", "UUID"}, _text, _text_checks),
    "integer": _Rule("integers", _whole, _integer, _integer_checks),
    "id": _Rule(
        "strings or integers",
        lambda c: _whole(c) or c.type in {"VARCHAR", "UUID"},
        _id,
        _text_checks,
    ),
    "label": _Rule(
        "0, 1, a boolean or null",
        lambda c: _numeric(c) or c.type == "BOOLEAN",
        _label,
        _label_checks,
    ),
    "money": _Rule("a decimal or a number", _numeric, _money, _money_checks),
    "int64": _Rule("integers", _whole, _count, _count_checks),
    "float64": _Rule("a number", _numeric, _number, _number_checks),
    "bool": _Rule("a boolean", lambda c: c.type == "BOOLEAN", _typed("boolean"), _no_checks),
}


def _parsed(pattern: str, value: str) -> Callable[[SourceColumn], str]:
    """A value of text that a pattern matches as a whole; {x}: the text."""

    def parsed(column: SourceColumn) -> str:
        matches = f"regexp_full_match({column.raw}, {literal(pattern)})"
        return f"case when {matches} then {value.format(x=column.raw)} end"

    return parsed


def _text_money(column: SourceColumn) -> str:
    scaled = _minor(column.raw, column.scale, 18)
    return f"case when regexp_full_match({column.raw}, {literal(_DECIMALS)}) then {scaled} end"


def _unparsed(wanted: str, code: str = "source_text_invalid") -> Callable[..., Iterator[Check]]:
    """The check of text that has no value of the contract's type."""

    def checks(column: SourceColumn) -> Iterator[Check]:
        condition = f"{column.raw} is not null and {column.value} is null"
        yield Check(condition, "other text", wanted, code)

    return checks


def _text_moment_checks(column: SourceColumn) -> Iterator[Check]:
    yield from _unparsed(_TIMESTAMP)(column)
    yield from _moment_checks(column)


def _text_money_checks(column: SourceColumn) -> Iterator[Check]:
    raw, limit = column.raw, _EXACT / 10**column.scale
    other = f"{raw} is not null and not regexp_full_match({raw}, {literal(_DECIMALS)})"
    yield Check(other, "other text", "a decimal number", "source_text_invalid")
    beyond = f"abs(try_cast({raw} as double)) >= {limit:.17g}"
    found, wanted = "a larger amount", f"less than {limit:,.10g}"
    yield Check(beyond, found, wanted, "source_value_out_of_range")
    found, wanted = "an amount finer than a minor unit", f"at most {column.scale} decimals"
    finer = f"{raw} is not null and {column.value} is null"
    yield Check(finer, found, wanted, "source_value_too_fine")


def _text_number_checks(column: SourceColumn) -> Iterator[Check]:
    yield from _unparsed("a number")(column)
    yield from _number_checks(column)


def _text_count_checks(column: SourceColumn) -> Iterator[Check]:
    yield from _unparsed("a whole number")(column)
    yield from _count_checks(column)


def _is_text(column: SourceColumn) -> bool:
    return column.type == "VARCHAR"


_TIMESTAMP = "a timestamp such as 2026-01-31T10:00:00Z (no zone is UTC)"
_DATE_AND_TIME = (
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?( ?(Z|UTC)|[+-]\d{2}(:?\d{2})?)?"
)
_DECIMALS = r"[+-]?(\d+\.?\d*|\.\d+)"
_FLOAT = _DECIMALS + r"([eE][+-]?\d+)?"
_INTEGER = r"[+-]?\d+(\.0*)?"
"""Integers as tools write them; pandas writes 5.0 where the column has nulls."""
_TRUTH = r"(?i)(true|t|1|1\.0|false|f|0|0\.0)"
_TEXTS: Mapping[str, _Rule] = {
    "moment": _Rule(
        _TIMESTAMP,
        _is_text,
        _parsed(_DATE_AND_TIME, "epoch_us(try_cast({x} as timestamptz))"),
        _text_moment_checks,
    ),
    "timestamp": _Rule(
        _TIMESTAMP,
        _is_text,
        _parsed(_DATE_AND_TIME, "epoch_us(try_cast({x} as timestamptz))"),
        _text_moment_checks,
    ),
    "integer": _Rule(
        "integers",
        _is_text,
        _parsed(_INTEGER, r"try_cast(split_part({x}, '.', 1) as bigint)"),
        _unparsed(INTEGER_ID),
    ),
    "label": _Rule(
        "0, 1, true, false or nothing",
        _is_text,
        _parsed(_TRUTH, "lower({x})[1] in ('t', '1')"),
        _unparsed("0, 1, true, false or nothing", "source_label_invalid"),
    ),
    "money": _Rule("a decimal number", _is_text, _text_money, _text_money_checks),
    "int64": _Rule(
        "integers",
        _is_text,
        _parsed(_INTEGER, r"try_cast(split_part({x}, '.', 1) as bigint)"),
        _text_count_checks,
    ),
    "float64": _Rule(
        "a number", _is_text, _parsed(_FLOAT, "try_cast({x} as double)"), _text_number_checks
    ),
    "bool": _Rule(
        "true or false",
        _is_text,
        _parsed(_TRUTH, "lower({x})[1] in ('t', '1')"),
        _unparsed("0, 1, true or false"),
    ),
}
"""Columns of text that hold a kind of value; strings and ids are text as they are."""

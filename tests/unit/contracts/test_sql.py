"""The contract's SQL: what may be stated, and what is refused before any engine sees it."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proviso.contracts.sql import Kind, SqlError, parse_scalar

COLUMNS: dict[str, Kind] = {
    "a": "int",
    "b": "int",
    "flag": "bool",
    "way": "float",
    "town": "string",
    "mean": "rounded",
}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("a", "int"),
        ("a + b * 2 - 1", "int"),
        ("-a", "int"),
        ("a / nullif(b, 0)", "float"),
        ("a / 100.0", "float"),
        ("cast(a as double) / b", "float"),
        ("(a * b - a) / (nullif(b, 0) * 100)", "float"),
        ("sqrt(abs(a * b - a) / b)", "float"),
        ("sqrt(a)", "float"),
        ("coalesce(a / nullif(b, 0), 0)", "float"),
        ("case when a > 0 and not flag then a / b else -1 end", "float"),
        ("case when b = 0 then null else a / b end", "float"),
        ("greatest(a, b, 1)", "int"),
        ("least(a / b, 1)", "float"),
        ("cast(flag as bigint)", "int"),
        ("a is null or b is not null", "bool"),
        ("way >= 2.5", "bool"),
        ("flag and (a <> 3 or true)", "bool"),
        ("null", "null"),
        ("town = 'Bath'", "bool"),
        ("town <> 'O''Brien' and town is not null", "bool"),
        ("town in ('Bath', 'York', null)", "bool"),
        ("a in (1, 2)", "bool"),
        ("not (town in ('Bath'))", "bool"),
        ("town not in ('Bath')", "bool"),
        ("case when a > 1 then 'many' else town end", "string"),
        ("coalesce(town, 'none')", "string"),
        ("mean", "float"),
        ("coalesce(mean, 0)", "float"),
        ("mean > 3", "bool"),
    ],
)
def test_scalar_arithmetic_is_allowed(text: str, kind: str) -> None:
    assert parse_scalar(text, COLUMNS).kind == kind


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "found ``"),
        ("(a", "found `(a`"),
        ("a; drop table x", "found `;` in"),
        ("a -- b", "found `--` in"),
        ("a /* b */", "found `/*` in"),
        ("(select 1)", "found `(SELECT 1)`"),
        ("select a", "found `SELECT a`"),
        ("exists (select 1)", "found `EXISTS(SELECT 1)`"),
        ("sum(a)", "found `SUM(a)`"),
        ("count(*)", "found `COUNT(*)`"),
        ("read_text(a)", "found `READ_TEXT(a)`"),
        ("getenv(a)", "found `GETENV(a)`"),
        ("random()", "found `RANDOM()`"),
        ("now()", "found `NOW()`"),
        ("sum(a) over ()", "found `SUM(a) OVER ()`"),
        ("a % 2", "found `a % 2`"),
        ("a // 2", "found `a // 2`"),
        ("a ** 2", "found `POWER(a, 2)`"),
        ("a in ('x', 'y')", "found `a IN ('x', 'y')`, wanted numbers, strings or truth values"),
        ("a in (select 1)", "found `a IN (SELECT 1)`, wanted in with a list of values"),
        ("town = 1", "found `town = 1`, wanted numbers, strings or truth values"),
        ("town + 1", "found arithmetic on the string `town`"),
        ("cast(town as bigint)", "found `CAST(town AS BIGINT)`, wanted a cast of a number"),
        ("cast(a as text)", "found `CAST(a AS TEXT)`, wanted cast to double or bigint"),
        ("town like 'B%'", "found `town LIKE 'B%'`"),
        ("lower(town)", "found `LOWER(town)`"),
        ("town || 'x'", "found `town || 'x'`"),
        ("mean / 2", "found arithmetic on `mean`"),
        ("a between 1 and 2", "found `a BETWEEN 1 AND 2`"),
        ("a as c", "found `a AS c`"),
        ("a c", "found `a AS c`"),
        ("*", "found `*`"),
        ("?", "found `?`"),
        ("[a]", "found `[a]`"),
        ("x.a", "found column x.a"),
        ('"a"', 'found column "a"'),
        ("A", "found column A"),
        ("c", "found column c"),
        ("try_cast(a as double)", "found `TRY_CAST(a AS DOUBLE)`"),
        ("cast(a as decimal(3, 1))", "found `CAST(a AS DECIMAL(3, 1))`, wanted cast to"),
        ("cast(a / b as bigint)", "found `CAST(a / b AS BIGINT)`, wanted bigint of integers"),
        ("a / b / 2", "found arithmetic on `a / b`"),
        ("a / b + 1", "found arithmetic on `a / b`"),
        ("1 / sqrt(a)", "found arithmetic on `SQRT(a)`"),
        ("a * 0.1", "found arithmetic on `0.1`"),
        ("a + flag", "found arithmetic on the boolean `flag`"),
        ("@", "found an operator without its operand"),
        ("a and b", "found `a` as a condition"),
        ("case a when 1 then 2 end", "found `CASE a WHEN 1 THEN 2 END`"),
        ("case when a then 1 end", "found `a` as a condition"),
        ("coalesce(a, flag)", "found `COALESCE(a, flag)`, wanted numbers, strings or truth values"),
        ("flag = 1", "found `flag = 1`, wanted numbers, strings or truth values"),
        ("flag is true", "found `flag IS TRUE`, wanted is null"),
        ("a + 99999999999999999999", "found `99999999999999999999`, wanted a number below"),
        ("1e999 + a", "found `1e999`, wanted a number below"),
        ("(" * 21 + "a" + ")" * 21, "found an expression nested too deep"),
        ("not " * 400 + "flag", "found an expression nested too deep"),
        ("a" + " + a" * 900, "found an expression nested too deep"),
    ],
)
def test_everything_else_is_refused(text: str, found: str) -> None:
    with pytest.raises(SqlError) as caught:
        parse_scalar(text, COLUMNS)
    assert str(caught.value).startswith(found)


def test_columns_are_named_and_quoted() -> None:
    scalar = parse_scalar("case when flag then a / b end", COLUMNS)
    assert scalar.columns == {"a", "b", "flag"}
    assert scalar.sql() == 'CASE WHEN "flag" THEN "a" / "b" END'


@given(a=st.integers(-(2**40), 2**40), b=st.integers(-1000, 1000))
def test_what_is_rendered_means_what_was_stated(a: int, b: int) -> None:
    rendered = parse_scalar("a / nullif(b, 0)", COLUMNS).sql()
    found = duckdb.execute(f'select {rendered} from (select {a} as "a", {b} as "b")').fetchall()
    assert found == [(a / b if b else None,)]


@given(st.text(max_size=60))
def test_no_text_does_more_than_being_refused(text: str) -> None:
    try:
        scalar = parse_scalar(text, COLUMNS)
    except SqlError:
        return
    assert scalar.columns <= COLUMNS.keys()

"""A verdict is recomputed from the row itself."""

from __future__ import annotations

import pytest

from feature_runtime.core.availability import ViewTimes
from feature_runtime.core.moments import DAY, HOUR, MINUTE
from proviso.checks.skew.cases import HEADER, SkewCase, parse_cases, recompute

TIMES = ViewTimes(source_delay=10 * MINUTE, lookback=7 * DAY, ttl=2 * HOUR)
OLD, NOON, ONE = "2026-05-31T03:00:00Z", "2026-05-31T12:00:00Z", "2026-05-31T13:00:00Z"


def case(offline: tuple[str, str], online: tuple[str, str], dtype: str = "float64") -> str:
    """The kind of (event_ts, value) against (event_ts, value) at 13:05, tolerance 0.5 + 10%."""
    cells = ["1", "customer", "C1", "view", "feature", "2026-05-31T13:05:00Z"]
    cells += [offline[1], online[1], offline[0], online[0], "0.5", "0.1", "PASS", "", "", ""]
    rows, problems = parse_cases(",".join(HEADER) + "\n" + ",".join(cells) + "\n")
    assert problems == []
    found: SkewCase = rows[0].case
    return recompute(found, TIMES, dtype)


@pytest.mark.parametrize(
    ("offline", "online", "kind"),
    [
        ((NOON, "10"), (NOON, "10"), ""),
        ((NOON, "10"), (NOON, "11.5"), ""),
        ((NOON, "10"), (NOON, "11.51"), "VALUE"),
        ((NOON, "-10"), (NOON, "-8.5"), ""),
        ((NOON, "10"), (NOON, ""), "NULL"),
        ((NOON, "10"), (NOON, "ten"), "TYPE"),
        ((NOON, "10"), (NOON, "nan"), "TYPE"),
        ((NOON, ""), (NOON, ""), ""),
        ((NOON, ""), (NOON, "10"), "VALUE"),
        ((NOON, "10"), ("", ""), "MISSING_KEY"),
        (("", ""), ("", ""), ""),
        (("", ""), (NOON, "10"), "FUTURE"),
        ((NOON, "10"), (OLD, "10"), "STALE"),
        ((NOON, "10"), (ONE, "10"), "FUTURE"),
        ((OLD, "10"), (OLD, "10"), ""),
        ((OLD, "10"), (OLD, "12"), "VALUE"),
        ((ONE, "10"), (ONE, "10"), "FUTURE"),
    ],
)
def test_the_kind_follows_from_the_row(
    offline: tuple[str, str], online: tuple[str, str], kind: str
) -> None:
    assert case(offline, online) == kind


@pytest.mark.parametrize(
    ("dtype", "online", "kind"),
    [
        ("int64", "10", ""),
        ("int64", "10.0", ""),
        ("int64", "10.5", "TYPE"),
        ("int64", "1e1", "TYPE"),
        ("bool", "10", "TYPE"),
        ("float64", "1e1", ""),
    ],
)
def test_a_cell_must_be_of_the_features_type(dtype: str, online: str, kind: str) -> None:
    offline = "true" if dtype == "bool" else "10"
    assert case((NOON, offline), (NOON, online), dtype) == kind


QUOTED = '"""AA"""'  # JSON's quotes inside CSV's


@pytest.mark.parametrize(
    ("offline", "online", "kind"),
    [
        (QUOTED, QUOTED, ""),
        (QUOTED, '"""aa"""', "VALUE"),
        (QUOTED, '"""AA """', "VALUE"),
        (QUOTED, "", "NULL"),
        (QUOTED, "AA", "TYPE"),
        (QUOTED, "int 5", "TYPE"),
        ('""""""', '""""""', ""),
        ('""""""', "", "NULL"),
        ("", '""""""', "VALUE"),
        ('"""\\u00e9"""', '"""é"""', ""),
        ('"""e\\u0301"""', '"""é"""', "VALUE"),
    ],
)
def test_strings_are_compared_exactly_whatever_the_tolerance(
    offline: str, online: str, kind: str
) -> None:
    assert case((NOON, offline), (NOON, online), "string") == kind


def test_every_unreadable_row_is_named() -> None:
    rows, problems = parse_cases(",".join(HEADER) + "\n" + "x,\n" + ",".join("1" * 16) + "\n")
    assert rows == []
    assert [str(problem).partition(", wanted")[0] for problem in problems] == [
        "skew_test_cases.csv: row 2: found 2 cells",
        "skew_test_cases.csv: row 3: feature_view: found '1'",
        "skew_test_cases.csv: row 3: feature: found '1'",
        "skew_test_cases.csv: row 3: as_of: found '1'",
        "skew_test_cases.csv: row 3: offline_event_ts: found '1'",
        "skew_test_cases.csv: row 3: online_event_ts: found '1'",
        "skew_test_cases.csv: row 3: verdict: found '1'",
        "skew_test_cases.csv: row 3: kind: found '1'",
    ]

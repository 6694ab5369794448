"""Marks stand where their values say, and every drawing of the kit is well formed."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from proviso.pages.charts import (
    Axis,
    Bar,
    Chart,
    Curve,
    Dot,
    Key,
    Label,
    Rule,
    Scale,
    bars,
    even_values,
    levels,
    log_values,
)
from proviso.pages.shell import picture

HOSTILE = '"><script>&{{ 7*7 }}'
SVG = "{http://www.w3.org/2000/svg}"


def test_a_scale_maps_its_ends_and_keeps_what_is_outside_on_the_border() -> None:
    scale = Scale(1, 100, 0, 200, log=True)
    assert [scale.at(value) for value in (0.1, 1, 10, 100, 1_000)] == [0, 0, 100, 200, 200]
    assert Scale(3, 3, 0, 200).at(3) == 100


@pytest.mark.parametrize(
    ("high", "values"),
    [
        (1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0.7, [0, 0.2, 0.4, 0.6, 0.8]),
        (4_100, range(0, 5_001, 1_000)),
    ],
)
def test_even_values_are_round_and_reach_the_highest(high: float, values: list[float]) -> None:
    assert even_values(high) == pytest.approx(values)


def test_logarithmic_values_thin_out_where_they_would_crowd() -> None:
    assert log_values(1.5, 60) == [2, 5, 10, 20, 50]
    assert log_values(0.9, 2_000) == [1, 10, 100, 1_000]
    assert log_values(3, 4) == [3.5]


def test_a_bin_is_as_high_as_its_count_and_an_empty_one_is_no_bar() -> None:
    to = (Scale(0, 3, 0, 30), Scale(0, 10, 50, 0))
    drawn = bars([0, 1, 2, 3], [10, 0, 5], to, lambda middle: f"{middle}", "{}-{}: {}".format)
    assert drawn == (
        Bar(0, 0, 9, 50, "0.5", "0-1: 10"),
        Bar(20, 25, 9, 25, "2.5", "2-3: 5"),
    )


def test_a_single_value_among_many_is_still_visible() -> None:
    to = (Scale(0, 2, 0, 30), Scale(0, 10_000, 50, 0))
    [_, one] = bars([0, 1, 2], [10_000, 1], to, lambda _: "good", "{}-{}: {}".format)
    assert one.height == 1.5


def test_levels_are_shares_of_the_longest_and_a_missing_value_has_none() -> None:
    one, two = Key("warn", "one"), Key("bad", "two")
    series: dict[Key, list[float | None]] = {one: [0.5, None], two: [0.25, 0.0]}
    first, second = levels(["a", "b"], series, "{:g}".format)
    assert [(level.tone, level.share, level.label) for level in first.levels] == [
        ("warn", 1, "0.5"),
        ("bad", 0.5, "0.25"),
    ]
    assert [(level.share, level.title) for level in second.levels] == [(0, "b, two: 0")]
    assert levels(["a"], {Key("bad", "one"): [0.0]}, "{:g}".format)[0].levels[0].share == 0


def test_a_picture_is_a_file_of_its_own_that_runs_and_loads_nothing() -> None:
    marks = (
        Bar(0, 0, 1, 1, "good", HOSTILE),
        Curve(((0, 1), (2, 3)), "model", dashed=True),
        Dot(1, 1, "bad", HOSTILE),
        Rule((0, 0), (1, 1), "warn", faint=True),
        Label(1, 1, HOSTILE),
    )
    chart = Chart(
        HOSTILE, 100, 80, Scale(0, 1, 0, 90).axis([0, 1], name=HOSTILE), Axis(70, 0), marks
    )
    text = picture(HOSTILE, [chart, chart], [Key("model", HOSTILE)])
    root = ElementTree.fromstring(text)
    assert root.find(f"{SVG}title") is not None
    assert len(root.findall(f".//{SVG}circle")) == 2
    assert [e for e in root.iter() if e.tag in {f"{SVG}script", f"{SVG}image"}] == []
    assert "url(" not in text
    assert "prefers-color-scheme: dark" in text
    assert picture(HOSTILE, [chart, chart], [Key("model", HOSTILE)]) == text

"""Bars stand where their figures say."""

from __future__ import annotations

from itertools import pairwise

from proviso.leakage.charts import BASE, LEFT, RIGHT, TOP, Series, grouped


def test_a_bar_is_as_high_as_its_share_of_the_axis() -> None:
    drawn = grouped(
        ["a", "b"], [Series("one", "bad", [0.5, 1.0]), Series("two", "warn", [0, 0.25])]
    )
    high = BASE - TOP
    assert [bar.height for bar in drawn.bars] == [high / 2, 0, high, high / 4]
    assert all(bar.y + bar.height == BASE for bar in drawn.bars)
    assert [(tick.at, tick.label) for tick in drawn.ticks][-1] == (TOP, "1")


def test_bars_stay_inside_and_apart() -> None:
    drawn = grouped(["a", "b", "c"], [Series(name, "bad", [0.1, 0.2, 0.3]) for name in "xyz"])
    edges = [(bar.x, bar.x + bar.width) for bar in drawn.bars]
    assert edges[0][0] > LEFT
    assert edges[-1][1] < RIGHT
    assert all(left[1] < right[0] for left, right in pairwise(edges))


def test_a_figure_that_does_not_exist_has_no_bar() -> None:
    drawn = grouped(["a", "b"], [Series("one", "bad", [None, 0.014])], percent=True)
    assert [(bar.label, bar.title) for bar in drawn.bars] == [("1.4%", "b, one: 1.4%")]
    assert len(drawn.names) == 2


def test_nothing_at_all_is_still_a_drawing() -> None:
    drawn = grouped(["a"], [Series("one", "bad", [0.0])], percent=True)
    assert [bar.label for bar in drawn.bars] == ["0%"]
    assert grouped([], [Series("one", "bad", [])]).bars == ()

"""When a release is covered, and what the evidence says when it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pytest

from feature_runtime.core import timeline
from feature_runtime.core.availability import Row, ViewTimes
from feature_runtime.core.moments import DAY, HOUR
from feature_runtime.core.service import Feature, View
from proviso.checks.coverage import METRIC, ViewCoverage, evidence_of, view_coverage
from proviso.online.store import OnlineStore, Watermark

T = 20_000 * DAY
GOOD = ViewCoverage(
    View("customer_daily", ("customer",), "0" * 16, ViewTimes(HOUR, DAY, HOUR), ()),
    Watermark(T + HOUR, T),
    live=40,
    missing=0,
    examples=(),
)


def test_a_release_is_covered_when_every_live_entity_has_its_key() -> None:
    found = evidence_of("r1", [GOOD, GOOD], T)
    assert (found.passed, found.warnings, found.figures[METRIC]) == (True, (), 0.0)
    assert (found.kind, found.release, found.as_of) == ("coverage", "r1", T)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (replace(GOOD, watermark=None), "no watermark"),
        (replace(GOOD, watermark=Watermark(0, T)), "no writer has ever finished"),
        (replace(GOOD, live=0), "no live entity"),
        (
            replace(GOOD, missing=1, examples=("customer:7",)),
            "1 of 40 live entities have no key: customer:7",
        ),
    ],
)
def test_one_thing_that_is_missing_is_a_no(wrong: ViewCoverage, reason: str) -> None:
    found = evidence_of("r1", [GOOD, wrong], T)
    [said] = found.reasons
    assert reason in said


def test_a_release_that_reads_nothing_verifies_nothing() -> None:
    assert not evidence_of("r1", [], T).passed


class Keys:
    """A store of one key a name."""

    def __init__(self, blobs: Sequence[bytes | None]) -> None:
        self.blobs = list(blobs)

    def read(self, keys: Sequence[bytes]) -> list[bytes | None]:
        return [self.blobs.pop(0) for _ in keys]


ROW = Row(T, T, (1,), 0)
FEATURE = Feature("sales", "int64", None)


def test_a_key_that_holds_no_row_of_the_view_is_missing() -> None:
    view = replace(GOOD.view, features=(FEATURE,))
    whole = timeline.pack(view.schema, [ROW])
    blobs = {
        "whole": whole,
        "no key": None,
        "empty": b"",
        "no rows": timeline.pack(view.schema, []),
        "torn": whole[:-1],
        "another schema": timeline.pack("f" * 16, [ROW]),
        "too few values": timeline.pack(view.schema, [ROW._replace(values=())]),
    }
    store = cast("OnlineStore", Keys(list(blobs.values())))
    found = view_coverage(view, None, [(name,) for name in blobs], store)
    assert (found.live, found.missing) == (7, 6)
    assert "customer:whole" not in found.examples


def test_the_missing_rate_is_over_all_views_and_nothing_to_ask_is_no_zero() -> None:
    half = replace(GOOD, missing=20)
    assert evidence_of("r1", [GOOD, half], T).figures[METRIC] == 0.25
    assert evidence_of("r1", [replace(GOOD, live=0)], T).figures[METRIC] == 1.0


def test_a_watermark_behind_the_moment_is_said_and_left_to_freshness() -> None:
    behind = replace(GOOD, watermark=Watermark(T - 1, T - 1))
    found = evidence_of("r1", [behind], T)
    assert found.passed
    [warning] = found.warnings
    assert "customer_daily: written up to" in warning

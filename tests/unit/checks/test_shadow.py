"""Shadow traffic is judged by pairs: the same request, decided by both releases."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feature_runtime.core.moments import MINUTE, format_moment
from feature_runtime.core.record import SCHEMA
from proviso.checks import shadow
from proviso.checks.shadow import compare
from proviso.contracts.base import InputError

AT = 1_780_000_000_000_000
OLD, NEW = "r-old", "r-new"


def line(number: int, release: str, decision: str = "APPROVE", **changes: Any) -> str:
    said = {
        "schema": SCHEMA,
        "request_id": f"q-{number}",
        "index": 0,
        "release": release,
        "scored_at": format_moment(AT + number * MINUTE),
        "decision": decision,
    }
    return json.dumps(said | changes)


def record(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{one}\n" for one in lines))
    return path


def code_of(call: Callable[[], object]) -> str:
    """The code of the InputError that a call raises."""
    with pytest.raises(InputError) as raised:
        call()
    return raised.value.problems[0].code


@pytest.fixture
def served(tmp_path: Path) -> Path:
    return record(tmp_path / "served.jsonl", *(line(n, OLD) for n in range(10)))


def test_pairs_are_counted_and_compared(served: Path, tmp_path: Path) -> None:
    decided = ["APPROVE", "APPROVE", "REVIEW", "APPROVE"]
    lines = [line(n + 2, NEW, decision) for n, decision in enumerate(decided)]
    found = compare(served, record(tmp_path / "shadow.jsonl", *lines), NEW)
    assert found.passed
    assert found.figures == {
        "requests": 4,
        "seconds": 180.0,
        "decision_disagreement": 0.25,
        "without_partner": 0,
    }
    assert found.as_of == AT + 5 * MINUTE


def test_rows_of_one_request_are_paired_by_their_place(tmp_path: Path) -> None:
    both = [line(1, OLD, index=0), line(1, OLD, "REVIEW", index=1)]
    new = [line(1, NEW, "REVIEW", index=1), line(1, NEW, index=0)]
    found = compare(record(tmp_path / "a", *both), record(tmp_path / "b", *new), NEW)
    assert (found.figures["requests"], found.figures["decision_disagreement"]) == (2, 0.0)


def test_what_only_one_side_saw_is_no_pair(served: Path, tmp_path: Path) -> None:
    found = compare(served, record(tmp_path / "shadow.jsonl", line(3, NEW), line(77, NEW)), NEW)
    assert (found.figures["requests"], found.figures["without_partner"]) == (1, 1)


@pytest.mark.parametrize("lines", [[], [line(3, OLD)], [line(77, NEW)]], ids=str)
def test_no_pair_is_a_no(served: Path, tmp_path: Path, lines: list[str]) -> None:
    found = compare(served, record(tmp_path / "shadow.jsonl", *lines), NEW)
    assert "found no pair" in found.reasons[0]
    assert found.figures["decision_disagreement"] is None


def test_a_release_is_not_compared_with_itself(tmp_path: Path) -> None:
    same = record(tmp_path / "record.jsonl", line(1, NEW), line(2, NEW))
    assert compare(same, same, NEW).figures["requests"] == 0


def test_a_torn_line_is_passed_over(served: Path, tmp_path: Path) -> None:
    torn = record(tmp_path / "shadow.jsonl", line(1, NEW)[:40], line(2, NEW), line(3, NEW))
    assert compare(served, torn, NEW).figures["requests"] == 2


def test_a_file_that_is_no_record_is_wrong_use(served: Path, tmp_path: Path) -> None:
    other = record(tmp_path / "shadow.jsonl", "a,b", "1,2", "3,4")
    assert code_of(lambda: compare(served, other, NEW)) == "record_damaged"
    assert code_of(lambda: compare(served, tmp_path / "nowhere", NEW)) == "record_unreadable"


def test_a_record_has_a_bound(
    served: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shadow, "MAX_PREDICTIONS", 5)
    small = record(tmp_path / "shadow.jsonl", line(1, NEW))
    assert code_of(lambda: compare(served, small, NEW)) == "too_many_records"

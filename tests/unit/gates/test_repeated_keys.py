"""A key that stands twice decides nothing: evidence, replay and payload with one are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proviso.contracts.json_text import keys_once
from tests.gate_case import Case, codes


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def say_first(path: Path, pair: str) -> None:
    """Puts a pair before the file's own, which the last-one-wins rule would let decide."""
    path.write_text(path.read_text().replace("{", f"{{{pair}, ", 1))


@pytest.mark.parametrize("pair", ['"passed": false', '"reasons": ["too old"]', '"release": "r-0"'])
def test_evidence_states_a_key_once(case: Case, pair: str) -> None:
    say_first(case.evidence / "freshness.json", pair)
    assert codes(case.judged())["freshness"] == "evidence_invalid"


def test_a_figure_is_stated_once(case: Case) -> None:
    path = case.evidence / "freshness.json"
    path.write_text(path.read_text().replace('"figures": {', '"figures": {"a": 1, "a": 2, ', 1))
    assert codes(case.judged())["freshness"] == "evidence_invalid"


def test_a_replay_states_a_key_once(case: Case) -> None:
    say_first(case.evidence / "replay.json", '"made_at": "2020-01-01T00:00:00Z"')
    assert codes(case.judged())["replay"] == "evidence_invalid"


def test_only_the_same_object_counts() -> None:
    nested = '{"a": {"a": 1}, "b": [{"a": 1}, {"a": 2}]}'
    assert json.loads(nested, object_pairs_hook=keys_once) == json.loads(nested)

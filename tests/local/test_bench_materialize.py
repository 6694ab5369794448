"""The bench of materialization measures every way on stores of its own and says which is which."""

from __future__ import annotations

from pathlib import Path

from proviso.bench.materialize import WAYS, Speeds, table
from tests.program import call

CONTRACTS = Path(__file__).parents[2] / "contracts"


def test_every_way_is_measured_against_plain_set() -> None:
    done = call(
        *("--contracts", CONTRACTS, "bench", "materialize", "--json"),
        *("--entities", "1000", "--rounds", "1"),
    )
    assert done.code == 0, done.err
    assert done.json["rows"] == 1000
    assert set(done.json["ways"]) == set(WAYS)
    for way in done.json["ways"].values():
        assert len(way["rounds"]) == 1
        spread = way["rows_per_second"]
        assert 0 < spread["lowest"] <= spread["median"] <= spread["highest"]
    assert done.json["ways"]["set"]["to_set"]["median"] == 1
    assert "round 1 of 1" in done.err


def test_ratios_are_taken_round_by_round() -> None:
    """A noisy round is noisy for both sides."""
    speeds = Speeds(10, "view", {"set": [100.0, 10.0, 50.0], "merge": [80.0, 9.0, 60.0]})
    assert speeds.ratio("merge", "set") == [0.8, 0.9, 1.2]
    [line] = [line for line in table(speeds).splitlines() if line.startswith("| merge ")]
    assert "60 (9 - 80)" in line
    assert "0.90 (0.80 - 1.20)" in line

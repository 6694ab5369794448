"""The process's time zone changes nothing, neither on days when clocks are turned nor on 29 Feb."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from feature_runtime.core.moments import parse_moment
from tests.history_data import ZERO
from tests.join_cases import VIEWS, Case, answers_in, fixed_case, moved, slow, span_of, write_case

DAYS = ("2020-03-08", "2020-11-01", "2020-04-05", "2020-02-29")
ZONES = ("UTC", "America/New_York", "Australia/Lord_Howe")
"""The last one turns its clocks by half an hour."""
ROOT = Path(__file__).parents[2]
SOURCES = (str(ROOT), str(ROOT / "transformer"))

_PROGRAM = """
import sys, time
from pathlib import Path
from proviso.history.duckdb.join import build_dataset
from tests.join_cases import VIEWS, owner_of
time.tzset()
name, *works = sys.argv[1:]
for work, start, end in zip(works[::3], works[1::3], works[2::3]):
    files = Path(work) / "history", Path(work) / "sales.parquet"
    out = Path(work) / (name + ".parquet")
    build_dataset(owner_of("string"), *files, int(start), int(end), out, VIEWS)
print(time.timezone)
"""


def test_a_dataset_is_the_same_in_every_time_zone(tmp_path: Path) -> None:
    cases = {day: _case(day) for day in DAYS}
    works: list[str] = []
    for day, case in cases.items():
        (tmp_path / day).mkdir()
        write_case(case, tmp_path / day)
        works += [str(tmp_path / day), *(str(moment) for moment in span_of(case))]
    offsets = [_build(zone, str(number), works) for number, zone in enumerate(ZONES)]
    assert len(set(offsets)) == len(ZONES), "the zones were not in force"
    for day, case in cases.items():
        first, *others = (pq.read_table(tmp_path / day / f"{n}.parquet") for n in range(len(ZONES)))
        assert all(first.equals(other) for other in others), day
        for name in VIEWS:
            found = answers_in(case.owner.view_by_name[name], first.sort_by("sale_id"))
            assert found == slow(case, name), (day, name)


def _case(day: str) -> Case:
    return moved(replace(fixed_case(), left_out=()), parse_moment(f"{day}T00:00:00Z") - ZERO)


def _build(zone: str, name: str, works: list[str]) -> str:
    """Builds the datasets in a process of a zone; returns the zone's offset."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, name, *works],
        env={**os.environ, "TZ": zone, "PYTHONPATH": os.pathsep.join(SOURCES)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout

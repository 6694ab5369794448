"""The example's sources: moments of the flights, and what its odd rows become."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from examples.flights.prepare import package_data, prepare

FLIGHT: dict[str, Any] = {
    "year": 2013,
    "month": 6,
    "day": 1,
    "dep_time": 1202,
    "sched_dep_time": 1200,
    "dep_delay": 2,
    "arr_time": 1425,
    "sched_arr_time": 1420,
    "arr_delay": 5,
    "carrier": "UA",
    "flight": 1,
    "tailnum": "N1",
    "origin": "EWR",
    "dest": "ORD",
    "air_time": 110,
    "distance": 719,
    "hour": 12,
    "minute": 0,
}
CANCELLED = {**dict.fromkeys(("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"))}
REPORT: dict[str, Any] = {
    "origin": "EWR",
    "temp": 50.0,
    "dewp": 40.0,
    "humid": 60.0,
    "wind_dir": 10,
    "wind_speed": 5.0,
    "wind_gust": None,
    "precip": 0.0,
    "pressure": 1000.0,
    "visib": 10.0,
    "time_hour": "2013-06-01T16:00:00Z",
}
PLANE: dict[str, Any] = {
    "tailnum": "N1",
    "year": 2000,
    "manufacturer": "BOEING",
    "model": "737",
    "engine": "Turbo-fan",
    "engines": 2,
    "seats": 150,
}
AIRPORTS = [
    {"faa": "EWR", "lat": 40.69, "lon": -74.17, "tzone": "America/New_York"},
    {"faa": "PBI", "lat": 26.68, "lon": -80.10, "tzone": "America/New_York"},
    {"faa": "ORD", "lat": 41.98, "lon": -87.90, "tzone": "America/Chicago"},
]


class Sources:
    """Writes raw tables, prepares them, and asks the files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def prepare(self, **tables: list[dict[str, Any]]) -> None:
        rows = {"flights": [FLIGHT], "weather": [REPORT], "planes": [PLANE], "airports": AIRPORTS}
        for name, lines in (rows | tables).items():
            text = [",".join(lines[0])]
            text += [",".join(_cell(value) for value in line.values()) for line in lines]
            (self.folder / f"{name}.csv").write_text("\n".join(text) + "\n")
        prepare(self.folder, self.folder / "out")

    def ask(self, columns: str, name: str) -> list[tuple[Any, ...]]:
        path = self.folder / "out" / f"{name}.parquet"
        with duckdb.connect() as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(f"select {columns} from '{path}'").fetchall()


def _cell(value: Any) -> str:
    return "NA" if value is None else str(value)


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    return Sources(tmp_path)


def flight(**changes: Any) -> dict[str, Any]:
    clock = changes.get("sched_dep_time", FLIGHT["sched_dep_time"])
    return {**FLIGHT, "hour": clock // 100, "minute": clock % 100, **changes}


def test_clock_times_are_of_new_york_and_of_the_destination(sources: Sources) -> None:
    sources.prepare(flights=[flight()])
    moments = "asked_at::varchar, departs_at::varchar, landed_at::varchar, block_minutes"
    assert sources.ask(moments, "schedule") == [
        ("2013-06-01 14:00:00+00", "2013-06-01 16:00:00+00", "2013-06-01 19:25:00+00", 200)
    ]
    assert sources.ask("departed_at::varchar", "departures") == [("2013-06-01 16:02:00+00",)]


@pytest.mark.parametrize(
    ("month", "day", "departs", "lands"),
    [
        (3, 9, "2013-03-10 02:45:00+00", "2013-03-10 05:34:00+00"),
        (3, 10, "2013-03-11 01:45:00+00", "2013-03-11 04:34:00+00"),
        (11, 2, "2013-11-03 01:45:00+00", "2013-11-03 04:34:00+00"),
        (11, 3, "2013-11-04 02:45:00+00", "2013-11-04 05:34:00+00"),
    ],
)
def test_a_night_flight_around_the_change_of_clocks(
    sources: Sources, month: int, day: int, departs: str, lands: str
) -> None:
    late = flight(
        month=month, day=day, sched_dep_time=2145, sched_arr_time=34, arr_delay=0, dest="PBI"
    )
    sources.prepare(flights=[late])
    moments = "departs_at::varchar, landed_at::varchar"
    assert sources.ask(moments, "schedule") == [(departs, lands)]


def test_puerto_rico_is_known_though_the_package_has_no_such_airport(sources: Sources) -> None:
    sources.prepare(flights=[flight(month=1, dest="SJU", sched_arr_time=1655, arr_delay=0)])
    assert sources.ask("landed_at::varchar", "schedule") == [("2013-01-01 20:55:00+00",)]


def test_a_cancelled_flight_is_asked_about_and_never_departs(sources: Sources) -> None:
    sources.prepare(flights=[flight(**CANCELLED, tailnum=None), flight(flight=2)])
    label = "tail, late, landed_at"
    assert sources.ask(label, "schedule")[0] == ("none", None, None)
    assert sources.ask("flight_id", "departures") == [("2013-06-01-UA2-EWR",)]


def test_a_diverted_flight_departs_and_has_no_outcome(sources: Sources) -> None:
    sources.prepare(flights=[flight(arr_delay=None, air_time=None), flight(flight=2)])
    assert sources.ask("dep_delay, arr_delay, late, landed_at", "departures")[0] == (
        2,
        None,
        None,
        None,
    )


@pytest.mark.parametrize(("delay", "late"), [(15, False), (16, True)])
def test_late_is_more_than_a_quarter_of_an_hour(sources: Sources, delay: int, late: bool) -> None:
    sources.prepare(flights=[flight(arr_delay=delay)])
    assert sources.ask("late", "schedule") == [(late,)]
    assert sources.ask("late", "departures") == [(late,)]


def test_weather_is_known_when_its_hour_is_over(sources: Sources) -> None:
    hours = ["2013-11-03T05:00:00Z", "2013-11-03T06:00:00Z"]  # both one o'clock in New York
    sources.prepare(weather=[{**REPORT, "time_hour": hour} for hour in hours])
    assert sources.ask("report_id, reported_at::varchar", "weather") == [
        ("EWR-20131103T05", "2013-11-03 06:00:00+00"),
        ("EWR-20131103T06", "2013-11-03 07:00:00+00"),
    ]


def test_a_wind_that_cannot_be_is_not_known(sources: Sources) -> None:
    sources.prepare(weather=[{**REPORT, "wind_speed": 1048.36}])
    assert sources.ask("wind_speed, temp", "weather") == [(None, 50.0)]


@pytest.mark.parametrize(("year", "months"), [(2000, 12), (2013, 6), (None, 6)])
def test_a_new_plane_is_registered_once_it_has_flown(
    sources: Sources, year: int | None, months: int
) -> None:
    sources.prepare(planes=[{**PLANE, "year": year}])
    assert sources.ask("count(*), max(loaded_at)::varchar", "planes") == [
        (months, "2013-12-01 06:00:00+00")
    ]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    sources = Sources(tmp_path_factory.mktemp("flights"))
    prepare(package_data(), sources.folder / "out")
    return sources


def test_every_row_of_the_package_is_there(real: Sources) -> None:
    unique = "count(*), count(distinct flight_id), count(late)"
    assert real.ask(unique, "schedule") == [(336_776, 336_776, 327_346)]
    assert real.ask(unique, "departures") == [(328_521, 328_521, 327_346)]
    assert real.ask("count(*), count(distinct report_id)", "weather") == [(26_115, 26_115)]
    assert real.ask("count(*) = count(distinct (tail, as_of))", "planes") == [(True,)]


def test_no_flight_lands_before_it_has_been_in_the_air(real: Sources) -> None:
    ground = "min(date_diff('minute', departed_at, landed_at) - air_time)"
    assert real.ask(ground, "departures") == [(5,)]

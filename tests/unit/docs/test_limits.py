"""The README's list of what is not there: each line names the code that a user really meets."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proviso.contracts.base import InputError
from proviso.contracts.locations import Location
from proviso.contracts.sources import EventsSource
from proviso.history.duckdb.arriving import open_arrivals
from proviso.history.duckdb.source import label_of
from proviso.sources import open_source
from tests.unit.contracts.flights_case import contract_of, flights, put, told

ROOT = Path(__file__).parents[3]
VIEW, SERVICE = "feature_views/carrier_daily", "feature_services/late_service_v1"
COLUMNS = "sources/landings/columns"


def limits() -> dict[str, str]:
    """What is not there, and the code; `-` where there is none to meet."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    section = text.split("## What it does not do\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+?) \| (?:`(\w+)`|(-)) \|$", section, re.MULTILINE)
    return {said: code or none for said, code, none in rows}


def judged(path: str, value: Any) -> Callable[[Path], list[str]]:
    return lambda _: [problem.code for problem in told(put(flights(), path, value))]


def of_another_source(_: Path) -> list[str]:
    contract = contract_of(flights())
    views = contract.feature_views
    with pytest.raises(InputError) as error, open_arrivals(contract, views, "100MB"):
        pass
    return [problem.code for problem in error.value.problems]


def two_labels(_: Path) -> list[str]:
    observed = [
        {"name": label, "kind": "observations", "rows_of": "landings", "label": label}
        for label in ("late", "cancelled")
    ]
    data = put(flights(), "sources", [*flights()["sources"], *observed])
    data = put(data, f"{COLUMNS}/cancelled/known_at", "PT1H")
    contract = contract_of(put(data, f"{SERVICE}/observations", "bookings"))
    [landings] = [s for s in contract.sources if isinstance(s, EventsSource)][:1]
    with pytest.raises(InputError) as error:
        label_of(contract, landings)
    return [problem.code for problem in error.value.problems]


def elsewhere(folder: Path) -> list[str]:
    location = Location(path="gs://bucket/rows.parquet")
    with pytest.raises(InputError) as error, open_source(location, None, folder):
        pass
    return [problem.code for problem in error.value.problems]


MEETS: dict[str, Callable[[Path], list[str]]] = {
    "labels other": judged("sources/bookings/columns/late/dtype", "float64"),
    "strings as inputs": judged(f"{SERVICE}/features", ["carrier_ratings:alliance"]),
    "own functions": judged(
        "functions",
        [{"name": "f", "description": "-", "inputs": {"a": "float64"}, "output": "string"}],
    ),
    "approximate": judged(f"{VIEW}/aggregates/fares_7d_minor/function", "approx_percentile"),
    "columns of lists": judged(f"{COLUMNS}/fare/dtype", "date"),
    "aggregates over": judged(
        "feature_views/carrier_ratings/aggregates",
        [{"name": "n", "function": "count", "window": "P1D"}],
    ),
    "joins": judged(f"{VIEW}/features/fares_7d/sql", "(select max(x) from y)"),
    "two labels": two_labels,
    "a stream": of_another_source,
    "object stores": elsewhere,
}


def test_every_line_with_a_code_is_met_here() -> None:
    said = [line for line, code in limits().items() if code != "-"]
    assert len(limits()) == 12
    assert [line for line in said if not any(map(line.startswith, MEETS))] == []
    assert len(said) == len(MEETS)


@pytest.mark.parametrize("start", MEETS)
def test_a_user_meets_the_code_that_the_line_names(start: str, tmp_path: Path) -> None:
    code = next(code for line, code in limits().items() if line.startswith(start))
    assert code in MEETS[start](tmp_path)
    assert f"`{code}`" in (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")

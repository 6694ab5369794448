"""Edits of the flights contract: what a broken variant changes, and the comment that it gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proviso.contracts.paths import in_contract
from tests.unit.contracts.edits import Wrong
from tests.unit.contracts.flights_case import drop, put

Edit = Callable[[dict[str, Any]], dict[str, Any]]


def at(path: str, value: Any) -> Edit:
    return lambda data: put(data, path, value)


def without(path: str) -> Edit:
    return lambda data: drop(data, path)


def added(path: str, value: Any) -> Edit:
    """One more item of a list."""

    def edit(data: dict[str, Any]) -> dict[str, Any]:
        *steps, last = path.split("/")
        here: Any = data
        for step in (*steps, last):
            here = here[step] if isinstance(here, dict) else _named(here, step)
        return put(data, path, [*here, value])

    return edit


def _named(items: list[Any], name: str) -> Any:
    return next(item for item in items if item["name"] == name)


def both(first: Edit, second: Edit) -> Edit:
    return lambda data: second(first(data))


def wrong(code: str, path: str, found: str, wanted: str) -> Wrong:
    return Wrong(code, in_contract(path), found, wanted)


LANDINGS, BOOKINGS = "sources/landings", "sources/bookings"
DAILY, RATINGS = "feature_views/carrier_daily", "feature_views/carrier_ratings"
SERVICE = "feature_services/late_service_v1"
IN_DAILY, IN_RATINGS = "feature_views[carrier_daily]", "feature_views[carrier_ratings]"
IN_SERVICE = "feature_services[late_service_v1]"
OBSERVED = {"kind": "observations", "name": "seen", "rows_of": "landings", "label": "late"}
APPROVED = {"policy": "default", "approved_by": "ops@flights.example", "reason": "Agreed."}
EVENTS = {
    "kind": "events",
    "name": "swaps",
    "id": "swap_id",
    "event_timestamp": "at",
    "entities": ["carrier"],
}

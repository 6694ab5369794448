"""A version 2 contract of several sources, and edits that break it in one place."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

from proviso.contracts.base import ContractError, Problem
from proviso.contracts.contract import Contract
from proviso.contracts.loading import CONTRACT_FILE, parse_contract, parse_yaml
from proviso.contracts.validation.contract import contract_problems
from tests.unit.contracts.edits import TODAY, Wrong, edited

TEXT = """
version: 2
name: flights
description: Which flights will be late.
time_zone: America/New_York
defaults:
  owner: data@flights.example
  tolerance: {absolute: 0.000001, relative: 0}
  default: {policy: nan, approved_by: ops@flights.example, reason: A model knows a missing value.}
sources:
  - name: landings
    kind: events
    id: flight_id
    event_timestamp: departed_at
    arrival_timestamp: reported_at
    entities: [carrier, airport]
    keys: {airport: ORIGIN}
    columns:
      distance: {dtype: float64}
      seats: {dtype: int64, nullable: true}
      fare: {dtype: money, scale: 2}
      cancelled: {dtype: bool}
      arr_delay: {dtype: int64, nullable: true, known_at: landed_at}
      late: {dtype: bool, nullable: true, known_at: PT8H}
      tail: {dtype: string, column: TAIL NUM}
  - name: weather
    kind: events
    id: reading_id
    event_timestamp: measured_at
    entities: [airport]
    columns:
      wind: {dtype: int64}
  - name: ratings
    kind: table
    entities: [carrier]
    event_timestamp: as_of
    created_timestamp: loaded_at
    columns:
      rating: {dtype: float64}
      alliance: {dtype: string, nullable: true}
      debt: {dtype: money, scale: 2}
      founded: {dtype: timestamp}
  - name: bookings
    kind: observations
    id: flight_id
    event_timestamp: asked_at
    entities: [carrier, airport]
    columns:
      distance: {dtype: float64}
      planned: {dtype: timestamp}
      gate_delay: {dtype: int64, nullable: true, known_at: PT1H}
      late: {dtype: bool, nullable: true, known_at: {column: landed_at, delay: P1D}}
    label: late
entities:
  - {name: carrier, join_key: carrier_id, dtype: string, description: An airline.}
  - {name: airport, join_key: airport_id, dtype: string, description: Where flights start.}
feature_views:
  - name: carrier_daily
    description: How a carrier does.
    source: landings
    entities: [carrier]
    source_delay: PT10M
    temporal_join_lookback: P7D
    online_ttl: PT26H
    freshness_slo: PT25H
    publication: {schedule: P1D, duration: PT10M}
    population: P365D
    aggregates:
      - {name: flights, function: count, windows: [P1D, P7D]}
      - {name: late, function: count, dated: known, where: late, windows: [P1D, P7D]}
      - {name: fares_7d_minor, function: sum, of: fare, window: P7D}
    features:
      - flights
      - {name: late_7d, default: {policy: reject}}
      - {name: fares_7d, description: Fares., sql: fares_7d_minor / 100}
  - name: airport_weather
    description: How the weather is.
    source: weather
    entities: [airport]
    source_delay: PT10M
    temporal_join_lookback: P7D
    online_ttl: PT3H
    freshness_slo: PT2H
    publication: {schedule: PT1H, duration: PT10M}
    population: P365D
    aggregates:
      - {name: readings_1d, function: count, window: P1D}
  - name: carrier_ratings
    description: What others say of a carrier.
    source: ratings
    entities: [carrier]
    source_delay: PT10M
    temporal_join_lookback: P7D
    online_ttl: PT26H
    freshness_slo: PT25H
    publication: {schedule: P1D, duration: PT10M}
    population: P365D
    features: [rating, alliance, debt]
feature_services:
  - name: late_service_v1
    model: late_model:1.0.0
    description: What the model consumes.
    request_features: [distance, hour_of_day]
    features:
      - carrier_daily: [flights_1d, late_7d]
      - carrier_ratings:rating
quality_gates:
  - {name: no_skew, metric: skew_failure_rate, max: 0, schedule: P1D, blocks: shadow}
"""


@cache
def flights() -> dict[str, Any]:
    """The contract's plain data, which passes."""
    data: dict[str, Any] = parse_yaml(CONTRACT_FILE, TEXT)
    return data


def contract_of(data: dict[str, Any]) -> Contract:
    return parse_contract(CONTRACT_FILE, data)[0]


def told(data: dict[str, Any]) -> list[Problem]:
    """Every problem of a contract, as its file states it."""
    try:
        contract, form = parse_contract(CONTRACT_FILE, data)
    except ContractError as error:
        return error.problems
    return form.told(contract_problems(contract, TODAY))


def found(data: dict[str, Any]) -> list[Wrong]:
    return [Wrong(p.code, p.path, p.found, p.wanted) for p in told(data)]


def put(data: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The data with a value at a path such as `sources/landings/id`; a missing key is added."""
    *steps, last = path.split("/")
    whole = copy.deepcopy(data)
    here: Any = whole
    for step in steps:
        here = here[step] if isinstance(here, dict) else _named(here, step)
    if isinstance(here, dict):
        here[last] = value
    else:
        here[[_name(item) for item in here].index(last)] = value
    return whole


def drop(data: dict[str, Any], path: str) -> dict[str, Any]:
    changed: dict[str, Any] = edited(data, path, lambda here, at: here.__delitem__(at))
    return changed


def _named(items: list[Any], name: str) -> Any:
    return next(item for item in items if _name(item) == name)


def _name(item: Any) -> Any:
    return item.get("name") if isinstance(item, dict) else item

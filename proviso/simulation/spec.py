"""`simulation.yml` beside the contract, typed: how simulated events behave.

The contract states the columns; this file states how often entities act, where, for what amounts,
how late events arrive, and what makes a label true. It works for any contract.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from feature_runtime.core.moments import DAY, parse_moment
from proviso.contracts.base import ContractError, Duration, Name, Problem, Strict
from proviso.contracts.contract import Contract
from proviso.contracts.loading import SIMULATION_FILE, load_model

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e9)]


def _moment(value: Any) -> int:
    if not isinstance(value, str):
        raise ValueError(f"found {value!r}, wanted a quoted RFC 3339 moment")
    return parse_moment(value)


Moment = Annotated[int, BeforeValidator(_moment)]
"""Microseconds, written as an RFC 3339 moment."""


class Ids(Strict):
    """String ids: `prefix` and a number of `digits` digits, from 1."""

    prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{0,16}$")]
    digits: Annotated[int, Field(ge=1, le=12)]


class Activity(Strict):
    """Events a day: each actor's own rate is lognormal around `mean`."""

    mean: Positive
    spread: Annotated[float, Field(ge=0, le=3)]


class Population(Strict):
    """Entities on the plane; a share of them first appears on some day of the period."""

    entity: Name
    count: Annotated[int, Field(ge=1, le=1_000_000)]
    ids: Ids | None = None
    newcomers: Share = 0.0


class Actor(Population):
    """The entity whose activity makes the events; its partners lie within `reach`."""

    events_per_day: Activity
    reach: Annotated[float, Field(gt=0, le=150)]


class Range(Strict):
    min: Positive
    max: Positive


class Amount(Strict):
    """A number: the actor's mean (uniform in the range) times a lognormal of `spread`."""

    kind: Literal["amount"]
    mean: Range
    spread: Annotated[float, Field(ge=0, le=3)]
    floor: float = 0.0
    ceiling: Positive


class Flag(Strict):
    """A column that is true for a share of events, at random."""

    kind: Literal["flag"]
    share: Share


class Arrival(Strict):
    """How long after an event it arrives; exponential around the means."""

    typical: Duration
    late_share: Share
    late_from: Duration
    late_mean: Duration


class LabelMoments(Strict):
    """When a true label becomes known after its event."""

    from_: Annotated[Duration, Field(alias="from")]
    mean: Duration


class Threshold(Strict):
    """A column above a bound makes the label true with `probability`."""

    kind: Literal["threshold"]
    name: Name
    column: Name
    above: float
    probability: Share


class Burst(Strict):
    """On every day of an episode about `events` additional events `within` a short time."""

    events: Annotated[float, Field(gt=0, le=1000)]
    within: Annotated[Duration, Field(gt=0)]


class Compromise(Strict):
    """Episodes: an entity is compromised for a while, and its events are then true at times.

    per_day: new episodes a day. multiply: factors on columns of the events that are true.
    burst: additional events, all true; only of the actor.
    """

    kind: Literal["compromise"]
    name: Name
    entity: Name
    per_day: Annotated[float, Field(gt=0, le=1000)]
    lasts: Annotated[Duration, Field(ge=DAY)]
    probability: Share
    multiply: dict[Name, Positive] = Field(default_factory=dict)
    burst: Burst | None = None


class Simulation(Strict):
    """The whole file."""

    version: Literal[1]
    days: Annotated[int, Field(ge=1, le=1000)]
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)]
    end: Moment
    row_ids: Ids | None = None
    actor: Actor
    partners: list[Population] = Field(default_factory=list)
    hours: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=24, max_length=24)]
    weekend: Annotated[float, Field(ge=0, le=10)] = 1.0
    columns: dict[Name, Annotated[Amount | Flag, Field(discriminator="kind")]]
    arrival: Arrival
    label: LabelMoments | None = None
    scenarios: list[Annotated[Threshold | Compromise, Field(discriminator="kind")]] = Field(
        default_factory=list
    )

    @model_validator(mode="after")
    def _hours_weigh_something(self) -> Simulation:
        if sum(self.hours) <= 0:
            raise ValueError("found hours without weight, wanted at least one above zero")
        return self

    @property
    def populations(self) -> tuple[Population, ...]:
        return (self.actor, *self.partners)


def load_simulation(directory: Path, contract: Contract) -> Simulation:
    """The simulation of a contracts directory. Raises ContractError where the two do not fit."""
    spec = load_model(directory / SIMULATION_FILE, Simulation)
    problems = [
        *_population_problems(spec, contract),
        *_column_problems(spec, contract),
        *_label_problems(spec, contract),
        *_scenario_problems(spec),
    ]
    if problems:
        raise ContractError(problems)
    return spec


def _population_problems(spec: Simulation, contract: Contract) -> list[Problem]:
    found = [population.entity for population in spec.populations]
    wanted = [entity.name for entity in contract.entities]
    if sorted(found) != sorted(wanted):
        why = "every entity of the contract needs one population"
        path, code = f"{SIMULATION_FILE}: actor, partners", "simulation_entity_mismatch"
        return [Problem(path, str(found), str(wanted), why, code)]
    return [
        Problem(
            f"{SIMULATION_FILE}: {population.entity}.ids",
            "none" if population.ids is None else "a prefix",
            "a prefix and digits" if population.ids is None else "none",
            f"the contract says that ids of {population.entity} are {dtype}",
            "simulation_ids_mismatch",
        )
        for population in spec.populations
        if (population.ids is None)
        != ((dtype := contract.entity_by_name[population.entity].dtype) == "int64")
    ]


def _column_problems(spec: Simulation, contract: Contract) -> list[Problem]:
    columns, code = contract.observations_of().columns, "simulation_column_mismatch"
    if set(spec.columns) != set(columns):
        path = f"{SIMULATION_FILE}: columns"
        return [Problem(path, str(sorted(spec.columns)), str(sorted(columns)), code=code)]
    return [
        Problem(f"{SIMULATION_FILE}: columns.{name}.kind", column.kind, wanted, code=code)
        for name, column in spec.columns.items()
        if column.kind != (wanted := "flag" if columns[name].dtype == "bool" else "amount")
    ]


def _label_problems(spec: Simulation, contract: Contract) -> list[Problem]:
    if spec.label is None or contract.observations_of().label.known_at is not None:
        return []
    why = "the contract names no column for the moment, so the label's delay alone decides"
    path, code = f"{SIMULATION_FILE}: label", "simulation_label_unexpected"
    return [Problem(path, "moments of true labels", "none", why, code)]


def _scenario_problems(spec: Simulation) -> list[Problem]:
    amounts = sorted(name for name, column in spec.columns.items() if column.kind == "amount")
    entities = [population.entity for population in spec.populations]
    problems, code = [], "simulation_scenario_invalid"
    for scenario in spec.scenarios:
        path = f"{SIMULATION_FILE}: scenarios[{scenario.name}]"
        if isinstance(scenario, Threshold):
            if scenario.column not in amounts:
                wanted = f"one of {amounts}"
                problems.append(Problem(f"{path}.column", scenario.column, wanted, code=code))
            continue
        if scenario.entity not in entities:
            wanted = f"one of {entities}"
            problems.append(Problem(f"{path}.entity", scenario.entity, wanted, code=code))
        problems += [
            Problem(f"{path}.multiply", name, f"one of {amounts}", code=code)
            for name in scenario.multiply
            if name not in amounts
        ]
        if scenario.burst is not None and scenario.entity != spec.actor.entity:
            why = "only the actor starts events"
            wanted = spec.actor.entity
            problems.append(Problem(f"{path}.burst", scenario.entity, wanted, why, code))
    return problems

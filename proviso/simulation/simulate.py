"""Simulates the source table of any contract: seeded and vectorized.

The table holds what an extract at `end` would hold: only events that have arrived by then. Labels
are the exception: all are given, with the moment at which each becomes known, also when that
lies after `end`; readers of a label must respect that moment.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from feature_runtime.core.moments import DAY, HOUR, SECOND, format_moment, now
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.contracts.files import replacing
from proviso.contracts.sources import Column
from proviso.simulation.spec import (
    Amount,
    Burst,
    Compromise,
    Flag,
    Simulation,
    Threshold,
    load_simulation,
)
from proviso.simulation.world import Crowd, Floats, Integers, ids_of, reach_of, settle

Bools = NDArray[np.bool_]
END_KEY = b"proviso.simulation.end"
"""Key of a file's metadata that holds the end of its world, in microseconds, where that was still
to come when the file was made: readers take it for the clock."""
MAX_EVENTS = 50_000_000
_THURSDAY = 3  # 1970-01-01; Monday is 0
_MILLISECOND = 1_000


@dataclass(frozen=True)
class Simulated:
    """What was written; `late` events arrived after `late_from`; `true` labels are positive."""

    path: Path
    rows: int
    late: int
    true: int
    start: int
    end: int

    @property
    def text(self) -> str:
        """One line for a person."""
        return (
            f"{self.rows:,} rows from {format_moment(self.start)} to {format_moment(self.end)}, "
            f"{self.late / max(self.rows, 1):.1%} late, "
            f"{self.true / max(self.rows, 1):.2%} true: {self.path}"
        )


@dataclass(frozen=True)
class Events:
    """m events: indices of the actor and of one partner per population, moments, burst marks.

    burst: [m] the number of the scenario that added the event, -1 for ordinary ones.
    """

    actor: Integers
    moment: Integers
    burst: Integers
    partners: tuple[Integers, ...] = ()

    def take(self, rows: Integers | Bools) -> Events:
        partners = tuple(partner[rows] for partner in self.partners)
        return Events(self.actor[rows], self.moment[rows], self.burst[rows], partners)


@dataclass(frozen=True)
class Episode:
    """An entity, by index, is compromised in [start, end)."""

    entity: int
    start: int
    end: int


@dataclass(frozen=True)
class World:
    """The inputs of all random draws: the spec, the span in microseconds, crowds by entity."""

    spec: Simulation
    start: int
    end: int
    crowds: dict[str, Crowd]
    rng: np.random.Generator

    @property
    def first_day(self) -> int:
        return self.start // DAY

    @property
    def days(self) -> int:
        """Calendar days that the span touches."""
        return -(-self.end // DAY) - self.first_day


@dataclass(frozen=True)
class Made:
    """All events of a world from `start` on, in time order, as the source's table.

    arrival: [m] microseconds. late: [m] whether an event arrived after `late_from`.
    """

    table: pa.Table
    arrival: Integers
    late: Bools
    start: int

    def written(self, contract: Contract, rows: Integers, path: Path, end: int) -> Simulated:
        """The summary of a file that holds some of the rows, up to `end`."""
        labels = self.table[contract.observations_of().label.column].to_numpy()[rows]
        late, true = int(np.sum(self.late[rows])), int(np.sum(labels))
        return Simulated(path, len(rows), late, true, self.start, end)


def simulate(
    directory: Path,
    contract: Contract,
    out: Path,
    days: int | None = None,
    seed: int | None = None,
    end: int | None = None,
) -> Simulated:
    """Writes `days` days of events up to `end` (microseconds) to a Parquet file.

    directory: where simulation.yml is, which also has the defaults. The same contract,
    simulation, days, seed and end give the same rows, and the same bytes where
    the end is past. Raises ContractError, InputError.
    """
    return simulate_transactions(contract, chosen(directory, contract, days, seed, end), out)


def chosen(
    directory: Path, contract: Contract, days: int | None, seed: int | None, end: int | None
) -> Simulation:
    """The directory's simulation; what is given replaces its defaults."""
    given = {"days": days, "seed": seed, "end": end}
    changes = {name: value for name, value in given.items() if value is not None}
    return load_simulation(directory, contract).model_copy(update=changes)


def simulate_transactions(contract: Contract, spec: Simulation, out: Path) -> Simulated:
    """The same for a simulation that is already loaded. Raises InputError."""
    made = make_up(contract, spec)
    arrived = np.flatnonzero(made.arrival <= spec.end)
    row_ids = pa.array(ids_of(len(arrived), spec.row_ids))
    table = made.table.take(arrived).set_column(0, contract.observations_of().id, row_ids)
    if spec.end > now():
        table = table.replace_schema_metadata({END_KEY: str(spec.end)})
    write_events(table, out)
    return made.written(contract, arrived, out, spec.end)


def make_up(contract: Contract, spec: Simulation) -> Made:
    """All events of the span in time order. Raises InputError."""
    _check_size(spec)
    world = _world(spec)
    episodes = [_episodes(world, scenario) for scenario in spec.scenarios]
    events = _events(world, episodes)
    values, truth = _outcomes(world, contract, events, episodes)
    return _made(world, contract, events, values, truth)


def write_events(table: pa.Table, out: Path) -> None:
    """Writes the file whole or not at all."""
    with replacing(out) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _check_size(spec: Simulation) -> None:
    expected = spec.actor.count * spec.actor.events_per_day.mean * spec.days
    if expected > MAX_EVENTS:
        found, code = f"about {expected:.0f} events", "simulation_too_large"
        raise InputError.of("--days", found, f"at most {MAX_EVENTS}", code=code)
    if spec.end < spec.days * DAY:
        found, code = format_moment(spec.end), "simulation_before_1970"
        raise InputError.of("--end", found, "a span that starts after 1970", code=code)


def _world(spec: Simulation) -> World:
    rng = np.random.default_rng(spec.seed)
    world = World(spec, spec.end - spec.days * DAY, spec.end, {}, rng)
    crowds = {p.entity: settle(p, world.days, rng) for p in spec.populations}
    return replace(world, crowds=crowds)


def _episodes(world: World, scenario: Threshold | Compromise) -> list[Episode]:
    """Episodes of a scenario; some begin before the span, so that its first days are typical."""
    if isinstance(scenario, Threshold):
        return []
    earliest = world.start - scenario.lasts
    count = world.rng.poisson(scenario.per_day * (world.end - earliest) / DAY)
    entities = world.rng.integers(0, len(world.crowds[scenario.entity]), count)
    starts = world.rng.integers(earliest, world.end, count)
    return [
        Episode(entity, start, start + scenario.lasts)
        for entity, start in zip(entities.tolist(), starts.tolist(), strict=True)
    ]


def _events(world: World, episodes: list[list[Episode]]) -> Events:
    """All events of the span in time order, each with its partners."""
    parts = [_ordinary(world)]
    for number, scenario in enumerate(world.spec.scenarios):
        if isinstance(scenario, Compromise) and scenario.burst is not None:
            parts += [_bursts(world, number, scenario.burst, e) for e in episodes[number]]
    events = Events(
        np.concatenate([part.actor for part in parts]),
        np.concatenate([part.moment for part in parts]),
        np.concatenate([part.burst for part in parts]),
    )
    events = events.take((events.moment >= world.start) & (events.moment < world.end))
    events = events.take(np.lexsort((events.actor, events.moment)))
    return _with_partners(world, events)


def _ordinary(world: World) -> Events:
    """Every actor at its own rate, from the day on which it appears."""
    actor, rng = world.spec.actor, world.rng
    crowd = world.crowds[actor.entity]
    spread = actor.events_per_day.spread
    own = actor.events_per_day.mean * np.exp(rng.normal(-(spread**2) / 2, spread, len(crowd)))
    busiest = max(1.0, world.spec.weekend)
    present = world.days - crowd.appears
    actors = np.repeat(np.arange(len(crowd)), rng.poisson(own * busiest * present))
    day = crowd.appears[actors] + (rng.random(len(actors)) * present[actors]).astype(np.int64)
    weekday = (world.first_day + day + _THURSDAY) % 7
    weight = np.where(weekday >= 5, world.spec.weekend, 1.0) / busiest
    kept = rng.random(len(actors)) < weight
    actors, day = actors[kept], day[kept]
    moment = (world.first_day + day) * DAY + _time_of_day(world, len(actors))
    return Events(actors, moment, np.full(len(actors), -1))


def _bursts(world: World, number: int, burst: Burst, episode: Episode) -> Events:
    """On each day of an episode a few events of the actor in quick succession."""
    days = np.arange(episode.start // DAY, episode.end // DAY)
    counts = world.rng.poisson(burst.events, len(days))
    begin = np.repeat(days * DAY + _time_of_day(world, len(days)), counts)
    within = world.rng.integers(0, burst.within // SECOND + 1, len(begin)) * SECOND
    actors = np.full(len(begin), episode.entity)
    appeared = (world.first_day + world.crowds[world.spec.actor.entity].appears[actors]) * DAY
    events = Events(actors, begin + within, np.full(len(begin), number))
    return events.take(events.moment >= appeared)


def _time_of_day(world: World, count: int) -> Integers:
    """Microseconds since midnight, whole seconds, by the profile of hours."""
    weights = np.array(world.spec.hours) / sum(world.spec.hours)
    hours = world.rng.choice(24, count, p=weights)
    return np.asarray(hours * HOUR + world.rng.integers(0, 3600, count) * SECOND)


def _with_partners(world: World, events: Events) -> Events:
    """A partner of each population within reach; one that has not appeared yet makes no event."""
    actors = world.crowds[world.spec.actor.entity]
    day = events.moment // DAY - world.first_day
    chosen, there = [], np.ones(len(day), dtype=np.bool_)
    for population in world.spec.partners:
        crowd = world.crowds[population.entity]
        partner = reach_of(world.spec.actor, actors, crowd).choose(events.actor, world.rng)
        there &= crowd.appears[partner] <= day
        chosen.append(partner)
    return replace(events, partners=tuple(chosen)).take(there)


def _outcomes(
    world: World, contract: Contract, events: Events, episodes: list[list[Episode]]
) -> tuple[dict[str, Floats], Bools]:
    """The numeric columns and the truth of every event, scenario by scenario."""
    columns = contract.observations_of().columns
    values = {
        name: _draw(world, column, events.actor) for name, column in world.spec.columns.items()
    }
    truth = np.zeros(len(events.actor), dtype=np.bool_)
    for number, scenario in enumerate(world.spec.scenarios):
        lucky = world.rng.random(len(truth)) < scenario.probability
        if isinstance(scenario, Threshold):
            truth |= lucky & (values[scenario.column] > scenario.above)
            continue
        inside = _inside(world, scenario, events, episodes[number])
        hit = (inside & lucky) | (events.burst == number)
        for name, factor in scenario.multiply.items():
            values[name] = np.where(hit, values[name] * factor, values[name])
        truth |= hit
    return {name: _rounded(world, name, columns[name], v) for name, v in values.items()}, truth


def _inside(world: World, scenario: Compromise, events: Events, episodes: list[Episode]) -> Bools:
    """Events of a compromised entity during its episode."""
    names = [population.entity for population in world.spec.populations]
    entities = (events.actor, *events.partners)[names.index(scenario.entity)]
    inside = np.zeros(len(entities), dtype=np.bool_)
    for episode in episodes:
        first, last = np.searchsorted(events.moment, [episode.start, episode.end])
        inside[first:last] |= entities[first:last] == episode.entity
    return inside


def _draw(world: World, column: Amount | Flag, actor: Integers) -> Floats:
    rng = world.rng
    if isinstance(column, Flag):
        return (rng.random(len(actor)) < column.share).astype(np.float64)
    own = rng.uniform(column.mean.min, column.mean.max, world.spec.actor.count)
    noise = rng.normal(-(column.spread**2) / 2, column.spread, len(actor))
    return np.asarray(own[actor] * np.exp(noise))


def _rounded(world: World, name: str, column: Column, values: Floats) -> Floats:
    """Within the column's bounds, money in whole minor units."""
    made = world.spec.columns[name]
    if isinstance(made, Amount):
        values = np.clip(values, made.floor, made.ceiling)
    unit = 10 ** {"money": column.scale, "float64": 3}.get(column.dtype, 0)
    return np.asarray(np.rint(values * unit) / unit)


def _made(
    world: World, contract: Contract, events: Events, values: dict[str, Floats], truth: Bools
) -> Made:
    """The source table of all events, numbered in their order."""
    source, rng = contract.observations_of(), world.rng
    delay = _arrival_delay(world, len(truth))
    if source.arrival_timestamp is None:
        delay = np.zeros_like(delay)
    arrival, known = events.moment + delay, events.moment + _label_delay(world, contract, truth)
    columns: dict[str, pa.Array] = {
        source.id: pa.array(ids_of(len(truth), world.spec.row_ids)),
        source.event_timestamp: _moments(events.moment),
    }
    if source.arrival_timestamp is not None:
        columns[source.arrival_timestamp] = _moments(arrival)
    members = (events.actor, *events.partners)
    for population, indices in zip(world.spec.populations, members, strict=True):
        ids = ids_of(population.count, population.ids)
        key = contract.entity_by_name[population.entity].join_key
        columns[key] = pa.array(ids[rng.permutation(population.count)][indices])
    for name, column in source.columns.items():
        columns[name] = _typed(column, values[name])
    columns[source.label.column] = pa.array(truth.astype(np.int8))
    if source.label.known_at is not None:
        columns[source.label.known_at] = _moments(known)
    return Made(pa.table(columns), arrival, delay > world.spec.arrival.late_from, world.start)


def _arrival_delay(world: World, count: int) -> Integers:
    """Microseconds, whole milliseconds: a few seconds for most, more than `late_from` for some."""
    spec, rng = world.spec.arrival, world.rng
    punctual = np.minimum(rng.exponential(1.0, count) * spec.typical, spec.late_from)
    late = spec.late_from + SECOND + rng.exponential(1.0, count) * spec.late_mean
    delay = np.where(rng.random(count) < spec.late_share, late, punctual)
    return delay.astype(np.int64) // _MILLISECOND * _MILLISECOND


def _label_delay(world: World, contract: Contract, truth: Bools) -> Integers:
    """Microseconds from the event to the moment its label is known."""
    latest = contract.observations_of().label.delay
    spec = world.spec.label
    if spec is None:
        return np.full(len(truth), latest)
    early = spec.from_ + world.rng.exponential(1.0, len(truth)) * spec.mean
    delay = np.where(truth, np.minimum(early, latest), latest).astype(np.int64)
    return np.asarray(delay // SECOND * SECOND)


def _typed(column: Column, values: Floats) -> pa.Array:
    if column.dtype == "int64":
        return pa.array(values.astype(np.int64))
    return pa.array(values.astype(np.bool_) if column.dtype == "bool" else values)


def _moments(values: Integers) -> pa.Array:
    return pa.array(values.astype(np.int64), pa.timestamp("us", tz="UTC"))

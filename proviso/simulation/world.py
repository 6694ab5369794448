"""Entities on a plane: where each population lives, and which partners an actor can reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proviso.simulation.spec import Actor, Ids, Population

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

PLANE = 100.0
_CHUNK = 256


@dataclass(frozen=True)
class Crowd:
    """n entities: their place [n, 2] on the plane and the day (0, 1, ...) on which each appears."""

    place: Floats
    appears: Integers

    def __len__(self) -> int:
        return len(self.appears)


@dataclass(frozen=True)
class Reach:
    """For every actor the partners around it: `partners[starts[i] : starts[i] + counts[i]]`."""

    starts: Integers
    counts: Integers
    partners: Integers

    def choose(self, actors: Integers, rng: np.random.Generator) -> Integers:
        """One partner at random for each of the actors [m]."""
        steps = (rng.random(len(actors)) * self.counts[actors]).astype(np.int64)
        return np.asarray(self.partners[self.starts[actors] + steps])


def settle(population: Population, days: int, rng: np.random.Generator) -> Crowd:
    """Places a population; newcomers appear on some day after the first."""
    place = rng.random((population.count, 2)) * PLANE
    new = rng.random(population.count) < population.newcomers
    day = rng.integers(1, max(days, 2), population.count)
    return Crowd(place, np.where(new, day, 0).astype(np.int64))


def reach_of(actor: Actor, actors: Crowd, partners: Crowd) -> Reach:
    """Partners within the actor's reach, or the nearest partner if none is."""
    found = list(_within(actor.reach, actors, partners))
    counts = np.array([len(near) for near in found], dtype=np.int64)
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
    return Reach(starts, counts, np.concatenate(found).astype(np.int64))


def ids_of(count: int, ids: Ids | None) -> NDArray[np.object_] | Integers:
    """`count` ids from 1: integers, or strings of a prefix and digits."""
    if ids is None:
        return np.arange(1, count + 1, dtype=np.int64)
    texts = [f"{ids.prefix}{number:0{ids.digits}d}" for number in range(1, count + 1)]
    return np.array(texts, dtype=np.object_)


def _within(reach: float, actors: Crowd, partners: Crowd) -> Iterator[Integers]:
    for start in range(0, len(actors), _CHUNK):
        block = actors.place[start : start + _CHUNK, None, :] - partners.place[None, :, :]
        squared = (block**2).sum(axis=2)
        for row in squared:
            near = np.flatnonzero(row <= reach**2)
            yield near if len(near) else np.array([row.argmin()])

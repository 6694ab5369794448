"""How often the drift check is right: false alarms without drift, detection of some drifts.

Features are drawn for projects of different sizes. A value is normal and partly its entity's own
(`likeness`), so that predictions of one entity repeat each other; served entities are others than
those of training, which is the least favourable case. A shift by s standard deviations is a PSI of
about s squared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core.availability import Status
from proviso.checks.drift import (
    FALSE_ALARMS,
    USUAL_BOUND,
    DriftTerms,
    FeatureDrift,
    feature_drift,
)
from proviso.checks.served_values import ServedFeature
from proviso.training.distribution import Reference, distribution_of

FEATURES = 20
"""Features of a release; each is judged with its part of the check's false alarms."""

Progress = Callable[[str], None]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Size:
    """Entities, and predictions of each, in training and served."""

    name: str
    trained: tuple[int, int]
    served: tuple[int, int]


@dataclass(frozen=True)
class Change:
    """What happens to a served feature: a shift (standard deviations), nulls, or one value."""

    name: str
    shift: float = 0.0
    nulls: float = 0.0
    constant: bool = False


@dataclass(frozen=True)
class Line:
    """Shares of verdicts of a feature, and of checks of a release in which any is DRIFT."""

    size: str
    likeness: float
    change: str
    drift: float
    inconclusive: float
    alarmed: float


SIZES = (
    Size("100 entities", (100, 50), (100, 10)),
    Size("1,000 entities, a day of 300", (1_000, 20), (300, 5)),
    Size("20,000 entities, a day of 3,000", (20_000, 1), (3_000, 2)),
)
LIKENESSES = (0.0, 0.5, 1.0)
CHANGES = (
    Change("none"),
    Change("shift .5 sd", shift=0.5),
    Change("shift 1 sd", shift=1.0),
    Change("10% NULL", nulls=0.1),
    Change("30% NULL", nulls=0.3),
    Change("all NULL", nulls=1.0),
    Change("constant", constant=True),
)


def measure(rounds: int, progress: Progress) -> Iterator[Line]:
    """A line for each size, likeness and change; every round is a check of FEATURES features."""
    for size in SIZES:
        for likeness in LIKENESSES:
            progress(f"{size.name}, likeness {likeness:g}")
            for change in CHANGES:
                yield _line(size, likeness, change, rounds)


def table(lines: list[Line]) -> str:
    """The lines as Markdown."""
    head = "| project | likeness | change | DRIFT | INCONCLUSIVE | checks with a DRIFT |"
    rows = [
        f"| {one.size} | {one.likeness:g} | {one.change} | {one.drift:.1%} "
        f"| {one.inconclusive:.1%} | {one.alarmed:.1%} |"
        for one in lines
    ]
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def _line(size: Size, likeness: float, change: Change, rounds: int) -> Line:
    counts: Counter[str] = Counter()
    alarmed = 0
    for number in range(rounds):
        chance = np.random.default_rng([number, len(change.name), int(likeness * 10)])
        verdicts = Counter(
            _feature(size, likeness, change, chance).verdict for _ in range(FEATURES)
        )
        counts += verdicts
        alarmed += verdicts["DRIFT"] > 0
    whole = rounds * FEATURES
    return Line(
        size.name,
        likeness,
        change.name,
        counts["DRIFT"] / whole,
        counts["INCONCLUSIVE"] / whole,
        alarmed / rounds,
    )


def _feature(
    size: Size, likeness: float, change: Change, chance: np.random.Generator
) -> FeatureDrift:
    values, owners = _values(size.trained, likeness, chance)
    known = Reference(distribution_of(values, owners), 0.0, 0.0, 0.0)
    served = _served(known, *_values(size.served, likeness, chance), change, chance)
    terms = DriftTerms(USUAL_BOUND, FALSE_ALARMS / FEATURES)
    return feature_drift("bench:feature", known, served, terms)


def _values(
    counts: tuple[int, int], likeness: float, chance: np.random.Generator
) -> tuple[Floats, NDArray[np.int64]]:
    """(values, their entities), normal with variance 1."""
    entities, each = counts
    owners = np.repeat(np.arange(entities), each)
    own = chance.normal(size=entities)[owners]
    return sqrt(likeness) * own + sqrt(1 - likeness) * chance.normal(size=len(owners)), owners


def _served(
    known: Reference,
    values: Floats,
    owners: NDArray[np.int64],
    change: Change,
    chance: np.random.Generator,
) -> ServedFeature:
    found = ServedFeature.of(known.distribution)
    changed = np.zeros(len(values)) if change.constant else values + change.shift
    nulls = chance.random(len(values)) < change.nulls
    for owner, value, null in zip(owners, changed, nulls, strict=True):
        found.add(int(owner), Status.NULL if null else Status.OK, float(value))
    return found

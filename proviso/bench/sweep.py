"""How many inferences a second the predictor of a release makes, and how late, by batching setting.

One Triton for each setting, all running at once and measured in turn: equal configurations differ
by a third from one minute to the next on a busy machine, so only figures of one round are compared.
What is chosen from these figures, and how they are shown, is in sweep_choice and sweep_report.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from proviso.bench.sweep_analyzer import Measured, NoFigures
from proviso.bench.sweep_settings import Setting

EMBEDDED = "embedded"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Contender:
    """A running predictor. where: EMBEDDED, or how a deployed one is reached."""

    where: str
    setting: Setting
    address: str
    release: str
    max_batch_size: int

    @property
    def name(self) -> str:
        return f"{self.where}: batching {self.setting.name}"


@dataclass(frozen=True)
class Spread:
    """A figure over the rounds."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))


@dataclass
class Point:
    """A contender at one concurrency; a round without figures is None."""

    concurrency: int
    rounds: list[Measured | None] = field(default_factory=list)

    @property
    def measured(self) -> list[Measured]:
        return [one for one in self.rounds if one is not None]

    def spread(self, figure: Callable[[Measured], float]) -> Spread:
        """Only for a point that has figures."""
        return Spread.of([figure(one) for one in self.measured])

    @property
    def throughput(self) -> Spread:
        return self.spread(lambda one: one.throughput)

    @property
    def p95_ms(self) -> Spread:
        return self.spread(lambda one: one.p95_ms)


@dataclass(frozen=True)
class Curve:
    """All points of a contender, by rising concurrency."""

    contender: Contender
    points: tuple[Point, ...]

    @property
    def known(self) -> list[Point]:
        """The points that have figures."""
        return [point for point in self.points if point.measured]


Measure = Callable[[Contender, int], Measured]


def sweep(
    contenders: Sequence[Contender],
    concurrencies: Sequence[int],
    rounds: int,
    measure: Measure,
    progress: Progress,
) -> list[Curve]:
    """Measures every contender at every concurrency, `rounds` times in turn."""
    curves = [Curve(c, tuple(Point(n) for n in sorted(concurrencies))) for c in contenders]
    for number in range(rounds):
        progress(f"round {number + 1} of {rounds}")
        for curve, point in _turns(curves, number):
            point.rounds.append(_measured(curve.contender, point.concurrency, measure, progress))
    return curves


def _turns(curves: Sequence[Curve], number: int) -> Iterator[tuple[Curve, Point]]:
    """All contenders at one concurrency, then at the next; another one begins in each round."""
    first = number % len(curves)
    for position in range(len(curves[0].points)):
        for curve in [*curves[first:], *curves[:first]]:
            yield curve, curve.points[position]


def _measured(
    contender: Contender, concurrency: int, measure: Measure, progress: Progress
) -> Measured | None:
    try:
        found = measure(contender, concurrency)
    except NoFigures:
        progress(f"  {contender.name}, concurrency {concurrency}: left out of this round")
        return None
    progress(
        f"  {contender.name}, concurrency {concurrency}: {found.throughput:,.0f}/s,"
        f" p95 {found.p95_ms:.1f} ms"
    )
    return found

"""Chooses a batching setting from the figures of a sweep, within the latency budget. Pure.

The order is NVIDIA's (Triton user guide, "Batchers: recommended configuration process"): keep the
largest batch that the model takes, turn dynamic batching on without a delay, measure, and raise the
delay only while latency stays inside the budget. A delay has to earn its place: what not every
round shows is no difference.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proviso.bench.sweep import Curve, Point, Spread
from proviso.bench.sweep_settings import Setting
from proviso.contracts.plan import Plan

REST_SHARE = 0.5
MARGIN = 1.05
"""The least median gain for which a longer delay is chosen."""
MIN_ROUNDS = 3
"""The least number of rounds: equal configurations differ by a third between rounds."""


@dataclass(frozen=True)
class Budget:
    """The plan's p95 at the transformer's edge, and what is left of it for the predictor."""

    p95_ms: float
    rest_ms: float
    assumption: str

    @property
    def predictor_ms(self) -> float:
        return self.p95_ms - self.rest_ms


@dataclass(frozen=True)
class Choice:
    """reasons: one sentence for each step. agrees: with the plan as it stands; None without a
    setting."""

    setting: Setting | None
    reasons: tuple[str, ...]
    agrees: bool | None


def budget_of(plan: Plan, rest_ms: float | None) -> Budget:
    """rest_ms: latency of everything but the predictor; None: half of the budget is assumed."""
    whole = float(plan.latency_slo.p95_ms)
    if rest_ms is not None:
        return Budget(whole, rest_ms, "given: what everything but the predictor takes")
    text = "assumed: half is left to the transformer, the store, the record and the network"
    return Budget(whole, whole * REST_SHARE, text)


def choose(curves: Sequence[Curve], budget: Budget, plan: Plan) -> Choice:
    """The setting for the plan, with reasons in the order in which they were found."""
    by_setting = {curve.contender.setting: curve for curve in curves}
    bests = {s: best_inside(curve, budget.predictor_ms) for s, curve in by_setting.items()}
    size = curves[0].contender.max_batch_size
    reasons = [f"max_batch_size {size}: the release's own, kept."]
    held: Setting | None = None
    for setting in sorted(bests, key=_order):
        best, rival = bests[setting], bests[held] if held else None
        if best is None:
            reasons.append(f"{setting.name}: no point inside {budget.predictor_ms:g} ms.")
            continue
        said = f"{setting.name}: {_words(by_setting[setting], best)}"
        if held is None or rival is None:
            held, verdict = setting, "where it begins"
        else:
            ratios = _ratios(best, rival)
            verdict = _verdict(ratios, held)
            held = setting if _earned(ratios) else held
        reasons.append(f"{said}; {verdict}.")
    return _against_plan(held, reasons, bests, plan)


def stated_setting(plan: Plan) -> Setting:
    """What the plan's batching says."""
    said = plan.batching
    return Setting(said.dynamic, said.max_queue_delay_us if said.dynamic else 0)


def best_inside(curve: Curve, limit_ms: float) -> Point | None:
    """The point of most inferences a second whose p95 (median of the rounds) is inside."""
    inside = [point for point in curve.known if point.p95_ms.median <= limit_ms]
    return max(inside, key=lambda point: point.throughput.median, default=None)


def _order(setting: Setting) -> tuple[bool, int]:
    """On without a delay first, as NVIDIA's; a longer delay, or none at all, has to beat it."""
    return (not setting.dynamic, setting.delay_us)


def _ratios(point: Point, rival: Point) -> list[float]:
    """Throughput over the rival's, by round: load on the machine affects both alike."""
    pairs = zip(point.rounds, rival.rounds, strict=True)
    return [a.throughput / b.throughput for a, b in pairs if a is not None and b is not None]


def _earned(ratios: Sequence[float]) -> bool:
    enough = len(ratios) >= MIN_ROUNDS
    return enough and statistics.median(ratios) >= MARGIN and min(ratios) > 1


def _words(curve: Curve, best: Point) -> str:
    """The best throughput of the setting, and its latency at the lowest concurrency."""
    fewest = curve.known[0]
    p50 = fewest.spread(lambda one: one.p50_ms).median
    return (
        f"at most {best.throughput.median:,.0f}/s, p95 {best.p95_ms.median:.1f} ms"
        f" (concurrency {best.concurrency}; p50 at {fewest.concurrency}: {p50:.1f} ms)"
    )


def _verdict(ratios: Sequence[float], held: Setting) -> str:
    if len(ratios) < MIN_ROUNDS:
        return f"too few rounds ({len(ratios)}) to leave [{held.name}]"
    gain = Spread.of(ratios)
    said = f"{gain.median:.2f} of [{held.name}] ({gain.lowest:.2f} to {gain.highest:.2f} by round)"
    return f"{said}: {'taken' if _earned(ratios) else f'[{held.name}] stays'}"


def _against_plan(
    held: Setting | None, reasons: list[str], bests: Mapping[Setting, Point | None], plan: Plan
) -> Choice:
    best = bests[held] if held else None
    if held is None or best is None:
        reasons.append("No setting is inside the budget: the plan's latency_slo does not hold.")
        return Choice(None, tuple(reasons), None)
    floor, stated = plan.stress_test.min_requests_per_second, stated_setting(plan)
    relation = "above" if best.throughput.median >= floor else "BELOW"
    reasons.append(f"Its {best.throughput.median:,.0f}/s are {relation} the plan's {floor:,}/s.")
    if stated == held:
        reasons.append(f"The plan's batching says [{stated.name}]: agrees.")
    else:
        proposed = f"{{dynamic: {str(held.dynamic).lower()}, max_queue_delay_us: {held.delay_us}}}"
        reasons.append(f"The plan's batching says [{stated.name}]; proposed: {proposed}.")
        present = bests.get(stated)
        if present is not None and present.throughput.median >= floor:
            reasons.append(f"[{stated.name}] holds budget and floor too: a choice, no fault.")
    return Choice(held, tuple(reasons), stated == held)

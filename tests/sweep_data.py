"""Sweeps made up by hand: settings, curves and results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from proviso.bench.sweep import EMBEDDED, Contender, Curve, Point
from proviso.bench.sweep_analyzer import Measured
from proviso.bench.sweep_choice import Budget, choose
from proviso.bench.sweep_report import Found
from proviso.bench.sweep_settings import (
    Setting,
)
from proviso.contracts.loading import load_plan

ROOT = Path(__file__).parents[1]


PLAN = load_plan(ROOT / "contracts")


BUDGET = Budget(150.0, 100.0, "given")


OFF, AT_ONCE, WAITING = Setting(False), Setting(True), Setting(True, 2_000)


def figures(throughput: float, p95: float = 5.0) -> Measured:
    return Measured(throughput, p95 / 2, p95, p95 * 2, 3.0, {"queue": 1.0})


def curve(setting: Setting, *points: Sequence[Measured | None], where: str = EMBEDDED) -> Curve:
    """Points at concurrency 1, 4, 16, ... with the figures of each round."""
    contender = Contender(where, setting, "127.0.0.1:1", "r-0", 128)
    return Curve(contender, tuple(Point(4**i, list(one)) for i, one in enumerate(points)))


def found(*curves: Curve, varied: bool = True) -> Found:
    choice = choose(curves, BUDGET, PLAN) if varied else None
    return Found("tiny:1", BUDGET, curves, choice, 3, 1.0, "made up", "a machine", ("a note",))

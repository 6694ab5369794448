"""A whole sweep: starts a predictor for each batching setting, measures them in turn, chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from proviso.bench import sweep_analyzer as analyzer
from proviso.bench.join import machine
from proviso.bench.sweep import EMBEDDED, Contender, Progress, sweep
from proviso.bench.sweep_choice import budget_of, choose, stated_setting
from proviso.bench.sweep_input import write_inputs
from proviso.bench.sweep_report import Found
from proviso.bench.sweep_settings import Setting, max_batch_size, own_setting, release_with
from proviso.bench.sweep_target import contender_at
from proviso.contracts.plan import Plan
from proviso.release.directory import Release

Start = Callable[[Release, Path], str]
"""Starts a predictor of a release that logs to a file; returns its gRPC address."""


@dataclass(frozen=True)
class Sweep:
    """What is measured. delays: longest waits for a batch (us). rest_ms: p95 of the path beside
    the predictor. target: gRPC of a deployed predictor, HOST:PORT; via: how it is reached."""

    release: Release
    plan: Plan
    concurrencies: Sequence[int]
    delays: Sequence[int]
    rounds: int
    seconds: float
    rest_ms: float | None = None
    target: str | None = None
    via: str = "deployed"

    @property
    def settings(self) -> list[Setting]:
        """Off, on without a delay, on with the delays, and those of release and plan."""
        varied = {Setting(True, delay) for delay in (0, *self.delays)}
        stated = {own_setting(self.release), stated_setting(self.plan)}
        every = {Setting(False), *varied, *stated}
        return sorted(every, key=lambda setting: (setting.dynamic, setting.delay_us))


def run_sweep(asked: Sweep, start: Start, work: Path, progress: Progress) -> Found:
    """All figures. Beside a target only the embedded predictor of equal batching is measured.

    Raises InputError where perf_analyzer is missing or the target does not answer.
    """
    analyzer.check_home()
    release = asked.release
    served = [contender_at(asked.target, release.triton_model, asked.via)] if asked.target else []
    settings = [served[0].setting] if served else asked.settings
    progress(f"starting {len(settings)} predictors")
    ours = [_embedded(release, s, start, work / str(i)) for i, s in enumerate(settings)]
    inputs = work / "inputs.json"
    about = write_inputs(release, inputs)

    def measure(contender: Contender, count: int) -> analyzer.Measured:
        address, model = contender.address, release.triton_model
        load = analyzer.Load(address, model, inputs, count, asked.seconds)
        return analyzer.measure(load, progress)

    curves = sweep([*ours, *served], asked.concurrencies, asked.rounds, measure, progress)
    budget = budget_of(asked.plan, asked.rest_ms)
    choice = None if served else choose(curves, budget, asked.plan)
    name, notes = f"{release.model} ({release.id})", tuple(_differences(ours[0], served))
    return Found(name, budget, curves, choice, asked.rounds, asked.seconds, about, machine(), notes)


def _embedded(release: Release, setting: Setting, start: Start, work: Path) -> Contender:
    """A running predictor of the release with another batching setting."""
    copy = release_with(release, setting, work / "release")
    address = start(copy, work / "predictor.log")
    return Contender(EMBEDDED, setting, address, copy.id, max_batch_size(copy))


def _differences(ours: Contender, served: Sequence[Contender]) -> Iterator[str]:
    """In what the deployed predictor differs from the embedded one."""
    for theirs in served:
        yield (
            f"[{theirs.where}] is at {theirs.address} and says: {theirs.release}, batching"
            f" {theirs.setting.name}, max_batch_size {theirs.max_batch_size}."
        )
        if theirs.release != ours.release:
            yield f"It is NOT the release beside it, which is {ours.release}."
        if theirs.max_batch_size != ours.max_batch_size:
            yield f"The one beside it has max_batch_size {ours.max_batch_size}."

"""The evidence that the shadow gate needs beside a replay, gathered from the running stack.

Runs every registered check that `shadow` may need, as of the replay's last request, with what the
stack has to offer: store, history and prediction record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from proviso.checks.evidence import Evidence
from proviso.checks.registry import CheckContext, all_checks
from proviso.contracts.plan import Plan
from proviso.online.materialize import Materializer
from proviso.replay.replay import ReplayContext

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Gathering:
    """The stack, the moment (microseconds) to measure at, its record, and the evidence folder."""

    context: ReplayContext
    plan: Plan
    at: int
    record: Path
    out: Path


def gather(gathering: Gathering, progress: Progress) -> Iterator[str]:
    """Brings every view up to the moment, runs the checks, and yields a line of each."""
    replay, plan = gathering.context, gathering.plan
    clocks = replace(replay.clocks, as_of=gathering.at)
    writer = Materializer(replay.contract, replay.history, replay.store, clocks)
    writer.require_whole(writer.bring_up(replay.views))
    context = CheckContext(replay.contract, plan, replay.release, gathering.out, progress)
    given = {
        "store": replay.store,
        "history": replay.history,
        "record": (gathering.record,),
        "as_of": gathering.at,
    }
    for check in all_checks():
        if check.stage in {None, "shadow"}:
            yield _line(check.run(context, given), check.figures)


def _line(evidence: Evidence, figures: tuple[str, ...]) -> str:
    verdict = "PASS" if evidence.passed else "; ".join(evidence.reasons)
    warned = f" ({len(evidence.warnings)} warnings)" if evidence.warnings else ""
    shown = (f"{name} {_number(evidence.figures.get(name))}" for name in figures[:1])
    return f"{evidence.kind}: {', '.join([*shown, verdict])}{warned}"


def _number(figure: float | None) -> str:
    return "inconclusive" if figure is None else f"{figure:.3g}"

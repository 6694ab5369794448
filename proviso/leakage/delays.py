"""How training values and model change when source_delay is raised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from feature_runtime.core.moments import format_duration
from proviso.contracts.contract import FeatureView, OnEvent
from proviso.contracts.files import working_folder
from proviso.history.engines import history_engine
from proviso.leakage.incident import changed_values, scores_of
from proviso.leakage.joins import Join, believed, views_of, with_views
from proviso.training.data import Progress, Project, Request, check_days, clock_of, write_history
from proviso.training.metrics import Metrics
from proviso.training.train import Run, prepare


@dataclass(frozen=True)
class Effect:
    """Training values that differ from those at the first delay, and the model's metrics."""

    changed: int
    metrics: Metrics


@dataclass(frozen=True)
class Raised:
    """One delay. `rule`: it alone is raised, over the history published under the first delay.
    `published`: the history is published under this delay.
    """

    delay: int
    values: int
    rule: Effect
    published: Effect


def raised_delays(
    project: Project, request: Request, delays: Sequence[int], out: Path, progress: Progress
) -> Iterator[Raised]:
    """Trains for each delay, with the rule alone and with the history published again.

    Raises InputError as training does.
    """
    check_days(request)
    first: Run | None = None
    with working_folder(out.absolute().parent, "leakage") as work:
        base = delayed(project, delays[0])
        old = _history(base, request, work / "base")
        for delay in delays:
            progress(f"source_delay {format_duration(delay)}")
            other = delayed(project, delay)
            # A copy states no schema, so that a contract of another delay may read it.
            copy = believed(base, old, Join.EXACT, work / "copy").history
            rule = prepare(other, replace(request, history=copy), out, _quiet)
            first = first or rule
            own = old if delay == delays[0] else _history(other, request, work / "own")
            published = prepare(other, replace(request, history=own), out, _quiet)
            yield Raised(delay, _count(rule), _effect(rule, first), _effect(published, first))


def delayed(project: Project, delay: int) -> Project:
    """The project with one source_delay in all views that its model consumes.

    What publishing takes after that stays: the duration of a run; of a streaming view its delay.
    A TTL that the new delay would break is raised as far as the contract's check wants it.
    """
    views = [_delayed(view, delay) for view in views_of(project)]
    return replace(project, contract=with_views(project.contract, views))


def _delayed(view: FeatureView, delay: int) -> FeatureView:
    publication, ttl = view.publication, view.online_ttl
    if isinstance(publication, OnEvent):
        publication = publication.model_copy(update={"delay": delay + publication.delay})
    else:
        ttl = max(ttl, publication.schedule + delay + publication.duration)
    update = {"source_delay": delay, "publication": publication, "online_ttl": ttl}
    return view.model_copy(update=update)


def _history(project: Project, request: Request, out: Path) -> Path:
    opened = history_engine().open_transactions(
        project.contract, request.transactions, clock=clock_of(project, request)
    )
    with opened as transactions:
        write_history(project, request, transactions, out, _quiet)
    return out


def _quiet(_: str) -> None:
    """Drops the progress lines, which are the same for each delay."""


def _count(run: Run) -> int:
    return int(run.used.sum()) * len(run.project.service.consumed)


def _effect(run: Run, first: Run) -> Effect:
    changed = changed_values(run.train.inputs, first.train.inputs)[first.used]
    return Effect(int(changed.sum()), scores_of(run, run)[0])

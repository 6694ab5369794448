"""What the features are worth: the model without each group of them, and with other schedules.

Groups are found in the contract, so this bench runs on any project: each view, each family of
features that differ in their window only, each window of a view, and the encoder's own.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from feature_runtime.core.moments import DAY, HOUR, format_duration, format_moment, parse_duration
from feature_runtime.core.service import Service
from proviso.contracts.contract import Contract
from proviso.training.boosting import boosting_probabilities, fit_boosting
from proviso.training.data import Project, Request
from proviso.training.metrics import Metrics
from proviso.training.train import Run, figures, prepare
from proviso.training.weeks import weeks_from

SCHEDULES = ("PT1H", "PT6H", "P1D")
Progress = Callable[[str], None]

_WINDOW = re.compile(r"^(?P<family>.+)_(?P<window>\d+[dh])$")


@dataclass(frozen=True)
class Line:
    """One line of a table: a variant and its figures, one per week."""

    variant: str
    weeks: tuple[Metrics, ...]

    @property
    def average_precision(self) -> float:
        return statistics.fmean(m.average_precision or 0.0 for m in self.weeks)

    @property
    def auc(self) -> float:
        return statistics.fmean(m.auc or 0.0 for m in self.weeks)

    @property
    def entity_precision(self) -> float:
        return statistics.fmean(m.entity_precision or 0.0 for m in self.weeks)


def requests(
    transactions: Path | None, first_days: Sequence[int], label_delay: int
) -> list[Request]:
    """Train on seven days, wait for the labels, test on seven, for each first day."""
    weeks = [weeks_from(first, label_delay) for first in first_days]
    return [Request(transactions, week.train, week.test, label_delay) for week in weeks]


def worth_of_groups(
    project: Project, weeks: Sequence[Request], progress: Progress
) -> Iterator[Line]:
    """The model as it is, then without each group."""
    with TemporaryDirectory(prefix="proviso-bench-") as work:
        runs = [prepare(project, week, Path(work) / "release", progress) for week in weeks]
    everything = np.ones(len(project.service.vector), dtype=np.bool_)
    yield Line("everything", tuple(_fitted(run, everything) for run in runs))
    for name, members in groups(project.service).items():
        progress(f"without {name}")
        kept = ~np.isin(np.array(project.service.vector), sorted(members))
        yield Line(f"without {name}", tuple(_fitted(run, kept) for run in runs))


def worth_of_freshness(
    project: Project, weeks: Sequence[Request], progress: Progress
) -> Iterator[Line]:
    """The same features with every scheduled view published at one schedule."""
    for schedule in SCHEDULES:
        progress(f"all runs every {schedule}")
        contract = with_schedule(project.contract, schedule)
        other = Project(contract, project.plan, project.spec)
        kept = np.ones(len(other.service.vector), dtype=np.bool_)
        found = []
        for week in weeks:
            with TemporaryDirectory(prefix="proviso-bench-") as work:
                run = prepare(other, week, Path(work) / "release", progress)
            found.append(_fitted(run, kept))
        yield Line(f"all runs every {schedule}", tuple(found))


def groups(service: Service) -> dict[str, set[str]]:
    """Group name -> elements of the vector. A group has at least one element and not all."""
    found: dict[str, set[str]] = {}
    for ref in service.consumed:
        view, feature, element = *ref, ref.column
        found.setdefault(f"view {view}", set()).add(element)
        if match := _WINDOW.match(feature):
            found.setdefault(f"{view}: {match['family']}", set()).add(element)
            found.setdefault(f"{view}: windows of {match['window']}", set()).add(element)
        else:
            found.setdefault(f"{view}: {feature}", set()).add(element)
    found["features of the request"] = {f.name for f in service.request_features}
    for derived in service.derived_features:
        found.setdefault(f"derived: {derived.function}", set()).add(derived.name)
    return found


def with_schedule(contract: Contract, schedule: str) -> Contract:
    """The contract with every scheduled view at `schedule`, and a TTL and a lookback to match."""
    data: dict[str, Any] = contract.model_dump(mode="json")
    room = 2 * parse_duration(schedule) + HOUR
    for view in data["feature_views"]:
        if "schedule" not in view["publication"]:
            continue
        view["publication"]["schedule"] = schedule
        view["online_ttl"] = format_duration(max(parse_duration(view["online_ttl"]), room))
        view["temporal_join_lookback"] = format_duration(max(7 * DAY, 2 * room))
    return Contract.model_validate(data)


def table(lines: Sequence[Line], weeks: Sequence[Request]) -> str:
    """Markdown: average precision per week, then the means, against the first line."""
    days = [format_moment(week.train.first)[:10] for week in weeks]
    header = ["variant", *(f"AP {day}" for day in days), "mean AP", "gain", "mean AUC", "mean CP"]
    rows = [header, ["---"] * len(header)]
    for line in lines:
        each = [f"{m.average_precision or 0:.3f}" for m in line.weeks]
        gain = f"{line.average_precision - lines[0].average_precision:+.3f}"
        means = [f"{line.average_precision:.3f}", gain, f"{line.auc:.3f}"]
        rows.append([line.variant, *each, *means, f"{line.entity_precision:.3f}"])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _fitted(run: Run, kept: np.ndarray[Any, np.dtype[np.bool_]]) -> Metrics:
    """The figures of the model fitted on some elements of the vector only."""
    spec = run.project.spec
    names = [n for n, keep in zip(run.project.service.vector, kept, strict=True) if keep]
    labels = run.train.inputs.labels[run.used].astype(np.int8)
    model = fit_boosting(
        spec.boosting, spec.seed, names, run.train.encoded.vector[run.used][:, kept], labels
    )
    return figures(run, boosting_probabilities(model, run.test.encoded.vector[:, kept]))

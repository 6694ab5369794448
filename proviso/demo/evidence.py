"""The evidence that the shadow gate needs beside a replay, gathered from the running stack.

The same measurements as `proviso coverage`, `freshness`, `skew` and `drift` make, at one moment of
the replay's own clock: the last request's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from feature_runtime.core.moments import now
from proviso.checks import coverage, drift, freshness
from proviso.checks.evidence import Evidence, write_evidence
from proviso.checks.served_values import read_served
from proviso.checks.signing import critical_features
from proviso.checks.skew import Sides, SkewSample, skew_test
from proviso.checks.skew_evidence import TEST_FILE, judge_rows, write_found, write_test
from proviso.online.materialize import Materializer
from proviso.replay.replay import Stage
from proviso.training.distribution import references_of

SAMPLE = 100
_AGES = 500
_SEED = 7
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Gathering:
    """What is asked, about which moment (microseconds), what was served, and where it goes."""

    stage: Stage
    at: int
    record: Path
    out: Path


def gather(asked: Gathering, progress: Progress) -> Iterator[str]:
    """Brings every view up to the moment, measures, and writes; yields a line a check."""
    stage = asked.stage
    clocks = replace(stage.clocks, as_of=asked.at)
    Materializer(stage.contract, stage.history, stage.store, clocks).bring_up(stage.views)
    yield _coverage(asked, progress)
    yield _freshness(asked, progress)
    yield _skew(asked, progress)
    yield _drift(asked)


def _coverage(asked: Gathering, progress: Progress) -> str:
    stage = asked.stage
    views = stage.release.service.views
    found = coverage.cover(stage.contract, views, stage.history, stage.store, asked.at, progress)
    return _kept(asked, coverage.evidence_of(stage.release.id, found, asked.at), coverage.METRIC)


def _freshness(asked: Gathering, progress: Progress) -> str:
    stage = asked.stage
    bound = freshness.bound_of(stage.contract)
    request = freshness.FreshnessTarget(
        asked.at, _AGES, _SEED, stage.history, stage.clocks.margin, bound
    )
    views = stage.release.service.views
    found = freshness.measure(stage.contract, views, stage.store, request, progress)
    return _kept(asked, freshness.evidence_of(stage.release.id, found, request), freshness.METRIC)


def _skew(asked: Gathering, progress: Progress) -> str:
    stage = asked.stage
    sides = Sides(stage.contract, stage.release.service, stage.history, stage.store)
    found = skew_test(sides, SkewSample(asked.at, SAMPLE, _SEED), progress)
    cells = write_test(asked.out / TEST_FILE, found.rows)
    judged = judge_rows(cells, (), now(), critical_features(stage.contract))
    write_found(asked.out, stage.release.id, found, judged, now(), ())
    return f"skew: {len(cells)} values of {SAMPLE} entities a view, {judged.verdict}"


def _drift(asked: Gathering) -> str:
    """Over a sample of hard cases, which is not what training saw: it may well warn."""
    release = asked.stage.release
    references = references_of(release.card)
    distributions = {name: one.distribution for name, one in references.items()}
    served = read_served([asked.record], release.id, release.service, distributions)
    found = drift.measure(asked.stage.contract, references, served)
    return _kept(asked, drift.evidence_of(release.id, served, found, now()), "feature_drift_psi")


def _kept(asked: Gathering, found: Evidence, metric: str) -> str:
    write_evidence(asked.out, found)
    word = "PASS" if found.passed else "; ".join(found.reasons)
    word += f" ({len(found.warnings)} warnings)" if found.warnings else ""
    figure = found.figures[metric]
    said = "inconclusive" if figure is None else f"{figure:.3g}"
    return f"{found.kind}: {metric} {said}, {word}"

"""Real input: the Fraud Detection Handbook's transactions, by the Handbook's own protocol.

The file is not part of the repository. It is found beside a checkout, or by PROVISO_HANDBOOK.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path

import pytest

from feature_runtime.core.moments import DAY, parse_moment
from proviso.contracts.loading import load_contract, load_plan
from proviso.training.data import Project, Request
from proviso.training.spec import load_spec
from proviso.training.train import Trained, train
from proviso.training.weeks import Days
from tests.handbook import HANDBOOK, ROOT

WEEK = 7 * DAY

# The Handbook's fifteen features on the same weeks (docs/model-quality.md): AUC, average precision.
PUBLISHED = {
    "2018-05-16": (0.828, 0.621),
    "2018-05-23": (0.836, 0.605),
    "2018-05-30": (0.864, 0.618),
    "2018-06-06": (0.851, 0.618),
}


@dataclass(frozen=True)
class Judged:
    """One judged week."""

    auc: float
    average_precision: float
    card_precision: float


@pytest.fixture(scope="module")
def handbook() -> Path:
    if not HANDBOOK.is_file():
        pytest.skip(f"{HANDBOOK.name} is not here; PROVISO_HANDBOOK may say where it is")
    return HANDBOOK


@pytest.fixture(scope="module")
def judged(handbook: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Judged]:
    folder = tmp_path_factory.mktemp("handbook")
    return {week: figures(train_week(handbook, week, folder)) for week in PUBLISHED}


def train_week(handbook: Path, first_day: str, folder: Path) -> Trained:
    """Train on seven days, wait seven, test on seven."""
    contract, plan = load_contract(ROOT / "contracts"), load_plan(ROOT / "contracts")
    project = Project(contract, plan, load_spec(ROOT / "contracts", contract, plan))
    start = parse_moment(f"{first_day}T00:00:00Z")
    request = Request(
        handbook,
        train=Days(start, start + WEEK - DAY),
        test=Days(start + 2 * WEEK, start + 3 * WEEK - DAY),
        label_delay=WEEK,
    )
    return train(project, request, folder / first_day, lambda _: None)


def figures(trained: Trained) -> Judged:
    metrics = trained.metrics
    assert metrics.auc is not None
    assert metrics.average_precision is not None
    assert metrics.entity_precision is not None
    return Judged(metrics.auc, metrics.average_precision, metrics.entity_precision)


def held(week: str, found: Judged) -> None:
    """Better than the published features on the same week, by what is promised."""
    auc, average_precision = PUBLISHED[week]
    assert found.average_precision >= average_precision + 0.07
    assert found.auc >= auc


@pytest.mark.long
def test_the_median_week_reaches_its_targets(judged: dict[str, Judged]) -> None:
    assert statistics.median(j.average_precision for j in judged.values()) >= 0.70
    assert statistics.median(j.card_precision for j in judged.values()) >= 0.30


@pytest.mark.long
@pytest.mark.parametrize("week", PUBLISHED)
def test_every_week_is_better_than_the_published_features(
    judged: dict[str, Judged], week: str
) -> None:
    held(week, judged[week])

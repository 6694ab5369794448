"""`train`, `score` and `releases` as a user types them, on the small project that is not fraud."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from proviso.cli.main import app_main
from proviso.contracts import loading
from proviso.training.release import read_release

TEMPLATE = Path(loading.__file__).parent / "template"
TEST = ("2026-05-25", "2026-05-31")
Command = Callable[..., int]


@pytest.fixture
def proviso(monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs the program in this process; returns its exit code."""

    def run(*arguments: str | Path) -> int:
        words = ["proviso", "--contracts", str(TEMPLATE), *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            app_main()
        return int(ended.value.code or 0)

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("commands")


@pytest.fixture
def transactions(proviso: Command, folder: Path) -> Path:
    path = folder / "deliveries.parquet"
    assert path.exists() or proviso("simulate", "--days", "42", "--seed", "3", "--out", path) == 0
    return path


@pytest.fixture
def release(proviso: Command, folder: Path, transactions: Path) -> Path:
    path = folder / "release"
    assert (path / "release.yml").exists() or proviso(*train_words(transactions, path)) == 0
    return path


def train_words(transactions: Path, out: Path, train_end: str = "2026-05-17") -> list[str | Path]:
    return [
        "train", "--transactions", transactions, "--train-start", "2026-05-11",
        "--train-end", train_end, "--label-delay", "PT0S", "--test-start", TEST[0],
        "--test-end", TEST[1], "--out", out, "--json",
    ]  # fmt: skip


def test_train_prints_one_object_with_the_figures(
    proviso: Command, folder: Path, transactions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert proviso(*train_words(transactions, folder / "printed")) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {"auc", "average_precision", "card_precision_at_20"} <= set(printed)
    assert printed["beats_baseline"]
    assert read_release(folder / "printed").id == printed["release"]


def test_the_same_data_makes_the_same_release(
    proviso: Command, folder: Path, transactions: Path, release: Path
) -> None:
    assert proviso(*train_words(transactions, folder / "twin")) == 0
    assert (folder / "twin" / "release.yml").read_bytes() == (release / "release.yml").read_bytes()
    predictions = (folder / "twin" / "predictions.parquet").read_bytes()
    assert predictions == (release / "predictions.parquet").read_bytes()


def test_score_equals_the_predictions_of_training(
    proviso: Command, folder: Path, transactions: Path, release: Path
) -> None:
    history, out = folder / "history", folder / "scores.parquet"
    span = ("--start", TEST[0], "--end", "2026-06-01")
    assert proviso("features", "--transactions", transactions, "--out", history) == 0
    words = ["--release", release, "--history", history, "--transactions", transactions]
    assert proviso("score", *words, *span, "--out", out) == 0
    scored = pq.read_table(out).to_pylist()
    predicted = pq.read_table(release / "predictions.parquet").to_pylist()
    assert [row["delivery_id"] for row in scored] == [row["delivery_id"] for row in predicted]
    for row, prediction in zip(scored, predicted, strict=True):
        assert row["rejected"] == prediction["rejected"]
        assert row["probability"] == (None if row["rejected"] else prediction["score"])


def test_overlapping_days_are_wrong_use(
    proviso: Command, folder: Path, transactions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = train_words(transactions, folder / "never", train_end="2026-05-28")
    assert proviso(*words) == 2
    assert (
        "--test-start: found 2026-05-25, wanted a day after 2026-05-28" in capsys.readouterr().err
    )
    assert not (folder / "never").exists()


def test_a_service_that_the_contract_lacks_is_wrong_use(
    proviso: Command, folder: Path, transactions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert proviso(*train_words(transactions, folder / "never"), "--service", "nothing") == 2
    assert "found no nothing, wanted one of" in capsys.readouterr().err


def test_examples_that_were_never_built_cannot_be_bound_again(
    proviso: Command, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert proviso("releases", "rebind", "--out", folder / "none") == 2
    assert "`proviso releases build` makes it" in capsys.readouterr().err


def test_examples_can_be_built_and_bound_again(
    proviso: Command, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert proviso("releases", "build", "--out", folder / "examples") == 0
    built = capsys.readouterr().out
    assert proviso("releases", "rebind", "--out", folder / "examples") == 0
    assert capsys.readouterr().out == built
    assert not list((folder / "examples").rglob("predictions.parquet"))

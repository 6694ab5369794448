"""`train`, `score` and `releases` as a user types them, on the small project that is not fraud."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from proviso.checks.evidence import parse_evidence
from proviso.cli.main import app_main
from proviso.contracts import loading
from proviso.release.directory import read_release
from tests.program import call

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
    assert {"auc", "average_precision", "entity_precision_at_20"} <= set(printed)
    assert printed["card_precision_at_20"] == printed["entity_precision_at_20"]
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


def test_a_release_is_certified_again_and_renewed_only_where_code_has_changed(
    proviso: Command,
    folder: Path,
    transactions: Path,
    release: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copy = folder / "certified"
    shutil.copytree(release, copy)
    text = (copy / "release.yml").read_text()
    words = ["releases", "certify", "--release", copy, "--transactions", transactions]
    parsed = yaml.safe_load(text)
    parsed["certificate"]["code"]["rule"] = "sha256:older"
    (copy / "release.yml").write_text(yaml.safe_dump(parsed, sort_keys=False))
    capsys.readouterr()
    assert proviso(*words) == 1
    assert "certificate.code.rule: found sha256:older" in capsys.readouterr().err
    assert proviso(*words, "--renew", "--json") == 0
    assert json.loads(capsys.readouterr().out)["renewed"] is True
    assert (copy / "release.yml").read_text() == text


def test_the_card_holds_how_every_feature_was_distributed(release: Path) -> None:
    features = read_release(release).card["features"]
    assert set(features["distribution"]) == set(features["train"])
    for name, found in features["distribution"].items():
        usable = features["train"][name]["status"].get("OK", 0)
        assert sum(found["counts"]) == usable > 0
        assert 1 < found["effective"] < usable, "couriers come again and again"


def write_record(release: Path, path: Path, times: float) -> None:
    """A record of 600 predictions for as many couriers, distributed like training times `times`."""
    known = read_release(release)
    shapes = known.card["features"]["distribution"]
    chance = np.random.default_rng(1)
    columns = {
        name: chance.choice(shape["edges"], 600, p=np.array(shape["counts"]) / sum(shape["counts"]))
        for name, shape in shapes.items()
    }
    with path.open("w") as file:
        for i in range(600):
            line = {
                "schema": "proviso.prediction.v1",
                "release": known.id,
                "scored_at": "2026-06-01T12:00:00Z",
                "entities": {"courier": i, "zone": i},
                "features": {
                    name: {"value": column[i] * times, "status": "OK"}
                    for name, column in columns.items()
                },
            }
            file.write(json.dumps(line) + "\n")


def test_drift_is_measured_against_the_card(folder: Path, release: Path, tmp_path: Path) -> None:
    record, evidence = tmp_path / "record.jsonl", tmp_path / "evidence"
    words = (
        "check",
        "drift",
        "--release",
        release,
        "--record",
        record,
        "--evidence",
        evidence,
        "--json",
    )
    write_record(release, record, times=1.0)
    done = call("--contracts", TEMPLATE, *words)
    assert (done.code, done.json["reasons"]) == (0, [])
    verdicts = {one["feature"]: one["verdict"] for one in done.json["figures"]["features"]}
    assert set(verdicts.values()) == {"PASS"}, "120 couriers are enough"
    write_record(release, record, times=3.0)
    done = call("--contracts", TEMPLATE, *words)
    assert done.code == 0
    assert any(
        text.startswith("PSI of courier_zone_daily:visits_30d") for text in done.json["warnings"]
    )
    found = parse_evidence(evidence / "drift.json", (evidence / "drift.json").read_bytes())
    assert found.release == read_release(release).id
    assert found.figures["predictions"] == 600
    contracts = folder / "gated"
    shutil.copytree(TEMPLATE, contracts, dirs_exist_ok=True)
    with (contracts / "feature_store_contract.yml").open("a") as file:
        file.write(
            "  - {name: no_drift, metric: feature_drift_psi, max: 0.25, schedule: P1D,"
            " blocks: shadow, owner: science@parcels.example}\n"
        )
    done = call("--contracts", contracts, *words)
    assert done.code == 1
    assert any(
        text.startswith("PSI of courier_zone_daily:visits_30d") for text in done.json["reasons"]
    )


def test_drift_needs_a_card_that_knows_training(release: Path, tmp_path: Path) -> None:
    without = tmp_path / "release"
    shutil.copytree(release, without)
    stated = yaml.safe_load((without / "release.yml").read_text())
    del stated["card"]["features"]["distribution"]
    (without / "release.yml").write_text(yaml.safe_dump(stated, sort_keys=False))
    done = call(
        "--contracts",
        TEMPLATE,
        "check",
        "drift",
        "--release",
        without,
        "--record",
        tmp_path / "none",
    )
    assert done.code == 2
    assert "train the release again" in done.err


def test_overlapping_days_are_wrong_use(
    proviso: Command, folder: Path, transactions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = train_words(transactions, folder / "never", train_end="2026-05-28")
    assert proviso(*words) == 2
    [error] = json.loads(capsys.readouterr().err.splitlines()[-1])["errors"]
    assert (error["code"], error["path"]) == ("days_overlap", "--test-start")
    assert not (folder / "never").exists()


def test_a_service_that_the_contract_lacks_is_wrong_use(
    proviso: Command, folder: Path, transactions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert proviso(*train_words(transactions, folder / "never"), "--service", "nothing") == 2
    [error] = json.loads(capsys.readouterr().err.splitlines()[-1])["errors"]
    assert error["code"] == "service_unknown"


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

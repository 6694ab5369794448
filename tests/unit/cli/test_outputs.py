"""What commands write: never what they read, never the half of it; and options given twice."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from proviso.contracts.starter import write_template
from tests.problems import refused
from tests.program import all_commands, call, parse

ROOT = Path(__file__).parents[3]
RELEASE = ROOT / "model_repository" / "2.5.0"
SPAN = ("--start", "2026-01-17", "--end", "2026-01-18")
STORE = ("--store", "redis://127.0.0.1:1")


@dataclass(frozen=True)
class Project:
    """The project of `proviso init` with transactions, a history and a copy of a release."""

    folder: Path

    def code(self, *words: str | Path) -> str:
        """The code of the one error of a command, run in the folder; '' where it did not fail."""
        done = call("--contracts", self.folder / "contracts", *words, "--json")
        if done.code == 0:
            return ""
        [error] = json.loads(done.err.splitlines()[-1])["errors"]
        return str(error["code"])

    def digest(self) -> dict[str, str]:
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    write_template(folder / "contracts")
    project = Project(folder)
    end = ("--end", "2026-01-20T12:00:00Z")
    assert project.code("simulate", "--days", "4", *end, "--out", folder / "t.parquet") == ""
    arguments = ("--transactions", folder / "t.parquet", "--out", folder / "history")
    assert project.code("features", *arguments) == ""
    shutil.copytree(RELEASE, folder / "release")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    folder = tmp_path / "copy"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return Project(folder)


HISTORY = ("--history", "history")
SOURCE = ("--transactions", "t.parquet")
TRAIN = (
    *("--train-start", "2026-01-16", "--train-end", "2026-01-17"),
    *("--test-start", "2026-01-18", "--test-end", "2026-01-19"),
)
SCORE = ("score", "--release", "release", *HISTORY, *SOURCE, *SPAN, "--out")
OVER: dict[str, tuple[str, ...]] = {
    "a contract": ("simulate", "--out", "contracts/feature_store_contract.yml"),
    "a plan": ("simulate", "--out", "contracts/serving_release_plan.yml"),
    "its transactions": ("dataset", *HISTORY, *SOURCE, *SPAN, "--out", "t.parquet"),
    "a view": ("dataset", *HISTORY, *SOURCE, *SPAN, "--out", "history/{view}.parquet"),
    "by another spelling": ("dataset", *HISTORY, *SOURCE, *SPAN, "--out", "history/../t.parquet"),
    "by a link": ("dataset", *HISTORY, *SOURCE, *SPAN, "--out", "link"),
    "by a hard link": ("dataset", *HISTORY, *SOURCE, *SPAN, "--out", "hard"),
    "as a dry run": ("dataset", *HISTORY, *SOURCE, *SPAN, "--out", "t.parquet", "--dry-run"),
    "a view of itself": (
        "features",
        "--transactions",
        "history/{view}.parquet",
        "--out",
        "history",
    ),
    "scored transactions": (*SCORE, "t.parquet"),
    "a model": (*SCORE, "release/fraud_risk_xgboost/1/model.onnx"),
    "a release": (*SCORE, "release/release.yml"),
    "a catalog over a view": ("catalog", *HISTORY, "--out", "history/{view}.parquet"),
    "predictions": (
        "train",
        "--transactions",
        "release/predictions.parquet",
        *TRAIN,
        "--out",
        "release",
    ),
    "leakage": ("leakage", "--transactions", "leakage.html", *TRAIN, "--out", "."),
    "a record": (
        *("check", "drift", "--release", "release", "--record", "e/drift.json"),
        *("--evidence", "e"),
    ),
    "replay": (
        *("replay", "--release", "release", *HISTORY, "--transactions", "e/skew.csv", *SPAN),
        *("--sample", "9", *STORE, "--target", "http://127.0.0.1:1", "--evidence", "e"),
    ),
    "landed parts": (
        *("stream", "export", "--landing", "landing"),
        *("--out", "landing/part-000000000001-000000000001.parquet"),
    ),
}


@pytest.mark.parametrize("case", OVER)
def test_no_command_writes_over_what_it_reads(project: Project, case: str) -> None:
    view = min((project.folder / "history").iterdir()).stem
    os.link("t.parquet", "hard")
    Path("link").symlink_to("t.parquet")
    for name in ("release/predictions.parquet", "leakage.html", "e/drift.json", "e/skew.csv"):
        Path(name).parent.mkdir(exist_ok=True)
        shutil.copyfile("t.parquet", name)
    Path("landing").mkdir()
    shutil.copyfile("t.parquet", "landing/part-000000000001-000000000001.parquet")
    before = project.digest()
    words = [word.format(view=view) for word in OVER[case]]
    assert project.code(*words) == "output_is_input"
    assert project.digest() == before


def test_outputs_may_lie_beside_inputs_and_be_written_again(project: Project) -> None:
    for _ in range(2):
        out = ("--out", "history/dataset.parquet")
        assert project.code("dataset", *HISTORY, *SOURCE, *SPAN, *out) == ""
        assert project.code("catalog", *HISTORY, "--out", "contracts/catalog.html") == ""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("features", *SOURCE, "--out", "history"), "span_empty"),
        (("features", *SOURCE, "--out", "history", "--backfill"), "span_empty"),
        (("dataset", *HISTORY, *SOURCE, "--out", "d.parquet"), "span_empty"),
        ((*SCORE, "s.parquet"), "span_empty"),
        (
            (
                *("replay", "--release", "release", *HISTORY, *SOURCE, "--sample", "9", *STORE),
                *("--target", "http://127.0.0.1:1"),
            ),
            "span_empty",
        ),
    ],
)
@pytest.mark.parametrize("end", ["2026-01-16", "2026-01-17"])
def test_a_span_that_ends_before_it_starts_is_refused(
    project: Project, words: tuple[str, ...], code: str, end: str
) -> None:
    before = project.digest()
    words = tuple(word for word in words if word not in SPAN)
    assert project.code(*words, "--start", "2026-01-17", "--end", end) == code
    assert project.digest() == before


def _folder(path: Path) -> None:
    path.mkdir()


def _file_as_parent(path: Path) -> None:
    path.parent.touch()


def _device(path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    path.symlink_to("/dev/full")


WRITERS: dict[str, tuple[str, ...]] = {
    "simulate": ("simulate", "--days", "2", "--out"),
    "dataset": ("dataset", *HISTORY, *SOURCE, *SPAN, "--out"),
    "catalog": ("catalog", "--out"),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize(
    ("place", "code"),
    [
        (_folder, "not_a_file"),
        (_file_as_parent, "not_a_directory"),
        (_device, "file_unusable"),
        (None, ""),
    ],
)
def test_an_output_that_cannot_be_written_is_said_by_a_code(
    project: Project, writer: str, place: Callable[[Path], None] | None, code: str
) -> None:
    out = project.folder / "new" / "out"
    if place is not None:
        if place is _folder:
            out.parent.mkdir()
        place(out)
    before = project.digest()
    assert project.code(*WRITERS[writer], out) == code
    assert [name for name in project.digest() if name not in before] == (
        [] if code else ["new/out"]
    )


def _single_options() -> Iterator[tuple[str, str, str]]:
    """Every option of one value, with a value that can be parsed."""
    for words, command in all_commands():
        for option in command.params:
            if option.param_type_name == "option" and not (option.multiple or option.is_flag):
                yield words, max(option.opts, key=len), "1"


@pytest.mark.parametrize(("words", "option", "value"), list(_single_options()))
def test_an_option_of_one_value_is_given_once(words: str, option: str, value: str) -> None:
    with refused("option_repeated") as problems:
        parse([*words.split(), option, value, option, value])
    assert problems[0].path == option


def test_what_may_be_repeated_and_what_contradicts_itself() -> None:
    parse(["validate", "--json", "--json"])
    assert call("--contracts", "a", "--contracts", "b", "validate").code == 2
    with refused("option_repeated"):
        parse(["replay", "--drill", "--no-drill"])
    with refused("option_repeated"):
        parse(["features", "--transactions=a", "--transactions", "b", "--out", "c"])

"""Where a command's sources lie: what its options say, else the contract's locations."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml

from proviso.contracts.starter import write_template
from tests.program import Done, all_commands, call

SPAN = ("--start", "2026-01-17", "--end", "2026-01-18")
HISTORY = ("--history", "history")
DATASET = ("dataset", *HISTORY, *SPAN, "--out", "dataset.parquet")
FEATURES = ("features", "--out", "history")
TRAIN = (
    *("train", "--train-start", "2026-01-15", "--train-end", "2026-01-17", "--label-delay", "PT0S"),
    *("--test-start", "2026-01-18", "--test-end", "2026-01-19", *HISTORY, "--out", "release"),
)


@dataclass(frozen=True)
class Project:
    """A version 2 project and its rows, in `rows.parquet` and as two files in `rows/`."""

    folder: Path

    def place(self, path: str | None) -> None:
        """Writes the location of the only source of rows into the contract."""
        file = self.folder / "contracts" / "feature_store_contract.yml"
        stated = yaml.safe_load(file.read_text())
        source = next(one for one in stated["sources"] if one["kind"] == "events")
        source.pop("location", None)
        if path is not None:
            source["location"] = {"path": path}
        file.write_text(yaml.safe_dump(stated, sort_keys=False))

    def run(self, *words: str) -> Done:
        return call("--contracts", "contracts", *words, "--json")

    def done(self, *words: str) -> Any:
        done = self.run(*words)
        assert done.code == 0, done.err
        return done.json

    def refused(self, *words: str) -> dict[str, Any]:
        done = self.run(*words)
        assert done.code == 2
        [error] = json.loads(done.err.splitlines()[-1])["errors"]
        assert isinstance(error, dict)
        return error

    def content(self, name: str) -> list[Any]:
        with duckdb.connect() as engine:
            return engine.execute(f"from '{self.folder / name}' order by all").fetchall()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("places")
    write_template(folder / "contracts")
    Project(folder).place(None)
    contracts = ("--contracts", folder / "contracts")
    rows = folder / "rows.parquet"
    end = ("--end", "2026-01-20T00:00:00Z")
    assert call(*contracts, "simulate", "--days", "6", *end, "--out", rows).code == 0
    (folder / "rows").mkdir()
    with duckdb.connect() as engine:
        for i in range(2):
            engine.execute(
                f"copy (select * exclude (n) from (select *, row_number() over () as n"
                f" from '{rows}') where n % 2 = {i}) to '{folder / 'rows' / f'{i}.parquet'}'"
            )
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    folder = tmp_path / "copy"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return Project(folder)


PLACES: dict[str, tuple[str | None, tuple[str, ...]]] = {
    "stated as transactions": (None, ("--transactions", "rows.parquet")),
    "stated as a source": (None, ("--source", "deliveries=rows.parquet")),
    "of the contract": ("rows.parquet", ()),
    "a folder of the contract": ("rows", ()),
    "a glob of the contract": ("rows/*.parquet", ()),
    "an option before the contract": ("nothing.parquet", ("--source", "deliveries=rows")),
    "transactions before the contract": ("nothing.parquet", ("--transactions", "rows")),
}


def test_the_same_rows_wherever_they_are_said_to_lie(project: Project) -> None:
    found = []
    for location, options in PLACES.values():
        project.place(location)
        project.done(*FEATURES, *options)
        project.done(*DATASET, *options)
        history = [project.content(f"history/{p.name}") for p in project.folder.glob("history/*")]
        found.append((history, project.content("dataset.parquet")))
    assert found[0][1]
    assert all(one == found[0] for one in found)


COMMANDS: tuple[Sequence[str], ...] = (
    FEATURES,
    DATASET,
    (*DATASET, "--encoded"),
    TRAIN,
    ("stream", "produce", "--store", "redis://127.0.0.1:1"),
    ("bench", "quality", "--week", "2026-01-01"),
)


@pytest.mark.parametrize("words", COMMANDS)
def test_rows_without_a_place_are_refused_by_the_name_of_their_source(
    project: Project, words: Sequence[str]
) -> None:
    refusal = project.refused(*words)
    assert refusal["code"] == "source_location_missing"
    assert refusal["path"] == "sources[deliveries]"


def test_one_source_has_one_place(project: Project) -> None:
    both = ("--transactions", "rows.parquet", "--source", "deliveries=rows")
    assert project.refused(*FEATURES, *both)["code"] == "options_conflict"


@pytest.mark.parametrize("source", ["deliveries", "parcels=rows", "deliveries="])
def test_a_source_is_stated_by_a_known_name_and_a_path(project: Project, source: str) -> None:
    assert project.refused(*FEATURES, "--source", source)["code"] == "source_option_invalid"


def test_what_the_contract_says_is_read_is_not_written_over(project: Project) -> None:
    project.place("rows.parquet")
    project.done(*FEATURES)
    words = ("dataset", *HISTORY, *SPAN, "--out", "rows.parquet")
    assert project.refused(*words)["code"] == "output_is_input"


def test_a_release_knows_its_rows_again_wherever_they_lie(project: Project) -> None:
    """The digest of a folder is of its rows, in any order, and of no file's bytes."""
    project.place("rows")
    project.done(*FEATURES)
    project.done(*TRAIN)
    card = yaml.safe_load((project.folder / "release" / "release.yml").read_text())["card"]
    assert card["data"]["transactions"].startswith("rows:")
    certify = ("releases", "certify", "--release", "release", *HISTORY)
    assert project.done(*certify)["recomputed"] > 0
    (project.folder / "rows" / "1.parquet").unlink()
    assert project.refused(*certify)["code"] == "transactions_digest_mismatch"


def test_every_command_that_takes_observed_rows_takes_sources() -> None:
    """`forget` names files to write anew, not places to read rows from."""
    options = {words: {o for p in one.params for o in p.opts} for words, one in all_commands()}
    taking = {words for words, names in options.items() if "--transactions" in names}
    assert len(taking) > 8
    assert {words for words in taking if "--source" not in options[words]} == {"forget"}

"""`proviso migrate`: version 1 becomes version 2, means the same, and keeps its comments."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from proviso.contracts.base import ContractError
from proviso.contracts.loading import CONTRACT_FILE, parse_contract, parse_yaml
from proviso.contracts.migration import migrated
from tests.program import Done, call
from tests.unit.contracts.edits import good

V1 = Path(__file__).with_name("version_1.yml")
TEXT = V1.read_text()


def migrate(directory: Path, *options: str) -> Done:
    return call("--contracts", str(directory), "migrate", *options)


def means_the_same(text: str, other: str) -> bool:
    made = (parse_contract(CONTRACT_FILE, parse_yaml(CONTRACT_FILE, t))[0] for t in (text, other))
    first, second = made
    return first == second


def test_every_comment_stays() -> None:
    made = migrated(CONTRACT_FILE, TEXT)
    assert made is not None
    assert made.commented
    assert means_the_same(made.text, TEXT)
    comments = [line.partition("#")[2] for line in TEXT.splitlines() if "#" in line]
    assert len(comments) == 7
    assert [text for text in comments if text not in made.text] == []


def test_only_what_version_2_says_otherwise_is_changed() -> None:
    made = migrated(CONTRACT_FILE, TEXT)
    assert made is not None
    before, after = TEXT.splitlines(), made.text.splitlines()
    start, end = before.index("entities:"), after.index("entities:")
    others = ("dated", "where", "numbers: double")
    kept = [line for line in before[start:] if not any(one in line for one in others)]
    assert [line for line in after[end:] if not any(one in line for one in others)] == kept


def test_a_source_in_braces_is_written_anew_and_said_so() -> None:
    data = parse_yaml(CONTRACT_FILE, TEXT)
    source = yaml.safe_dump(data["source"], default_flow_style=True, width=10_000).strip()
    start, end = TEXT.index("source:\n"), TEXT.index("entities:\n")
    text = f"{TEXT[:start]}source: {source}\n{TEXT[end:]}"
    made = migrated(CONTRACT_FILE, text)
    assert made is not None
    assert not made.commented
    assert means_the_same(made.text, text)


def test_version_2_stays_as_it_is() -> None:
    made = migrated(CONTRACT_FILE, TEXT)
    assert made is not None
    assert migrated(CONTRACT_FILE, made.text) is None


def test_a_broken_contract_is_not_migrated() -> None:
    with pytest.raises(ContractError):
        migrated(CONTRACT_FILE, TEXT.replace("delay: PT0S", "delay: soon"))


def test_the_command(tmp_path: Path) -> None:
    contracts = tmp_path / "contracts"
    contracts.mkdir()
    path = contracts / CONTRACT_FILE
    path.write_text(TEXT)
    assert migrate(contracts, "--dry-run").code == 0
    assert path.read_text() == TEXT
    done = migrate(contracts, "--json")
    assert (done.code, done.json["written"], done.json["comments_kept"]) == (0, True, True)
    assert means_the_same(path.read_text(), TEXT)
    assert migrate(contracts).out.rstrip().endswith("is version 2 already")


def test_the_example_file_is_the_template_of_version_1() -> None:
    assert parse_yaml(CONTRACT_FILE, TEXT)["entities"] == good().contract["entities"]

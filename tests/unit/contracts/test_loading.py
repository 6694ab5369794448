"""Reading the files: bounded, plain, and every problem with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from proviso.contracts.base import ContractError
from proviso.contracts.loading import (
    CONTRACT_FILE,
    MAX_BYTES,
    load_contract,
    parse_yaml,
    read_text,
)

ROOT = Path(__file__).parents[3]


def refused(text: str) -> str:
    with pytest.raises(ContractError) as caught:
        parse_yaml("file.yml", text)
    return str(caught.value)


def test_words_are_words_and_numbers_are_decimal() -> None:
    text = "{on: event, answer: no, padded: 010, small: 1e-6, sixty: 1:30, none: null, yes: true}"
    assert parse_yaml("file.yml", text) == {
        "on": "event",
        "answer": "no",
        "padded": "010",
        "small": 1e-6,
        "sixty": "1:30",
        "none": None,
        "yes": True,
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "file.yml: found key 'a' again in line 2, wanted it once"),
        ("a: &x 1\nb: *x\n", "file.yml: found an alias, wanted plain YAML"),
        ("1: a\n", "file.yml: found key 1 in line 1, wanted text"),
        ("[" * 5000, "file.yml: found nesting without end, wanted plain YAML"),
    ],
)
def test_anything_clever_is_refused(text: str, message: str) -> None:
    assert refused(text) == message


@pytest.mark.parametrize("text", ["a: !!python/object:os.system x", "{a: 1", "--- 1\n--- 2", "\0"])
def test_what_is_no_plain_yaml_is_one_problem(text: str) -> None:
    assert refused(text).startswith("file.yml: found ")


def test_a_file_is_bounded_and_text(tmp_path: Path) -> None:
    large, binary = tmp_path / "large.yml", tmp_path / "binary.yml"
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    binary.write_bytes(b"\xff")
    for path, message in (
        (large, f"large.yml: found {MAX_BYTES + 1} bytes, wanted at most {MAX_BYTES}"),
        (binary, "binary.yml: found byte 0 that is not UTF-8, wanted UTF-8 text"),
        (tmp_path / "x.yml", f"{tmp_path}/x.yml: found no such file or directory, wanted a "),
    ):
        with pytest.raises(ContractError) as caught:
            read_text(path)
        assert str(caught.value).startswith(message)


def test_a_view_of_an_unknown_entity_cannot_be_computed(tmp_path: Path) -> None:
    text = (ROOT / "contracts" / CONTRACT_FILE).read_text()
    broken = text.replace("entities: [merchant]", "entities: [shop]")
    (tmp_path / CONTRACT_FILE).write_text(broken)
    wanted = r"feature_views\[merchant_risk_daily\].entities: found shop, wanted one of"
    with pytest.raises(ContractError, match=wanted):
        load_contract(tmp_path)

"""Reading the files: bounded, plain, and every problem with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from proviso.contracts.base import ContractError, Problem
from proviso.contracts.documents import read_document
from proviso.contracts.loading import (
    CONTRACT_FILE,
    MAX_BYTES,
    PLAN_FILE,
    load_contract,
    load_plan,
    parse_yaml,
    read_text,
)

ROOT = Path(__file__).parents[3]


def refused(text: str) -> Problem:
    with pytest.raises(ContractError) as caught:
        parse_yaml("file.yml", text)
    (problem,) = caught.value.problems
    assert problem.path == "file.yml"
    return problem


def test_words_are_words_and_numbers_are_decimal() -> None:
    text = (
        "{on: event, answer: no, padded: 010, small: 1e-6, sixty: 1:30, none: null, yes: true, "
        "day: 2026-01-31, quoted: '1', minus: -3, dash: -, point: .5}"
    )
    assert parse_yaml("file.yml", text) == {
        "on": "event",
        "answer": "no",
        "padded": "010",
        "small": 1e-6,
        "sixty": "1:30",
        "none": None,
        "yes": True,
        "day": "2026-01-31",
        "quoted": "1",
        "minus": -3,
        "dash": "-",
        "point": 0.5,
    }


@pytest.mark.parametrize(
    ("text", "code", "found", "place"),
    [
        ("a: 1\na: 2\n", "yaml_key_repeated", "key 'a' again", (2, 1)),
        ("a: &x 1\nb: *x\n", "yaml_alias", "an alias", (2, 4)),
        ("b:\n  1: a\n", "yaml_key_not_text", "key 1", (2, 3)),
        ("? [a]\n: b\n", "yaml_key_not_text", "key ['a']", (1, 3)),
        ("[" * 5000, "yaml_too_deep", "more than 64 levels of nesting", (1, 66)),
        ("a: !!python/object:os.system x", "yaml_tag", "tag tag:yaml.org,2002:python/", (1, 4)),
        ("a: ! x", "yaml_tag", "tag !", (1, 4)),
        ("--- 1\n--- 2", "yaml_second_document", "a second document", (2, 1)),
        ("{a: 1", "yaml_invalid", "did not find expected ',' or '}'", (2, 1)),
        ("a:\n\tb: 1", "yaml_invalid", "found character that cannot start any token", (2, 1)),
        ("\0", "yaml_invalid", "control characters are not allowed", (0, 0)),
    ],
)
def test_anything_but_plain_yaml_is_one_problem_with_its_position(
    text: str, code: str, found: str, place: tuple[int, int]
) -> None:
    problem = refused(text)
    assert (problem.code, (problem.line, problem.column)) == (code, place)
    assert problem.found.startswith(found)


def test_an_empty_file_is_nothing() -> None:
    assert parse_yaml("file.yml", "# only words\n") is None


def test_a_nest_of_a_million_brackets_is_refused_in_no_time() -> None:
    assert refused("[" * MAX_BYTES).code == "yaml_too_deep"


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("a", (1, 1)),
        ("list[x].window", (4, 5)),
        ("list[x]", (3, 5)),
        ("list[x].missing", (3, 5)),
        ("list[1].window", (5, 6)),
        ("list[twice].window", (2, 1)),
        ("names[view:feature.one]", (8, 9)),
        ("names[0]", (8, 9)),
        ("nowhere", (0, 0)),
        ("", (0, 0)),
    ],
)
def test_a_problem_has_the_position_of_its_value_or_of_what_encloses_it(
    path: str, place: tuple[int, int]
) -> None:
    text = (
        "a: 1\nlist:\n  - name: x\n    window: PT5M\n  - {window: PT6M}\n"
        "  - {name: twice, window: 1}\n  - {name: twice}\nnames: [view:feature.one, other]\n"
    )
    document = read_document("file.yml", text)
    located = document.located(Problem(f"file.yml: {path}", "x", "y"))
    assert (located.line, located.column) == place
    elsewhere = Problem(f"other.yml: {path}", "x", "y")
    assert document.located(elsewhere) == elsewhere


def test_a_problem_shows_its_position_last() -> None:
    problem = Problem("f.yml: a.b", "1", "2", "because", "some_code", line=12, column=5)
    assert str(problem) == "f.yml: a.b: found 1, wanted 2 (because) (line 12, column 5)"
    assert problem.printed == f"{problem} [some_code]"


def test_a_typed_file_has_the_position_of_every_problem(tmp_path: Path) -> None:
    text = (ROOT / "contracts" / PLAN_FILE).read_text()
    (tmp_path / PLAN_FILE).write_text(text.replace("p95_ms: 150", "p95_ms: fast"))
    with pytest.raises(ContractError) as caught:
        load_plan(tmp_path)
    (problem,) = caught.value.problems
    line = text.splitlines()[problem.line - 1]
    assert problem.path.endswith("latency_slo.p95_ms")
    assert line[problem.column - 1 :].startswith("p95_ms: 150")


def test_a_file_is_bounded_and_text(tmp_path: Path) -> None:
    large, binary = tmp_path / "large.yml", tmp_path / "binary.yml"
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    binary.write_bytes(b"\xff")
    for path, code, place, found in (
        (large, "file_too_large", "large.yml", f"{MAX_BYTES + 1} bytes"),
        (binary, "file_not_utf8", "binary.yml", "byte 0 that is not UTF-8"),
        (tmp_path / "x", "file_not_found", f"{tmp_path}/x", "no such file or directory"),
    ):
        with pytest.raises(ContractError) as caught:
            read_text(path)
        (problem,) = caught.value.problems
        assert (problem.code, problem.path, problem.found) == (code, place, found)


def test_a_view_of_an_unknown_entity_cannot_be_computed(tmp_path: Path) -> None:
    text = (ROOT / "contracts" / CONTRACT_FILE).read_text()
    broken = text.replace("entities: [merchant]", "entities: [shop]")
    (tmp_path / CONTRACT_FILE).write_text(broken)
    with pytest.raises(ContractError) as caught:
        load_contract(tmp_path)
    (problem,) = caught.value.problems
    assert problem.code == "entity_unknown"
    assert problem.path.endswith("feature_views[merchant_risk_daily].entities")
    assert broken.splitlines()[problem.line - 1].strip() == "entities: [shop]"

"""`proviso forget` as a shell sees it: what it prints, and when it ends with 1 and 2."""

from __future__ import annotations

import json
from pathlib import Path

from tests.program import Done, call

CONTRACTS = Path(__file__).parents[3] / "contracts"


def forget(*options: str | Path) -> Done:
    return call("--contracts", CONTRACTS, "forget", "--entity", "customer:C00001", *options)


def record(path: Path) -> Path:
    path.write_text(json.dumps({"entities": {"customer": "C00001"}}) + "\n")
    return path


def test_it_says_what_went_and_what_remains(tmp_path: Path) -> None:
    path = record(tmp_path / "a.jsonl")
    assert "would remove 1 lines" in forget("--in", path, "--dry-run").out
    done = forget("--in", path, "--json")
    assert (done.code, path.read_text()) == (0, "")
    assert done.json["entity"] == "customer:C00001"
    assert [one["count"] for one in done.json["removed"]] == [1]
    assert {one["code"] for one in done.json["remains"]} >= {"bound_by_digests", "not_ours"}
    assert "in none of 1 files" in forget("--in", path).out


def test_what_could_not_be_removed_is_exit_1(tmp_path: Path) -> None:
    path = record(tmp_path / "a.jsonl")
    with path.open("ab"):
        done = forget("--in", tmp_path)
    assert done.code == 1
    assert "[record_in_use]" in done.out
    assert path.read_text()


def test_a_key_that_no_pod_can_have_is_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("short\n")
    done = forget("--hash-key-file", key, "--json")
    assert done.code == 2
    assert json.loads(done.err.splitlines()[-1])["errors"][0]["code"] == "hash_key_too_short"

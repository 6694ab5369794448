"""A pod that cannot be started as asked ends with 2 and says why, by a code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
RELEASE = ROOT / "model_repository" / "2.5.0" / "release.yml"
SCRIPT = ROOT / "tests" / "start_attempts.py"
Change = Callable[[dict[str, Any]], object]

ARGUMENTS: tuple[tuple[dict[str, str | None], str], ...] = (
    ({"predictor": None}, "predictor_missing"),
    ({"predictor": "nowhere"}, "predictor_address_invalid"),
    ({"store": "http://127.0.0.1"}, "store_url_invalid"),
    ({"record_sink": "stone"}, "record_sink_unknown"),
    ({"shadow_http_port": "9000"}, "shadow_port_missing"),
    ({"shadow_grpc_port": "9000"}, "shadow_port_missing"),
    (
        {"shadow_http_port": "9", "shadow_grpc_port": "8", "traffic": "shadow"},
        "traffic_contradictory",
    ),
    ({"arm": "serve", "traffic": "live"}, "traffic_contradictory"),
    ({"release": "nowhere.yml"}, "release_unreadable"),
    ({"hash_key_file": "nowhere.key"}, "file_unreadable"),
)
RELEASES: tuple[tuple[Change, str], ...] = (
    (lambda parsed: parsed.pop("model"), "release_field_missing"),
    (lambda parsed: parsed.update(id="r-1"), "release_field_invalid"),
    (lambda parsed: parsed["input"].update(width=1), "release_width_mismatch"),
    (lambda parsed: parsed["service"].pop("name"), "service_section_invalid"),
)


def arguments(changes: Mapping[str, str | None]) -> list[str]:
    given: dict[str, str | None] = {
        "--release": str(RELEASE),
        "--predictor": "127.0.0.1:8001",
        "--store": "redis://127.0.0.1:6379",
        "--record": "record.jsonl",
    }
    options = {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
    kept = {name: value for name, value in (given | options).items() if value is not None}
    return [part for pair in kept.items() for part in pair]


def changed(change: Change, path: Path) -> list[str]:
    """The arguments of a pod whose release.yml is changed."""
    parsed = yaml.safe_load(RELEASE.read_text())
    change(parsed)
    path.write_text(yaml.safe_dump(parsed, sort_keys=False))
    return arguments({"release": str(path)})


def test_each_reason_has_its_code(tmp_path: Path) -> None:
    lines = [arguments(changes) for changes, _ in ARGUMENTS]
    lines += [changed(edit, tmp_path / f"{n}.yml") for n, (edit, _) in enumerate(RELEASES)]
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        input=json.dumps(lines),
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    found = json.loads(done.stdout)
    codes = [re.findall(r"\[([a-z_]+)\]$", said.strip()) for _, said in found]
    assert codes == [[code] for _, code in (*ARGUMENTS, *RELEASES)]
    assert {status for status, _ in found} == {2}

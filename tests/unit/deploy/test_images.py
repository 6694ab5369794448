"""Builds and loads, against programs that stand in for docker and kind and keep what they saw."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from proviso.contracts.base import ContractError, InputError
from proviso.deploy import images
from proviso.deploy.images import Image
from proviso.manifests import images as named
from proviso.release.directory import read_release

BASE = "python:3.12-slim"
RELEASES = sorted(path.parent for path in (named.ROOT / "model_repository").glob("*/release.yml"))

_STAND_IN = """#!{python}
import json, os, pathlib, sys
home, call = pathlib.Path({home!r}), sys.argv[1:]
state = json.loads((home / "state.json").read_text())
seen = {{"program": pathlib.Path(sys.argv[0]).name, "arguments": call}}
if call[0] == "build":
    context = pathlib.Path(call[-1])
    files = [path for path in sorted(context.rglob("*")) if path.is_file()]
    seen["files"] = {{path.relative_to(context).as_posix(): path.read_text() for path in files}}
    seen["modes"] = sorted({{oct(path.stat().st_mode & 0o777) for path in context.rglob("*")}})
with (home / "calls").open("a") as log:
    log.write(json.dumps(seen) + "\\n")
answer = state.get(seen["program"] + " " + call[0], {{}})
if call[:2] == ["image", "inspect"]:
    found = [name for name in call[2:] if name in state["docker"]]
    print(json.dumps([{{"RepoTags": [name]}} for name in found]))
    sys.exit(len(found) < len(call) - 2)
if call[0] == "exec":
    print("\\n".join(state[call[1]]))
print(answer.get("out", ""))
sys.exit(answer.get("status", 0))
"""


def silent(message: str) -> None:
    """Progress that is not shown."""


@dataclass(frozen=True)
class Machine:
    """A machine whose docker and kind are ours: what they answer, and what they were asked."""

    home: Path

    def state(self, **state: Any) -> None:
        (self.home / "state.json").write_text(json.dumps(state))

    def calls(self, program: str, verb: str) -> list[dict[str, Any]]:
        log = self.home / "calls"
        seen = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        return [one for one in seen if (one["program"], one["arguments"][0]) == (program, verb)]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("docker", "kind"):
        program = programs / name
        program.write_text(_STAND_IN.format(python=sys.executable, home=str(tmp_path)))
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    return Machine(tmp_path)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    source = named.ImageSource("some", "Dockerfile", ("one", "folder"))
    root = tmp_path / "checkout"
    (root / "folder").mkdir(parents=True)
    for name in ("Dockerfile", "one", "folder/two", "three"):
        (root / name).write_text(f"text of {name}")
        (root / name).chmod(0o600)
    name = named.image_name(source, BASE, root)
    return Image(name, root / "Dockerfile", named.content(source, root), source, BASE)


# --- building --------------------------------------------------------------------------------


def test_a_build_sees_its_files_and_no_others(machine: Machine, image: Image) -> None:
    machine.state(docker=[])
    said: list[str] = []
    assert images.build([image], said.append) == (image.name,)
    (call,) = machine.calls("docker", "build")
    seen = ("Dockerfile", "one", "folder/two")
    assert call["files"] == {name: f"text of {name}" for name in seen}
    assert call["modes"] == ["0o644", "0o755"]
    assert call["arguments"][1:-1] == [
        *("--build-arg", f"BASE={BASE}"),
        *("--tag", image.name, "--file", str(image.dockerfile)),
    ]
    assert not Path(call["arguments"][-1]).exists()
    assert said[0] == f"{image.name}: building"
    assert said[1].startswith(f"{image.name}: built, ")


def test_what_changes_meanwhile_is_not_built_under_the_old_name(
    machine: Machine, image: Image
) -> None:
    machine.state(docker=[])
    image.files["one"].write_text("changed")
    with pytest.raises(ContractError) as changed:
        images.build([image], silent)
    assert changed.value.problems[0].code == "image_files_changed"
    assert machine.calls("docker", "build") == []


def test_what_exists_under_its_name_is_not_built(machine: Machine, image: Image) -> None:
    machine.state(docker=[image.name])
    said: list[str] = []
    assert images.build([image], said.append) == ()
    assert machine.calls("docker", "build") == []
    assert said == ["images: 0 built, 1 there"]


def test_a_failed_build_says_its_last_lines(machine: Machine, image: Image) -> None:
    output = "\n".join(f"line {number}" for number in range(100))
    machine.state(docker=[], **{"docker build": {"out": output, "status": 7}})
    with pytest.raises(ContractError) as caught:
        images.build([image], silent)
    [problem] = caught.value.problems
    assert (problem.code, problem.path) == ("image_build_failed", image.name)
    text = problem.message
    assert "exit code 7" in text
    assert "line 99" in text
    assert "line 80" not in text


def test_an_engine_that_refuses_is_named(machine: Machine, image: Image) -> None:
    refusal = "permission denied while trying to connect"
    machine.state(docker=[], **{"docker version": {"out": refusal, "status": 1}})
    with pytest.raises(InputError) as refused:
        images.build([image], silent)
    [problem] = refused.value.problems
    assert (problem.code, problem.path) == ("program_failed", "docker version --format")
    assert refusal in problem.message
    assert machine.calls("docker", "build") == []


def test_a_machine_without_docker_is_told_so(
    image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError) as missing:
        images.build([image], silent)
    assert missing.value.problems[0].code == "program_missing"


# --- what a release needs --------------------------------------------------------------------


def test_releases_share_what_they_can_share() -> None:
    releases = [read_release(path) for path in RELEASES]
    found = [image.name for image in images.needed(releases)]
    bases = releases[0].parsed["base_images"]
    assert sorted(found) == sorted(
        [
            named.control_image(),
            named.transformer_image(bases["transformer"]),
            named.triton_image(bases["predictor"]),
            *(named.model_image(release.model_name, release.id) for release in releases),
        ]
    )


def test_nothing_that_lies_beside_a_release_gets_into_its_image() -> None:
    release = read_release(RELEASES[-1])
    image = images.model(release)
    model = release.triton_model
    assert sorted(image.files) == [
        "baseline.onnx",
        f"{model}/1/model.onnx",
        f"{model}/config.pbtxt",
        "release.yml",
    ]
    assert image.source is None
    assert image.dockerfile.is_file()


# --- loading ---------------------------------------------------------------------------------


def nodes(*names: str) -> dict[str, Any]:
    return {"kind get": {"out": "\n".join(names)}}


def test_only_what_a_node_lacks_is_loaded_and_in_one_call(machine: Machine) -> None:
    names = ["proviso/a:1", "proviso/b:1", "quay.io/c/d:1", "valkey/valkey:9", "python:3.11-slim"]
    held = ["docker.io/proviso/a:1", "quay.io/c/d:1", "docker.io/library/python:3.11-slim"]
    machine.state(**nodes("node-a"), **{"node-a": held})
    assert images.load("one", names, silent) == ("proviso/b:1", "valkey/valkey:9")
    (call,) = machine.calls("kind", "load")
    assert call["arguments"] == [
        *("load", "docker-image", "--name", "one"),
        *("proviso/b:1", "valkey/valkey:9"),
    ]


def test_what_one_of_two_nodes_lacks_is_loaded(machine: Machine) -> None:
    machine.state(**nodes("node-a", "node-b"), **{"node-a": ["docker.io/a/b:1"], "node-b": []})
    assert images.load("one", ["a/b:1"], silent) == ("a/b:1",)


def test_a_second_load_loads_nothing(machine: Machine) -> None:
    machine.state(**nodes("node-a"), **{"node-a": ["docker.io/proviso/a:1"]})
    said: list[str] = []
    assert images.load("one", ["proviso/a:1"], said.append) == ()
    assert machine.calls("kind", "load") == []
    assert said == ["images on one: 0 loaded, 1 there"]


def test_a_cluster_without_nodes_is_refused(machine: Machine) -> None:
    machine.state(**nodes())
    with pytest.raises(InputError) as refused:
        images.load("one", ["proviso/a:1"], silent)
    [problem] = refused.value.problems
    assert (problem.code, problem.path) == ("cluster_without_nodes", "kind cluster one")


def test_a_failed_load_says_why(machine: Machine) -> None:
    why = {"out": "ERROR: image not present locally", "status": 1}
    machine.state(**nodes("node-a"), **{"node-a": [], "kind load": why})
    with pytest.raises(ContractError) as failed:
        images.load("one", ["proviso/a:1"], silent)
    [problem] = failed.value.problems
    assert problem.code == "image_load_failed"
    assert "not present locally" in problem.message

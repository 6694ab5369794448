"""kind and docker are called as they must be: stand-ins on PATH write down what they were asked."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from proviso.contracts.base import InputError
from proviso.deploy import kind
from proviso.deploy.kind import Kind
from proviso.kube.programs import call
from proviso.manifests.images import ROOT

CONFIG = ROOT / "kind-config.yaml"


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What docker (it has one image) and kind (it has two clusters) were asked, a line each.

    `ours` runs and has port 8081, `still` was stopped.
    """
    written = tmp_path / "calls"
    script = f'#!/bin/sh\necho "$(basename "$0") $*" >> {written}\n'
    answers = {
        "kind": '[ "$1" = get ] && echo "ours still"\nexit 0\n',
        "docker": (
            '[ "$4" = have:1 ] && echo 0123456789ab\n'
            '[ "$1 $4" = "inspect ours-control-plane" ] && echo true\n'
            '[ "$1 $3" = "ps publish=8081" ] && echo ours-control-plane\nexit 0\n'
        ),
        "kubectl": "exit 0\n",
    }
    for program, answer in answers.items():
        path = tmp_path / program
        path.write_text(script + answer)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return written


def test_the_one_node_elects_nothing() -> None:
    """In both forms of kubeadm's arguments: kind takes the patch of the version that it writes."""
    patches = [
        yaml.safe_load(p) for p in yaml.safe_load(CONFIG.read_text())["kubeadmConfigPatches"]
    ]
    assert [p["apiVersion"][-7:] for p in patches] == ["v1beta3", "v1beta4"]
    for patch in patches:
        for component in ("controllerManager", "scheduler"):
            given = patch[component]["extraArgs"]
            if not isinstance(given, dict):
                given = {one["name"]: one["value"] for one in given}
            assert given["leader-elect"] == "false"


def test_a_cluster_is_found_by_its_name(calls: Path) -> None:
    assert Kind("ours").exists()
    assert not Kind("our").exists()
    assert calls.read_text() == "kind get clusters\n" * 2


def test_a_cluster_is_made_from_the_node_image_that_docker_has(
    calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Kind("new").create(CONFIG)
    monkeypatch.setattr(kind, "NODE_IMAGE", "have:1")
    Kind("new").create(CONFIG)
    made = [line for line in calls.read_text().splitlines() if "create" in line]
    plain = f"kind create cluster --name new --config {CONFIG}"
    assert made == [f"{plain} --wait 300s", f"{plain} --image have:1 --wait 300s"]


@pytest.fixture
def free(tmp_path: Path) -> Path:
    """A kind configuration whose port nobody has."""
    path = tmp_path / "kind.yaml"
    path.write_text("nodes: [{extraPortMappings: [{hostPort: 8082}]}]")
    return path


def test_a_cluster_that_runs_is_there(calls: Path) -> None:
    assert Kind("ours").up(CONFIG) == "there"
    assert "create" not in calls.read_text()


def test_a_cluster_that_was_stopped_is_started(calls: Path, free: Path) -> None:
    assert Kind("still").up(free) == "started"
    assert "docker start still-control-plane" in calls.read_text()


def test_a_cluster_that_is_not_there_is_made(calls: Path, free: Path) -> None:
    assert Kind("new").up(free) == "made"
    assert f"kind create cluster --name new --config {free}" in calls.read_text()


@pytest.mark.parametrize("name", ["new", "still"])
def test_the_container_with_the_port_is_named(calls: Path, name: str) -> None:
    with pytest.raises(InputError) as taken:
        Kind(name).up(CONFIG)
    [problem] = taken.value.problems
    assert (problem.code, problem.path) == ("port_in_use", "port 8081")
    assert "ours-control-plane" in problem.message
    assert "create" not in calls.read_text()
    assert "start" not in calls.read_text()


def test_each_mode_has_a_cluster_of_its_own() -> None:
    assert kind.OWN["standard"] == yaml.safe_load(CONFIG.read_text())["name"]
    assert len(set(kind.OWN.values())) == len(kind.OWN) == 2


@pytest.mark.usefixtures("calls")
def test_images_that_docker_has() -> None:
    assert kind.present(("have:1", "lack:1")) == ("have:1",)


def test_a_context_of_kind_names_its_cluster() -> None:
    assert kind.named("kind-ours") == Kind("ours")
    assert kind.named("production") is None
    assert Kind("ours").context == "kind-ours"


def test_our_cluster_is_reached_from_this_machine_alone() -> None:
    config = yaml.safe_load(CONFIG.read_text())
    [node] = config["nodes"]
    assert config["name"] == "proviso"
    ports = {port["containerPort"]: port for port in node["extraPortMappings"]}
    assert {port["listenAddress"] for port in ports.values()} == {"127.0.0.1"}
    platform = ROOT / "k8s" / "platform"
    for folder, number in (("gateway-kind", 30080), ("kourier", 30081)):
        assert str(number) in (platform / folder / "kustomization.yaml").read_text()
        assert number in ports


def test_a_program_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(InputError) as missing:
        Kind("ours").exists()
    [problem] = missing.value.problems
    assert (problem.code, problem.path) == ("program_missing", "kind")


def test_a_program_that_fails_is_quoted_with_its_last_lines() -> None:
    script = "i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo line $i; done; echo why >&2; exit 3"
    with pytest.raises(InputError) as failed:
        call(["sh", "-c", script])
    [problem] = failed.value.problems
    assert problem.code == "program_failed"
    text = problem.message
    assert text.startswith("ended with exit code 3")
    assert "why" in text
    assert "line 30" in text
    assert "line 10\n" not in text


def test_a_program_that_hangs_is_ended() -> None:
    with pytest.raises(InputError) as hung:
        call(["sleep", "60"], seconds=0.1)
    [problem] = hung.value.problems
    assert (problem.code, problem.path) == ("program_timeout", "sleep 60")

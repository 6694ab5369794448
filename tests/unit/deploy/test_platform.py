"""A component is applied where it is another than before, or lost a part; else it is only read."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from proviso.deploy.platform import Platform, bring_up, gateway_up
from proviso.deploy.upstream import Component, Pins
from proviso.kube.api import Cluster
from tests.unit.kube.api_server import ApiServer

CONTROLLER = "/apis/apps/v1/namespaces/system/deployments/controller"
READY = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1}


def deployment(name: str = "controller", namespace: str = "system") -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    spec = {"replicas": 1}
    base = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
    # Nobody here would make it ready.
    return {**base, "status": READY}


NAMESPACE = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "system"}}


@pytest.fixture(autouse=True)
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubectl whose kustomize prints all files that a folder's kustomization names."""
    program = tmp_path / "bin" / "kubectl"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\ncd "$2" && cat $(cat kustomization.yaml)\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


def folder(root: Path, name: str, *documents: dict[str, Any], files: str = "own.yaml") -> None:
    (root / name).mkdir(parents=True, exist_ok=True)
    (root / name / "own.yaml").write_text(yaml.safe_dump_all(documents))
    (root / name / "kustomization.yaml").write_text(files)


def platform(root: Path, *names: str, mode: str = "standard", kind: bool = False) -> Platform:
    """Components that lie in one namespace, each with a file of its own."""
    text = b"# upstream\n"
    components = []
    for name in names:
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name / "upstream.yaml").write_bytes(text)
        known = {"name": name, "version": "v1", "file": "a.yaml", "namespace": "system"}
        more = {"sha256": hashlib.sha256(text).hexdigest(), "images": [f"{name}:1"]}
        modes = {"modes": ["standard", "knative"], "variants": {"knative": f"{name}-knative"}}
        components.append(Component.model_validate(known | more | modes))
    pins = Pins(version=1, components=components)
    return Platform(root, pins, None, "knative" if mode == "knative" else "standard", kind)


def run(of: Platform, *, dry_run: bool = False) -> tuple[str, list[str]]:
    told: list[str] = []
    return str(bring_up(Cluster("stand-in", dry_run=dry_run), of, told.append)), told


def test_a_second_run_reads_and_writes_nothing(api: ApiServer, tmp_path: Path) -> None:
    folder(tmp_path, "one", NAMESPACE, deployment())
    assert run(platform(tmp_path, "one")) == ("2 created", ["one v1: 2 created"])
    api.writes.clear()
    assert run(platform(tmp_path, "one")) == ("1 unchanged", ["one v1: 1 unchanged"])
    assert api.writes == []


def test_a_part_that_is_gone_is_made_again(api: ApiServer, tmp_path: Path) -> None:
    folder(tmp_path, "one", NAMESPACE, deployment())
    run(platform(tmp_path, "one"))
    del api.objects[CONTROLLER]
    assert run(platform(tmp_path, "one"))[0] == "1 created, 1 unchanged"


def test_another_kustomization_is_applied(api: ApiServer, tmp_path: Path) -> None:
    folder(tmp_path, "one", NAMESPACE, deployment())
    run(platform(tmp_path, "one"))
    folder(tmp_path, "one", NAMESPACE, deployment(), deployment("webhook"))
    assert run(platform(tmp_path, "one"))[0].startswith("1 created")
    assert CONTROLLER.replace("controller", "webhook") in api.objects


@pytest.mark.usefixtures("api")
def test_components_of_one_namespace_do_not_forget_each_other(tmp_path: Path) -> None:
    folder(tmp_path, "one", NAMESPACE)
    folder(tmp_path, "two", NAMESPACE, deployment())
    run(platform(tmp_path, "one", "two"))
    assert run(platform(tmp_path, "one", "two"))[0] == "2 unchanged"


@pytest.mark.usefixtures("api")
def test_a_part_in_another_namespace_is_not_looked_for_in_this_one(tmp_path: Path) -> None:
    folder(tmp_path, "one", NAMESPACE, deployment(), deployment("far", "elsewhere"))
    run(platform(tmp_path, "one"))
    assert run(platform(tmp_path, "one")) == ("1 unchanged", ["one v1: 1 unchanged"])


@pytest.mark.usefixtures("api")
def test_a_mode_has_its_own_variation(tmp_path: Path) -> None:
    folder(tmp_path, "one", NAMESPACE, deployment())
    folder(tmp_path, "one-knative", NAMESPACE, deployment("other"))
    run(platform(tmp_path, "one"))
    assert run(platform(tmp_path, "one", mode="knative"))[0].startswith("1 created")
    # What the variation builds on counts as well.
    folder(tmp_path, "one", NAMESPACE, deployment(), deployment("more"))
    assert run(platform(tmp_path, "one", mode="knative"))[0] == "2 unchanged"


@pytest.mark.parametrize("mode", ["standard", "knative"])
@pytest.mark.usefixtures("api")
def test_kind_has_its_own_form_of_both_modes(mode: str, tmp_path: Path) -> None:
    variant = "one" if mode == "standard" else "one-knative"
    folder(tmp_path, "one", NAMESPACE, deployment())
    folder(tmp_path, "one-knative", NAMESPACE, deployment())
    folder(tmp_path, f"{variant}-kind", NAMESPACE, deployment("elected"))
    run(platform(tmp_path, "one", mode=mode))
    assert run(platform(tmp_path, "one", mode=mode, kind=True))[0].startswith("1 created")
    assert run(platform(tmp_path, "one", mode=mode, kind=True))[0] == "1 unchanged"
    # What it builds on counts as well.
    folder(tmp_path, variant, NAMESPACE, deployment(), deployment("more"))
    assert run(platform(tmp_path, "one", mode=mode, kind=True))[0] == "2 unchanged"


def test_a_dry_run_writes_no_note(api: ApiServer, tmp_path: Path) -> None:
    folder(tmp_path, "one", NAMESPACE, deployment())
    assert run(platform(tmp_path, "one"), dry_run=True)[0] == "2 created"
    assert api.objects == {}


def test_the_gateway_is_waited_for(api: ApiServer, tmp_path: Path) -> None:
    version = "gateway.networking.k8s.io/v1"
    api.kinds[version] = [("gateways", "Gateway", True)]
    metadata = {"name": "proviso", "namespace": "proviso"}
    programmed = {"conditions": [{"type": "Programmed", "status": "True"}]}
    gateway = {"apiVersion": version, "kind": "Gateway", "metadata": metadata}
    folder(tmp_path, "gateway", {**gateway, "status": programmed})
    applied = gateway_up(Cluster("stand-in"), tmp_path / "gateway", print)
    assert str(applied) == "1 created"

"""Hand-written manifests that name what is rendered: they must name what is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from proviso.manifests.documents import parse_documents, plain
from proviso.manifests.objects.routing import HTTPRoute
from proviso.manifests.objects.serving import InferenceService
from proviso.rollout.deployed import NAMESPACE, PART_OF
from tests.unit.manifests.release_case import ROOT, good, plan

GUARD = ROOT / "k8s" / "base" / "route-guard.yaml"
COMPONENTS = ROOT / "k8s" / "components"


def test_the_guard_reads_the_annotations_that_routes_have(tmp_path: Path) -> None:
    policy = next(d for d in yaml.safe_load_all(GUARD.read_text()) if d["kind"].endswith("Policy"))
    assert policy["metadata"]["name"] == "proviso-ready"
    rendering = good(tmp_path).render()
    text = rendering.files["rollout/02-canary-5.yaml"]
    route = next(o for o in parse_documents(text) if isinstance(o, HTTPRoute))
    annotations = route.metadata.annotations or {}
    read = ("step", "candidate-unit", "candidate-weight", "stable-unit", "stable-weight")
    for key in (*read, "mirror-percent"):
        assert f"proviso.dev/{key}" in annotations
        assert f"'{key}'" in GUARD.read_text()


def test_the_guard_knows_services_by_their_endings(tmp_path: Path) -> None:
    unit = good(tmp_path).render().pair.candidate
    assert (unit.public, unit.shadow) == (f"{unit.name}-public", f"{unit.name}-shadow")
    assert "'-public'" in GUARD.read_text()
    assert "'-shadow'" in GUARD.read_text()


def test_the_guard_stands_over_our_namespace_and_our_objects() -> None:
    bindings = [
        document
        for document in yaml.safe_load_all(GUARD.read_text())
        if document["kind"].endswith("Binding")
    ]
    assert len(bindings) == 4
    for binding in bindings:
        selected = binding["spec"]["matchResources"]["namespaceSelector"]["matchLabels"]
        assert selected == {"kubernetes.io/metadata.name": NAMESPACE}
        assert binding["spec"]["validationActions"] == ["Deny"]
        if "paramRef" in binding["spec"]:
            assert binding["spec"]["paramRef"]["selector"]["matchLabels"] == {PART_OF: "proviso"}


@pytest.mark.parametrize("component", ["nvidia", "gpu", "scale-to-zero"])
@pytest.mark.parametrize("topology", ["separate", "collocated"])
def test_a_component_patches_what_is_there(component: str, topology: str, tmp_path: Path) -> None:
    rendering = plan("topology", topology)(good(tmp_path)).render()
    objects = parse_documents(rendering.files["release.yaml"])
    service = next(plain(o) for o in objects if isinstance(o, InferenceService))
    text = (COMPONENTS / component / "kustomization.yaml").read_text()
    operations = yaml.safe_load(yaml.safe_load(text)["patches"][0]["patch"])
    for operation in operations:
        place = at(service, operation["path"].split("/")[1:-1])
        last = operation["path"].split("/")[-1].replace("~1", "/")
        found = place[int(last)] if isinstance(place, list) else place.get(last)
        if operation["op"] == "test":
            assert found == operation["value"]
        if operation["op"] in ("replace", "remove"):
            assert found is not None


def at(data: Any, steps: list[str]) -> Any:
    for step in steps:
        data = data[int(step)] if isinstance(data, list) else data[step]
    return data

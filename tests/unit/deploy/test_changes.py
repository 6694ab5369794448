"""What a deployment changes in objects, and reads out of them, on committed manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from proviso.deploy.changes import images_in, with_image, with_pod_annotation
from proviso.deploy.route import backends_of

ROLLOUT = Path(__file__).parents[3] / "k8s" / "releases" / "2.5.0" / "rollout"


def route(step: str) -> dict[str, Any]:
    documents = list(yaml.safe_load_all((ROLLOUT / f"{step}.yaml").read_text()))
    [found] = [one for one in documents if one["kind"] == "HTTPRoute"]
    return dict(found)


@pytest.mark.parametrize(
    ("step", "versions"),
    [
        ("01-shadow", {"2-4-0", "2-5-0"}),
        ("02-canary-5", {"2-4-0", "2-5-0"}),
        ("06-promote", {"2-5-0"}),
        ("rollback", {"2-4-0"}),
    ],
)
def test_a_route_leads_to_those_that_it_gives_something(step: str, versions: set[str]) -> None:
    names = set(backends_of(route(step)["spec"]))
    assert {name.removeprefix("fraud-risk-").rpartition("-")[0] for name in names} == versions


def test_a_withdrawn_route_leads_nowhere() -> None:
    path = ROLLOUT.parents[1] / "2.4.0" / "rollout" / "rollback.yaml"
    documents = yaml.safe_load_all(path.read_text())
    [withdrawn] = [one for one in documents if one["kind"] == "HTTPRoute"]
    assert not set(backends_of(withdrawn["spec"]))


def test_only_images_of_that_name_are_named_anew() -> None:
    pod = {"containers": [{"image": "proviso/control"}, {"image": "valkey/valkey:9"}]}
    changed = with_image({"spec": {"deep": [pod]}}, "control", "proviso/control:abc")
    assert list(images_in(changed)) == ["proviso/control:abc", "valkey/valkey:9"]
    assert pod["containers"][0]["image"] == "proviso/control"


def test_a_note_is_on_the_pods_of_a_deployment_only() -> None:
    def made(kind: str) -> dict[str, Any]:
        return {"kind": kind, "spec": {"template": {"metadata": {"annotations": {"a": "1"}}}}}

    noted = with_pod_annotation(made("Deployment"), "b", "2")
    assert noted["spec"]["template"]["metadata"]["annotations"] == {"a": "1", "b": "2"}
    assert with_pod_annotation(made("Job"), "b", "2") == made("Job")

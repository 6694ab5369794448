"""The steps of a rollout: who gets which share, in which file, in both modes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proviso.manifests.documents import parse_documents, plain
from proviso.manifests.objects.core import Kube
from proviso.manifests.objects.routing import (
    BackendTrafficPolicy,
    HTTPRoute,
    HTTPRouteFilter,
)
from proviso.manifests.objects.serving import InferenceService
from proviso.manifests.render import Rendering
from proviso.manifests.routes import WITHDRAWN
from tests.unit.manifests.release_case import first, good, plan

STANDARD = [
    "rollout/01-shadow.yaml",
    "rollout/02-canary-5.yaml",
    "rollout/03-canary-25.yaml",
    "rollout/04-canary-50.yaml",
    "rollout/05-canary-100.yaml",
    "rollout/06-promote.yaml",
]


@pytest.fixture
def over(tmp_path: Path) -> Rendering:
    """2.5.0 over 2.4.0 in mode standard."""
    return good(tmp_path).render()


def objects(rendering: Rendering, name: str) -> list[Kube]:
    return parse_documents(rendering.files[name])


def route_of(rendering: Rendering, name: str) -> HTTPRoute:
    return next(o for o in objects(rendering, name) if isinstance(o, HTTPRoute))


def service_of(rendering: Rendering, name: str) -> InferenceService:
    return next(o for o in objects(rendering, name) if isinstance(o, InferenceService))


def shares(route: HTTPRoute) -> dict[str, dict[str, int | None]]:
    return {
        rule.name: {backend.name: backend.weight for backend in rule.backend_refs or []}
        for rule in route.spec.rules
    }


def test_the_files_are_the_plans_steps_in_order(over: Rendering) -> None:
    rollout = [name for name in over.files if name.startswith("rollout/")]
    assert rollout == [*STANDARD, "rollout/rollback.yaml"]


def test_rest_and_grpc_have_the_same_shares_and_they_make_a_hundred(over: Rendering) -> None:
    stable, candidate = over.pair.stable, over.pair.candidate
    assert stable
    for taken in over.steps:
        found = shares(route_of(over, taken.file))
        assert found["rest"] == found["grpc"]
        assert sum(weight or 0 for weight in found["rest"].values()) == 100
        wanted = {stable.public: taken.step.stable, candidate.public: taken.step.candidate}
        assert found["rest"] == {name: weight for name, weight in wanted.items() if weight}


def test_candidates_share_grows_to_all_and_rollback_takes_it_all(over: Rendering) -> None:
    assert [taken.step.candidate for taken in over.steps] == [0, 5, 25, 50, 100, 100, 0]
    assert over.rollback.step.stable == 100


def test_clients_see_the_same_host_and_paths_at_every_step(over: Rendering) -> None:
    seen = set()
    for taken in over.steps:
        route = route_of(over, taken.file)
        paths = [(m.path.type, m.path.value) for rule in route.spec.rules for m in rule.matches]
        seen.add((route.metadata.name, *route.spec.hostnames, *paths))
    assert seen == {
        (
            "fraud-risk",
            "fraud-risk.proviso.example",
            ("PathPrefix", "/v1/models"),
            ("PathPrefix", "/v2/models"),
            ("PathPrefix", "/v2/health"),
            ("Exact", "/v2"),
            ("Exact", "/"),
            ("PathPrefix", "/inference.GRPCInferenceService/"),
            ("PathPrefix", "/grpc.health.v1.Health/"),
        )
    }


def test_the_shadow_is_mirrored_to_ports_of_its_own_and_to_nothing_else(over: Rendering) -> None:
    for taken in over.steps:
        rules = route_of(over, taken.file).spec.rules
        mirrors = [f.request_mirror for rule in rules for f in rule.filters or []]
        found = [(m.backend_ref.name, m.backend_ref.port, m.percent) for m in mirrors if m]
        shadow = over.pair.candidate.shadow
        wanted = [(shadow, 8082, 100), (shadow, 8083, 100)]
        assert found == (wanted if taken.step.name == "shadow" else [])


def test_the_plan_decides_how_much_is_mirrored(tmp_path: Path) -> None:
    rendering = plan("mirroring/percent", 20)(good(tmp_path)).render()
    rules = plain(route_of(rendering, STANDARD[0]))["spec"]["rules"]
    assert [rule["filters"][0]["requestMirror"]["percent"] for rule in rules] == [20, 20]


def test_a_route_says_which_step_it_is(over: Rendering) -> None:
    stable, candidate = over.pair.stable, over.pair.candidate
    assert stable
    annotations = route_of(over, STANDARD[2]).metadata.annotations
    assert annotations == {
        "proviso.dev/step": "canary-25",
        "proviso.dev/candidate": candidate.release_id,
        "proviso.dev/candidate-unit": candidate.name,
        "proviso.dev/candidate-weight": "25",
        "proviso.dev/stable": stable.release_id,
        "proviso.dev/stable-unit": stable.name,
        "proviso.dev/stable-weight": "75",
        "proviso.dev/mirror-percent": "0",
    }
    rollback = route_of(over, "rollout/rollback.yaml").metadata.annotations or {}
    assert rollback["proviso.dev/step"] == "rollback"


def test_machines_read_the_same_steps(over: Rendering) -> None:
    data: Any = json.loads(over.files["steps.json"])
    assert [step["file"] for step in data["steps"]] == STANDARD
    assert data["candidate"]["unit"] == over.pair.candidate.name
    assert [step["mirror_percent"] for step in data["steps"]] == [100, 0, 0, 0, 0, 0]
    assert data["rollback"]["stable_weight"] == 100


def test_only_what_no_pod_scored_is_tried_again(over: Rendering) -> None:
    for taken in over.steps:
        policy = next(o for o in objects(over, taken.file) if isinstance(o, BackendTrafficPolicy))
        assert policy.spec.target_refs[0].name == "fraud-risk"
        assert policy.spec.retry.retry_on.triggers == ["connect-failure", "refused-stream"]
        assert policy.spec.timeout.http.request_timeout == "1500ms"


def test_the_first_release_is_promoted_or_taken_back_with_a_reason(tmp_path: Path) -> None:
    rendering = first(tmp_path).render()
    assert [taken.file for taken in rendering.steps] == [
        "rollout/01-promote.yaml",
        "rollout/rollback.yaml",
    ]
    promote = route_of(rendering, "rollout/01-promote.yaml")
    assert shares(promote)["rest"] == {rendering.pair.candidate.public: 100}
    back = objects(rendering, "rollout/rollback.yaml")
    answer = next(o for o in back if isinstance(o, HTTPRouteFilter))
    response = answer.spec.direct_response
    assert (response.status_code, response.content_type) == (503, "application/json")
    body = json.loads(response.body.inline)
    assert (body["code"], body["reason"]) == ("release_withdrawn", "withdrawn")
    assert response.body.inline == WITHDRAWN
    route = route_of(rendering, "rollout/rollback.yaml")
    for rule in route.spec.rules:
        assert rule.backend_refs is None
        refs = [f.extension_ref.name for f in rule.filters or [] if f.extension_ref]
        assert refs == [answer.metadata.name]
    assert "no stable release" in (route.metadata.annotations or {})["proviso.dev/withdrawn"]
    assert "There is no stable release to go back to" in rendering.files["rollout/rollback.yaml"]


# --- mode knative -----------------------------------------------------------------------------


@pytest.fixture
def revised(tmp_path: Path) -> Rendering:
    """2.5.0 over 2.4.0 in mode knative."""
    return replace(good(tmp_path), mode="knative").render()


def test_in_knative_the_steps_are_percentages_that_are_always_said(revised: Rendering) -> None:
    found = {
        taken.file: service_of(revised, taken.file).spec.predictor.canary_traffic_percent
        for taken in revised.steps
    }
    assert found == {
        "rollout/01-canary-5.yaml": 5,
        "rollout/02-canary-25.yaml": 25,
        "rollout/03-canary-50.yaml": 50,
        "rollout/04-canary-100.yaml": 100,
        "rollout/05-promote.yaml": 100,
        "rollout/rollback.yaml": 0,
    }


def test_in_knative_a_step_makes_no_new_revision(revised: Rendering) -> None:
    """A revision is a pod template: nothing but the percentage may differ from step to step."""
    release = service_of(revised, "release.yaml")
    assert release.spec.predictor.canary_traffic_percent == 0
    for taken in revised.steps:
        step = plain(service_of(revised, taken.file))
        step["spec"]["predictor"]["canaryTrafficPercent"] = 0
        assert step == plain(release)


def test_in_knative_the_model_has_one_service_and_one_container_with_a_port(
    revised: Rendering,
) -> None:
    service = service_of(revised, "release.yaml")
    assert service.metadata.name == "fraud-risk"
    predictor = service.spec.predictor
    assert service.spec.transformer is None
    names = [container.name for container in predictor.containers]
    assert names == ["kserve-container", "transformer-container"]
    ports = [container.ports for container in predictor.containers]
    assert ports[0] is None
    assert [port.container_port for port in ports[1] or []] == [8080]


def test_in_knative_nothing_is_said_that_it_refuses(revised: Rendering) -> None:
    predictor = plain(service_of(revised, "release.yaml"))["spec"]["predictor"]
    refused = {"deploymentStrategy", "terminationGracePeriodSeconds", "topologySpreadConstraints"}
    assert not refused & predictor.keys()
    assert not any("lifecycle" in container for container in predictor["containers"])
    for container in predictor["containers"]:
        for mount in container["volumeMounts"]:
            if mount["name"] == "store":
                assert mount["readOnly"] is True


def test_in_knative_a_first_release_serves_at_once_and_is_stopped_to_go_back(
    tmp_path: Path,
) -> None:
    rendering = replace(first(tmp_path), mode="knative").render()
    assert service_of(rendering, "release.yaml").spec.predictor.canary_traffic_percent == 100
    back = service_of(rendering, "rollout/rollback.yaml")
    assert (back.metadata.annotations or {})["serving.kserve.io/stop"] == "true"
    assert "answered 404 by Knative" in rendering.files["rollout/rollback.yaml"]
    assert back.spec.predictor.canary_traffic_percent == 100

"""What an object still lacks, read from its status; and the error of one that never gets there."""

from __future__ import annotations

from typing import Any

import pytest

from proviso.contracts.base import ContractError
from proviso.kube.api import Cluster, Ref
from proviso.kube.waiting import (
    PermanentFailure,
    has_condition,
    inference_service_ready,
    job_complete,
    rolled_out,
    route_accepted,
    runs_component,
    wait,
)
from tests.unit.kube.api_server import ApiServer

DEPLOYMENT = Ref("apps/v1", "Deployment", "front", "proviso")
JOB = Ref("batch/v1", "Job", "data", "proviso")
POD = {"apiVersion": "v1", "kind": "Pod"}


def an_object(status: dict[str, Any], generation: int = 2, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"generation": generation}, "spec": spec, "status": status}


def conditions(**states: str) -> list[dict[str, str]]:
    return [{"type": name, "status": state} for name, state in states.items()]


def test_a_condition_must_be_there_and_true() -> None:
    programmed = has_condition("Programmed")
    assert programmed(an_object({})) == "no condition Programmed"
    # A CRD that was made a moment ago says null.
    assert programmed(an_object({"conditions": None})) == "no condition Programmed"
    assert programmed(an_object({"conditions": conditions(Programmed="True")})) is None
    waits = {"type": "Programmed", "status": "False", "reason": "AddressNotAssigned"}
    lack = programmed(an_object({"conditions": [waits]}))
    assert lack is not None
    assert lack.startswith("Programmed False: AddressNotAssigned")


@pytest.mark.parametrize("of_the_status", [True, False])
def test_what_was_said_of_an_earlier_generation_does_not_count(of_the_status: bool) -> None:
    seen = {"observedGeneration": 1}
    [one] = conditions(Ready="True")
    status = {**seen, "conditions": [one]} if of_the_status else {"conditions": [{**one, **seen}]}
    assert has_condition("Ready")(an_object(status)) is not None
    assert has_condition("Ready")(an_object(status, generation=1)) is None


def test_pods_of_an_earlier_template_do_not_count() -> None:
    counts = {"observedGeneration": 2, "replicas": 2, "readyReplicas": 2, "updatedReplicas": 1}
    assert rolled_out(an_object(counts, replicas=2)) == "2 of 2 pods ready, 1 of this version"
    assert rolled_out(an_object({**counts, "updatedReplicas": 2}, replicas=2)) is None
    # One of the old pods still ends.
    late = {**counts, "replicas": 3, "updatedReplicas": 2}
    assert rolled_out(an_object(late, replicas=2)) is not None
    assert rolled_out(an_object({}, replicas=1)) == "0 of 1 pods ready, 0 of this version"


def test_a_deployment_must_run_what_its_component_asks_for() -> None:
    def made(image: str, *arguments: str, replicas: int = 2) -> dict[str, Any]:
        counts = dict.fromkeys(("replicas", "readyReplicas", "updatedReplicas"), replicas)
        # KServe adds arguments of its own.
        container = {"name": "c", "image": image, "args": [*arguments, "--http_port"]}
        template = {"spec": {"containers": [container]}}
        return an_object(counts, replicas=replicas, template=template)

    container = {"name": "c", "image": "i:2", "args": ["--a"]}
    wanted = runs_component({"minReplicas": 2, "containers": [container]})
    assert wanted(made("i:2", "--a")) is None
    assert wanted(made("i:1", "--a")) == "containers of an earlier generation"
    assert wanted(made("i:2", "--b")) == "containers of an earlier generation"
    assert wanted(made("i:2", "--a", replicas=1)) == "1 of 2 pods asked for"


def test_an_inference_service_is_ready_whatever_generation_it_names() -> None:
    status = {"observedGeneration": 1, "conditions": conditions(Ready="True")}
    assert inference_service_ready(an_object(status, generation=5)) is None
    status["conditions"] = conditions(Ready="False")
    assert inference_service_ready(an_object(status, generation=5)) is not None


def test_a_job_is_done_at_work_or_failed() -> None:
    assert job_complete(an_object({"active": 1})) == "1 pods running"
    assert job_complete(an_object({"conditions": conditions(Complete="True")})) is None
    assert job_complete(an_object({"conditions": conditions(Failed="False")})) is not None
    with pytest.raises(PermanentFailure):
        job_complete(an_object({"conditions": conditions(Failed="True")}))


def test_a_route_counts_when_every_gateway_has_this_version_of_it() -> None:
    def route(*parents: list[dict[str, Any]]) -> dict[str, Any]:
        return an_object({"parents": [{"conditions": list(one)} for one in parents]})

    good = conditions(Accepted="True", ResolvedRefs="True")
    assert route_accepted(route()) == "no gateway has seen it"
    assert route_accepted(route(good)) is None
    assert (
        route_accepted(route(good, conditions(Accepted="True", ResolvedRefs="False"))) is not None
    )
    assert route_accepted(route([{**one, "observedGeneration": 1} for one in good])) is not None


def keep_broken_pod(api: ApiServer) -> None:
    """A Deployment whose one pod's container ends again and again."""
    labels = {"app": "front"}
    metadata = {"name": "front", "namespace": "proviso"}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}}
    status = {"replicas": 1, "updatedReplicas": 1, "conditions": conditions(Available="False")}
    base = {"apiVersion": "apps/v1", "kind": "Deployment"}
    api.keep({**base, "metadata": metadata, "spec": spec, "status": status})
    container = {
        "name": "main",
        "restartCount": 2,
        "ready": False,
        "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 20s"}},
    }
    done = {"name": "model", "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}
    pod_status = {"phase": "Running", "containerStatuses": [container]}
    pod_status["initContainerStatuses"] = [done]
    named = {"name": "front-1", "namespace": "proviso", "labels": labels}
    api.keep({**POD, "metadata": named, "status": pod_status})
    api.logs["front-1", "main", True] = "one\nrelease.yml: found 1, wanted 2\n"


def keep_event(api: ApiServer, about: str, message: str, kind: str = "Warning") -> None:
    metadata = {"name": f"event-{len(api.objects)}", "namespace": "proviso"}
    involved = {"involvedObject": {"kind": "Pod", "name": about}}
    said = {"type": kind, "reason": "Because", "message": message}
    api.keep({"apiVersion": "v1", "kind": "Event", "metadata": metadata, **involved, **said})


def test_what_never_gets_ready_is_explained(api: ApiServer) -> None:
    keep_broken_pod(api)
    keep_event(api, "front-1", "Back-off restarting failed container")
    keep_event(api, "front-1", "Pulled image", kind="Normal")
    keep_event(api, "another", "of no interest")
    told: list[str] = []
    with pytest.raises(ContractError) as failed:
        wait(Cluster("stand-in"), DEPLOYMENT, rolled_out, 0.0, told.append)
    [problem] = failed.value.problems
    assert (problem.code, problem.path) == ("not_ready_in_time", "Deployment front in proviso")
    assert problem.message.startswith("not ready after 0 s: 0 of 1 pods ready")
    text = problem.why
    for wanted in (
        "Available False",
        "event: Pod front-1: Because: Back-off restarting failed container",
        "container main: CrashLoopBackOff back-off 20s",
        "| release.yml: found 1, wanted 2",
    ):
        assert wanted in text
    for unwanted in ("Pulled image", "of no interest", "container model"):
        assert unwanted not in text


def test_a_failed_job_is_explained_at_once_without_the_pods_that_did_well(api: ApiServer) -> None:
    spec = {"selector": {"matchLabels": {"job": "data"}}}
    status = {
        "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]
    }
    metadata = {"name": "data", "namespace": "proviso"}
    api.keep(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
        | {"status": status}
    )
    ended = {"name": "main", "state": {"terminated": {"exitCode": 2, "reason": "Error"}}}
    for name, phase, statuses in (("data-1", "Failed", [ended]), ("data-2", "Succeeded", [])):
        named = {"name": name, "namespace": "proviso", "labels": {"job": "data"}}
        api.keep(
            {**POD, "metadata": named, "status": {"phase": phase, "containerStatuses": statuses}}
        )
    api.logs["data-1", "main", False] = "no space left\n"
    with pytest.raises(ContractError) as failed:
        wait(Cluster("stand-in"), JOB, job_complete, 600.0, print)
    [problem] = failed.value.problems
    assert (problem.code, problem.path) == ("failed_for_good", "Job data in proviso")
    assert "BackoffLimitExceeded" in problem.message
    text = problem.why
    assert "container main: Error exit 2" in text
    assert "| no space left" in text
    assert "data-2" not in text


def test_what_is_there_already_is_not_waited_for(api: ApiServer) -> None:
    metadata = {"name": "data", "namespace": "proviso"}
    status = {"conditions": conditions(Complete="True")}
    api.keep({"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "status": status})
    told: list[str] = []
    wait(Cluster("stand-in"), JOB, job_complete, 0.0, told.append)
    assert told == []
    with pytest.raises(ContractError) as absent:
        wait(Cluster("stand-in"), DEPLOYMENT, rolled_out, 0.0, told.append)
    assert absent.value.problems[0].message.endswith("it does not exist")

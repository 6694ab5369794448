"""Secrets and the containers that mount them, against a stand-in API server."""

from __future__ import annotations

from typing import Any

import pytest

from proviso.contracts.base import InputError
from proviso.kube.api import Cluster
from proviso.kube.namespace import NamespaceClient, SecretMount
from tests.unit.kube.api_server import ApiServer

SECRETS = "/api/v1/namespaces/proviso/secrets"
PODS = "/api/v1/namespaces/proviso/pods"


def client() -> NamespaceClient:
    return NamespaceClient(Cluster("stand-in"), "proviso", {"part-of": "proviso"})


def keep_pod(
    api: ApiServer, name: str, secret: str = "store-serving", phase: str = "Running", **more: Any
) -> None:
    """A pod of a container that mounts the Secret, one that does not, and one that has ended."""
    mounts = [{"name": "p", "mountPath": "/etc/proviso/store"}]
    containers = [
        {"name": "main", "volumeMounts": mounts},
        {"name": "beside"},
        {"name": "ended", "volumeMounts": mounts},
    ]
    states: dict[str, Any] = {
        "main": {"running": {}},
        "beside": {"running": {}},
        "ended": {"terminated": {}},
    }
    status = {
        "phase": phase,
        "containerStatuses": [{"name": n, "state": state} for n, state in states.items()],
    }
    volumes = [{"name": "p", "secret": {"secretName": secret}}, {"name": "other", "emptyDir": {}}]
    metadata = {"name": name, "namespace": "proviso", "uid": f"uid-{name}", **more}
    spec = {"containers": containers, "volumes": volumes}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    api.keep({**pod, "status": status})


def test_secrets_are_made_and_changed_and_read_as_text(api: ApiServer) -> None:
    namespace = client()
    assert namespace.secret("store-serving") is None
    namespace.write_secret("store-serving", {"password": "one"})
    namespace.write_secret("store-serving", {"password": "two"})
    assert namespace.secret("store-serving") == {"password": "two"}
    stored = api.objects[f"{SECRETS}/store-serving"]
    assert stored["metadata"]["labels"] == {"part-of": "proviso"}
    assert {query["fieldManager"][0] for _, _, query in api.writes} == {"proviso"}


def test_a_refused_write_is_an_error_without_the_password(api: ApiServer) -> None:
    api.refusals[f"{SECRETS}/store-serving"] = [(403, "forbidden")]
    with pytest.raises(InputError) as refused:
        client().write_secret("store-serving", {"password": "hidden"})
    [problem] = refused.value.problems
    assert (problem.code, problem.path) == ("apply_refused", "Secret store-serving in proviso")
    assert "forbidden" in problem.message
    assert "hidden" not in str(refused.value)


def test_an_api_server_error_is_not_taken_for_an_absent_secret(api: ApiServer) -> None:
    namespace = client()
    api.unreadable[f"{SECRETS}/store-serving"] = (403, "forbidden")
    with pytest.raises(InputError) as failed:
        namespace.secret("store-serving")
    assert failed.value.problems[0].code == "api_server_error"


def test_mounts_are_those_of_running_containers(api: ApiServer) -> None:
    keep_pod(api, "a")
    keep_pod(api, "b", phase="Pending")
    keep_pod(api, "c", "store-writer")
    keep_pod(api, "leaving", deletionTimestamp="2026-01-01T00:00:00Z")
    namespace = client()
    assert namespace.mounts("store-serving") == [SecretMount("a", "main", "/etc/proviso/store")]
    assert [mount.pod for mount in namespace.mounts("store-writer")] == ["c"]
    assert namespace.mounts("store-acl") == []


def test_a_nudge_changes_an_annotation_each_time_and_a_lost_pod_is_fine(api: ApiServer) -> None:
    keep_pod(api, "a")
    namespace = client()
    seen = []
    for _ in range(2):
        namespace.nudge("a")
        seen.append(api.objects[f"{PODS}/a"]["metadata"]["annotations"])
    assert seen[0] != seen[1]
    namespace.nudge("gone")
    assert f"{PODS}/gone" not in api.objects


def test_a_pod_that_goes_while_it_is_nudged_is_fine(api: ApiServer) -> None:
    keep_pod(api, "a")
    api.refusals[f"{PODS}/a"] = [(409, "uid mismatch: the provided object specified uid")]
    client().nudge("a")

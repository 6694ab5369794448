"""What a rotation asks of the API server, with an API server made of objects."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import pytest
from kubernetes.client import (
    ApiException,
    V1Container,
    V1ContainerState,
    V1ContainerStateRunning,
    V1ContainerStateTerminated,
    V1ContainerStatus,
    V1ObjectMeta,
    V1Pod,
    V1PodList,
    V1PodSpec,
    V1PodStatus,
    V1Secret,
    V1SecretVolumeSource,
    V1Volume,
    V1VolumeMount,
)

from proviso.kube.namespace import Inside, Reader


@dataclass
class Server:
    """Secrets and pods, as the client's methods give them."""

    pods: list[V1Pod] = field(default_factory=list)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    broken: int = 0

    def read_namespaced_secret(self, name: str, namespace: str) -> V1Secret:
        assert namespace == "proviso"
        if self.broken:
            raise ApiException(status=self.broken)
        if name not in self.secrets:
            raise ApiException(status=404)
        data = {k: base64.b64encode(v.encode()).decode() for k, v in self.secrets[name].items()}
        return V1Secret(data=data)

    def create_namespaced_secret(self, _namespace: str, body: Any, **_: Any) -> None:
        name = body.metadata.name
        if self.broken or name in self.secrets:
            raise ApiException(status=self.broken or 409)
        self.secrets[name] = body.string_data

    def patch_namespaced_secret(self, name: str, _namespace: str, body: Any, **_: Any) -> None:
        self.secrets[name] |= body.string_data

    def list_namespaced_pod(self, _namespace: str) -> V1PodList:
        return V1PodList(items=self.pods)

    def patch_namespaced_pod(self, name: str, _namespace: str, body: Any, **_: Any) -> None:
        found = [meta for pod in self.pods if (meta := pod.metadata) and meta.name == name]
        if not found:
            raise ApiException(status=404)
        found[0].annotations = body["metadata"]["annotations"]

    def annotations(self) -> list[Any]:
        return [pod.metadata.annotations for pod in self.pods if pod.metadata]


def _pod(name: str, secret: str = "store-serving", phase: str = "Running", **more: Any) -> V1Pod:
    """A pod of a container that mounts the Secret, one that does not, and one that has ended."""
    volume = V1Volume(name="p", secret=V1SecretVolumeSource(secret_name=secret))
    mount = V1VolumeMount(name="p", mount_path="/etc/proviso/store")
    containers = [
        V1Container(name="main", volume_mounts=[mount]),
        V1Container(name="beside"),
        V1Container(name="ended", volume_mounts=[mount]),
    ]
    running = V1ContainerState(running=V1ContainerStateRunning())
    ended = V1ContainerState(terminated=V1ContainerStateTerminated(exit_code=0))
    states = {"main": running, "beside": running, "ended": ended}
    statuses = [
        V1ContainerStatus(
            name=n, state=s, image="i", image_id="i", ready=True, restart_count=0, started=True
        )
        for n, s in states.items()
    ]
    return V1Pod(
        metadata=V1ObjectMeta(name=name, **more),
        spec=V1PodSpec(containers=containers, volumes=[volume, V1Volume(name="other")]),
        status=V1PodStatus(phase=phase, container_statuses=statuses),
    )


def _inside(server: Server) -> Inside:
    api: Any = server
    return Inside(api)


def test_secrets_are_made_and_changed_and_read_as_text() -> None:
    inside = _inside(server := Server())
    assert inside.secret("store-serving") is None
    inside.write_secret("store-serving", {"password": "one"})
    inside.write_secret("store-serving", {"password": "two"})
    assert inside.secret("store-serving") == {"password": "two"} == server.secrets["store-serving"]


def test_an_api_server_that_says_something_else_is_not_taken_for_an_absent_secret() -> None:
    inside = _inside(Server(broken=403))
    with pytest.raises(ApiException):
        inside.secret("store-serving")
    with pytest.raises(ApiException):
        inside.write_secret("store-serving", {"password": "one"})


def test_readers_are_running_containers_that_mount_the_secret() -> None:
    leaving = _pod("leaving", deletion_timestamp="2026-01-01T00:00:00Z")
    pods = [_pod("a"), _pod("b", phase="Pending"), leaving, _pod("c", "store-writer")]
    inside = _inside(Server(pods))
    assert inside.readers("store-serving") == [Reader("a", "main", "/etc/proviso/store/password")]
    assert [reader.pod for reader in inside.readers("store-writer")] == ["c"]
    assert inside.readers("store-acl") == []


def test_a_nudge_changes_an_annotation_each_time_and_a_lost_pod_is_fine() -> None:
    inside = _inside(server := Server([_pod("a")]))
    inside.nudge("a")
    first = server.annotations()
    inside.nudge("a")
    assert first != server.annotations()
    inside.nudge("gone")

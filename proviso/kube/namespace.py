"""One namespace of a cluster: its Secrets, the containers that mount one, commands in them."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from proviso.kube.api import Cluster, Ref

Object = Mapping[str, Any]
_NUDGED = "proviso.dev/looked-at"


@dataclass(frozen=True)
class SecretMount:
    """A running container that has a Secret mounted, and the folder where it sees it."""

    pod: str
    container: str
    folder: str


@dataclass(frozen=True)
class NamespaceClient:
    """A namespace by its name. labels: of every Secret that is written."""

    cluster: Cluster
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)

    def secret(self, name: str) -> Mapping[str, str] | None:
        """The values of a Secret as text; None where there is none."""
        found = self.cluster.get(self._ref("Secret", name))
        if found is None:
            return None
        data = found.get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def write_secret(self, name: str, values: Mapping[str, str]) -> None:
        """Makes a Secret, or gives it these values instead of those that it has."""
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        metadata = {"name": name, "namespace": self.name, "labels": dict(self.labels)}
        self.cluster.apply(
            [{"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}]
        )

    def mounts(self, secret: str) -> list[SecretMount]:
        """Every running container that mounts a Secret, of pods that are not being deleted."""
        pods = self.cluster.all("v1", "Pod", self.name, {})
        return [mount for pod in pods if _lives(pod) for mount in _mounts(pod, secret)]

    def nudge(self, pod: str) -> None:
        """Makes kubelet look at a pod now: an annotation changes. A pod that is gone is fine."""
        self.cluster.annotate(self._ref("Pod", pod), {_NUDGED: str(time.time_ns())})

    def execute(self, pod: str, container: str, command: list[str]) -> str | None:
        """The output of a command in a container; None when pod or container is gone.

        Empty where the pod runs and the command could not be started: the caller asks again.
        """
        output = self.cluster.execute(pod, container, self.name, command)
        if output is not None:
            return output
        found = self.cluster.get(self._ref("Pod", pod))
        return "" if found is not None and _lives(found) else None

    def _ref(self, kind: str, name: str) -> Ref:
        return Ref("v1", kind, name, self.name)


def _lives(pod: Object) -> bool:
    running = pod.get("status", {}).get("phase") == "Running"
    return running and "deletionTimestamp" not in pod["metadata"]


def _mounts(pod: Object, secret: str) -> Iterator[SecretMount]:
    """The running containers of a pod that mount a Secret."""
    volumes = {
        volume["name"]
        for volume in pod["spec"].get("volumes", [])
        if volume.get("secret", {}).get("secretName") == secret
    }
    running = {
        status["name"]
        for status in pod["status"].get("containerStatuses", [])
        if "running" in status.get("state", {})
    }
    for container in pod["spec"]["containers"]:
        for mount in container.get("volumeMounts", []):
            if mount["name"] in volumes and container["name"] in running:
                yield SecretMount(pod["metadata"]["name"], container["name"], mount["mountPath"])

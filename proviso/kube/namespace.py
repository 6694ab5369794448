"""Our namespace as secrets and rotations see it, through the `kubernetes` client: Secrets, the
containers that mount one, a command inside a container."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kubernetes.client import ApiException, CoreV1Api, V1ObjectMeta, V1Secret
from kubernetes.stream import stream

NAMESPACE = "proviso"
FIELD_MANAGER = "proviso"
SECONDS = 20
_NUDGED = "proviso.dev/looked-at"


@dataclass(frozen=True)
class Reader:
    """A running container that has a Secret mounted, and where it sees the password."""

    pod: str
    container: str
    path: str


@dataclass(frozen=True)
class Inside:
    """The namespace of one cluster; `api` speaks to its API server."""

    api: CoreV1Api
    namespace: str = NAMESPACE

    def secret(self, name: str) -> Mapping[str, str] | None:
        try:
            found = self.api.read_namespaced_secret(name, self.namespace)
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        return {key: base64.b64decode(value).decode() for key, value in (found.data or {}).items()}

    def write_secret(self, name: str, values: Mapping[str, str]) -> None:
        labels = {"app.kubernetes.io/part-of": "proviso"}
        metadata = V1ObjectMeta(name=name, labels=labels)
        body = V1Secret(metadata=metadata, string_data=dict(values))
        place = (self.namespace, body)
        try:
            self.api.create_namespaced_secret(*place, field_manager=FIELD_MANAGER)
        except ApiException as error:
            if error.status != 409:
                raise
            self.api.patch_namespaced_secret(name, *place, field_manager=FIELD_MANAGER)

    def readers(self, secret: str) -> list[Reader]:
        pods = self.api.list_namespaced_pod(self.namespace).items
        return [reader for pod in pods if _lives(pod) for reader in _readers(pod, secret)]

    def nudge(self, pod: str) -> None:
        body = {"metadata": {"annotations": {_NUDGED: str(time.time_ns())}}}
        try:
            self.api.patch_namespaced_pod(pod, self.namespace, body, field_manager=FIELD_MANAGER)
        except ApiException as error:
            if error.status != 404:
                raise

    def ask(self, pod: str, container: str, command: list[str]) -> str | None:
        try:
            said = stream(
                self.api.connect_get_namespaced_pod_exec,
                pod,
                self.namespace,
                container=container,
                command=command,
                stdout=True,
                stderr=True,
                stdin=False,
                tty=False,
                _request_timeout=SECONDS,
            )
        except ApiException as error:
            return None if self._gone(pod) else f"{error.status} {error.reason}"
        return str(said)

    def _gone(self, pod: str) -> bool:
        try:
            return not _lives(self.api.read_namespaced_pod(pod, self.namespace))
        except ApiException as error:
            if error.status == 404:
                return True
            raise


def _lives(pod: Any) -> bool:
    return pod.status.phase == "Running" and pod.metadata.deletion_timestamp is None


def _readers(pod: Any, secret: str) -> Iterator[Reader]:
    """The running containers of a pod that see a Secret's password."""
    volumes = {
        volume.name
        for volume in pod.spec.volumes or []
        if volume.secret is not None and volume.secret.secret_name == secret
    }
    running = {
        status.name
        for status in pod.status.container_statuses or []
        if status.state is not None and status.state.running is not None
    }
    for container in pod.spec.containers:
        for mount in container.volume_mounts or []:
            if mount.name in volumes and container.name in running:
                path = f"{mount.mount_path}/password"
                yield Reader(pod.metadata.name, container.name, path)

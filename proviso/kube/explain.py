"""Explains why an object is not ready: its conditions, its containers, the last events and logs.

Never has the content of a Secret.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from proviso.kube.api import Cluster, Ref

Object = Mapping[str, Any]
_EVENTS = 8
_LINES = 20
_PODS = 3


def explain(cluster: Cluster, ref: Ref) -> str:
    """An indented text of several lines, for stderr."""
    present = cluster.get(ref)
    lines = list(_conditions(present)) if present else ["it does not exist"]
    if ref.namespace:
        pods = _pods_of(cluster, ref, present)
        events = cluster.events(ref.namespace)
        names = {ref.name, *(pod["metadata"]["name"] for pod in pods)}
        lines += event_lines([event for event in events if _about(event, names, ref.name)])
        for pod in [pod for pod in pods if not _is_well(pod)][:_PODS]:
            lines += _pod_lines(cluster, pod)
    return "\n" + "\n".join(f"    {line}" for line in lines)


def _conditions(present: Object) -> Iterator[str]:
    for one in present.get("status", {}).get("conditions") or []:
        reason = f"{one.get('reason', '')} {one.get('message', '')}".strip()
        yield f"{one['type']} {one['status']} {reason}".rstrip()


def _pods_of(cluster: Cluster, ref: Ref, present: Object | None) -> list[dict[str, Any]]:
    """The pods of an InferenceService, or of what has a selector."""
    if ref.kind == "InferenceService":
        labels = {"serving.kserve.io/inferenceservice": ref.name}
    else:
        selector = (present or {}).get("spec", {}).get("selector") or {}
        labels = selector.get("matchLabels", {})
    return cluster.all("v1", "Pod", ref.namespace, labels) if labels else []


def _about(event: Object, names: set[str], prefix: str) -> bool:
    name = event["involvedObject"].get("name", "")
    return name in names or name.startswith(f"{prefix}-")


def event_lines(events: Sequence[Object]) -> list[str]:
    """The last events that are not Normal, the newest last."""
    worth = [event for event in events if event.get("type") != "Normal"]
    worth.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return [
        f"event: {event['involvedObject']['kind']} {event['involvedObject']['name']}: "
        f"{event.get('reason')}: {event.get('message')}"
        for event in worth[-_EVENTS:]
    ]


def _is_well(pod: Object) -> bool:
    """Whether a pod is ready, or has succeeded."""
    status = pod.get("status", {})
    ready = {one["type"]: one["status"] for one in status.get("conditions") or []}
    return ready.get("Ready") == "True" or status.get("phase") == "Succeeded"


def _pod_lines(cluster: Cluster, pod: Object) -> Iterator[str]:
    """Each container that is not well, with the end of its log."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    yield f"pod {name}: {pod.get('status', {}).get('phase')}"
    for status in container_statuses(pod):
        trouble = trouble_of(status)
        if trouble is None:
            continue
        yield f"  container {status['name']}: {trouble}"
        again = status.get("restartCount", 0) > 0 and "running" not in status["state"]
        log = cluster.log(name, status["name"], namespace, _LINES, previous=again)
        yield from (f"    | {line}" for line in log.splitlines()[-_LINES:])


def container_statuses(pod: Object) -> list[Object]:
    """Init containers first, as they run."""
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def trouble_of(status: Object) -> str | None:
    """Why a container is not ready, by its status; None when all is well."""
    state = status.get("state", {})
    if "waiting" in state:
        reason = state["waiting"].get("reason", "")
        return (
            None
            if reason == "PodInitializing"
            else f"{reason} {state['waiting'].get('message', '')}"
        )
    if "terminated" in state:
        ended = state["terminated"]
        return None if ended["exitCode"] == 0 else f"{ended.get('reason')} exit {ended['exitCode']}"
    return None if status.get("ready") else "runs, but is not ready"

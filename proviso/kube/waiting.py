"""Waits until an object is as it should be; the error explains why it is not.

What an object still lacks is read from its own status by the functions below: one a kind.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from proviso.contracts.base import ContractError, Problem
from proviso.kube.api import Cluster, Progress, Ref
from proviso.kube.explain import explain

Object = Mapping[str, Any]
Readiness = Callable[[Object], str | None]
"""What an object still lacks, in words; None when it is as it should be."""

_EVERY = 0.5
_TELL = 10.0


class PermanentFailure(Exception):
    """The object's status says that it will never become ready."""


def wait(
    cluster: Cluster, ref: Ref, readiness: Readiness, seconds: float, progress: Progress
) -> None:
    """Returns when the object lacks nothing. Raises ContractError with an explanation."""
    began = told = time.monotonic()
    while True:
        lack = _look(cluster, ref, readiness)
        if lack is None:
            return
        now = time.monotonic()
        if now - began > seconds:
            _give_up(cluster, ref, "not_ready_in_time", f"not ready after {seconds:.0f} s: {lack}")
        if now - told > _TELL:
            progress(f"{ref}: {lack}")
            told = now
        time.sleep(_EVERY)


def _look(cluster: Cluster, ref: Ref, readiness: Readiness) -> str | None:
    present = cluster.get(ref)
    if present is None:
        return "it does not exist"
    try:
        return readiness(present)
    except PermanentFailure as failure:
        _give_up(cluster, ref, "failed_for_good", f"failed: {failure}")


def _give_up(cluster: Cluster, ref: Ref, code: str, message: str) -> NoReturn:
    why = explain(cluster, ref)
    raise ContractError([Problem(str(ref), why=why, code=code, message=message)])


# --- readiness by kind ----------------------------------------------------------------------


def has_condition(name: str) -> Readiness:
    """The condition is True, and of the object's present generation."""

    def lack(present: Object) -> str | None:
        status = present.get("status", {})
        if _stale(present, status):
            return "a status of an earlier generation"
        for one in status.get("conditions") or []:
            if one["type"] == name:
                if one["status"] == "True" and not _stale(present, one):
                    return None
                return f"{name} {one['status']}: {one.get('reason', '')} {one.get('message', '')}"
        return f"no condition {name}"

    return lack


def rolled_out(present: Object) -> str | None:
    """Every pod of a Deployment or StatefulSet is of the present template and ready."""
    status, wanted = present.get("status", {}), present["spec"].get("replicas", 1)
    if _stale(present, status):
        return "a status of an earlier generation"
    current = status.get("updatedReplicas", 0)
    ready = status.get("readyReplicas", 0)
    if current == ready == wanted == status.get("replicas", 0):
        return None
    return f"{ready} of {wanted} pods ready, {current} of this version"


def inference_service_ready(present: Object) -> str | None:
    """An InferenceService says that it is ready; of which generation, it does not say.

    KServe's observedGeneration counts something else (3 seen for generation 5, and 5 for 3), so
    whether its pods are those of the present spec has to be asked of its Deployments.
    """
    status = {k: v for k, v in present.get("status", {}).items() if k != "observedGeneration"}
    return has_condition("Ready")({**present, "status": status})


def runs_component(wanted: Object) -> Readiness:
    """A Deployment is rolled out with an InferenceService component's containers, and with at
    least its minReplicas.
    """

    def lack(present: Object) -> str | None:
        template = present["spec"]["template"]["spec"]
        for kind in ("initContainers", "containers"):
            if not _asked(template.get(kind, []), wanted.get(kind, [])):
                return f"{kind} of an earlier generation"
        count, least = present["spec"].get("replicas", 1), wanted.get("minReplicas", 1)
        fewer = f"{count} of {least} pods asked for" if count < least else None
        return rolled_out(present) or fewer

    return lack


def _asked(present: Sequence[Object], wanted: Sequence[Object]) -> bool:
    """Whether every wanted container is there, with its image and all its arguments."""
    have = {(c["name"], c["image"]): set(c.get("args", [])) for c in present}
    return all(set(c.get("args", [])) <= have.get((c["name"], c["image"]), {None}) for c in wanted)


def job_complete(present: Object) -> str | None:
    """A Job has succeeded. Raises PermanentFailure when it has failed."""
    status = present.get("status", {})
    for one in status.get("conditions") or []:
        if one["status"] == "True" and one["type"] == "Failed":
            raise PermanentFailure(f"{one.get('reason')}: {one.get('message')}")
        if one["status"] == "True" and one["type"] == "Complete":
            return None
    return f"{status.get('active', 0)} pods running"


def route_accepted(present: Object) -> str | None:
    """Every gateway of a route has accepted its present generation."""
    parents = present.get("status", {}).get("parents", [])
    conditions = [one for parent in parents for one in parent.get("conditions") or ()]
    good = [one for one in conditions if one["type"] in ("Accepted", "ResolvedRefs")]
    for one in good:
        if one["status"] != "True" or _stale(present, one):
            return f"{one['type']} {one['status']}: {one.get('message', '')}"
    return None if good else "no gateway has seen it"


def _stale(present: Object, status: Object) -> bool:
    """Whether a status or condition is of an earlier generation."""
    seen = status.get("observedGeneration")
    return seen is not None and seen < present["metadata"].get("generation", 0)

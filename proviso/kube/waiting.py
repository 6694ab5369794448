"""Waiting for what an object says of itself, with what is missing shown meanwhile.

No condition is assumed from the passing of time: an object is read until its status fits its
present generation, or until patience ends; then the error explains itself (explain.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from proviso.contracts.base import ContractError, Problem
from proviso.kube.api import Cluster, Progress, Ref
from proviso.kube.explain import explain

Object = Mapping[str, Any]
Missing = Callable[[Object], str | None]
"""What an object still lacks, in words; None when it is as it should be."""

_EVERY = 0.5
_TELL = 10.0


class Failed(Exception):
    """The object says that it will never be what is waited for."""


def wait(cluster: Cluster, ref: Ref, missing: Missing, seconds: float, progress: Progress) -> None:
    """Until nothing is missing. Raises ContractError with an explanation."""
    began = told = time.monotonic()
    while True:
        lack = _look(cluster, ref, missing)
        if lack is None:
            return
        now = time.monotonic()
        if now - began > seconds:
            _give_up(cluster, ref, f"{lack} after {seconds:.0f} s")
        if now - told > _TELL:
            progress(f"{ref}: {lack}")
            told = now
        time.sleep(_EVERY)


def _look(cluster: Cluster, ref: Ref, missing: Missing) -> str | None:
    found = cluster.get(ref)
    if found is None:
        return "not there"
    try:
        return missing(found)
    except Failed as failure:
        _give_up(cluster, ref, str(failure))


def _give_up(cluster: Cluster, ref: Ref, found: str) -> NoReturn:
    raise ContractError([Problem(str(ref), found, "ready", explain(cluster, ref))])


# --- what objects lack ---------------------------------------------------------------------------


def condition(name: str) -> Missing:
    """A condition of the present generation that is True."""

    def lack(found: Object) -> str | None:
        status = found.get("status", {})
        if _stale(found, status):
            return "a status of an earlier generation"
        for one in status.get("conditions") or []:
            if one["type"] == name:
                if one["status"] == "True" and not _stale(found, one):
                    return None
                return f"{name} {one['status']}: {one.get('reason', '')} {one.get('message', '')}"
        return f"no condition {name}"

    return lack


def rolled_out(found: Object) -> str | None:
    """A Deployment or StatefulSet: every wanted pod is of the present template and ready."""
    status, wanted = found.get("status", {}), found["spec"].get("replicas", 1)
    if _stale(found, status):
        return "a status of an earlier generation"
    current = status.get("updatedReplicas", 0)
    ready = status.get("readyReplicas", 0)
    if current == ready == wanted == status.get("replicas", 0):
        return None
    return f"{ready} of {wanted} pods ready, {current} of this version"


def ready(found: Object) -> str | None:
    """An InferenceService that says it is ready; of which generation, it does not say.

    KServe's observedGeneration counts something else (3 seen for generation 5, and 5 for 3), so
    whether its pods are those of the present spec has to be asked of its Deployments.
    """
    status = {k: v for k, v in found.get("status", {}).items() if k != "observedGeneration"}
    return condition("Ready")({**found, "status": status})


def runs(wanted: Object) -> Missing:
    """A Deployment that is rolled out with the containers and at least the pods of a component."""

    def lack(found: Object) -> str | None:
        template = found["spec"]["template"]["spec"]
        for kind in ("initContainers", "containers"):
            if not _asked(template.get(kind, []), wanted.get(kind, [])):
                return f"{kind} of an earlier generation"
        count, least = found["spec"].get("replicas", 1), wanted.get("minReplicas", 1)
        fewer = f"{count} of {least} pods asked for" if count < least else None
        return rolled_out(found) or fewer

    return lack


def _asked(found: Sequence[Object], wanted: Sequence[Object]) -> bool:
    """Whether every wanted container is there, with its image and all its arguments."""
    have = {(c["name"], c["image"]): set(c.get("args", [])) for c in found}
    return all(set(c.get("args", [])) <= have.get((c["name"], c["image"]), {None}) for c in wanted)


def completed(found: Object) -> str | None:
    """A Job that has done its work. Raises Failed when it never will."""
    status = found.get("status", {})
    for one in status.get("conditions") or []:
        if one["status"] == "True" and one["type"] == "Failed":
            raise Failed(f"{one.get('reason')}: {one.get('message')}")
        if one["status"] == "True" and one["type"] == "Complete":
            return None
    return f"{status.get('active', 0)} pods at work"


def accepted(found: Object) -> str | None:
    """A route that every parent has taken over as it is now."""
    parents = found.get("status", {}).get("parents", [])
    conditions = [one for parent in parents for one in parent.get("conditions") or ()]
    good = [one for one in conditions if one["type"] in ("Accepted", "ResolvedRefs")]
    for one in good:
        if one["status"] != "True" or _stale(found, one):
            return f"{one['type']} {one['status']}: {one.get('message', '')}"
    return None if good else "not seen by the gateway"


def _stale(found: Object, status: Object) -> bool:
    """Whether a status or condition speaks of an earlier generation."""
    seen = status.get("observedGeneration")
    return seen is not None and seen < found["metadata"].get("generation", 0)

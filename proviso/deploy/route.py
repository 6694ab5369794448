"""Mode standard: the model's route, and which deployed releases it leads to.

A first deployment gives the stable release all traffic. Where the route leads to releases of this
deployment already, it is left as it is: a second deployment takes traffic from none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from proviso.kube.api import Applied, Cluster, Progress, Ref
from proviso.kube.ownership import with_last_applied
from proviso.kube.waiting import route_accepted, wait
from proviso.rollout.deployed import NAMESPACE, PREFIX

_ROUTE = ("gateway.networking.k8s.io/v1", "HTTPRoute")
_SECONDS = 180.0
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Route:
    """The route of a model in a cluster."""

    cluster: Cluster
    model_name: str
    progress: Progress

    @property
    def ref(self) -> Ref:
        return Ref(*_ROUTE, self.model_name, NAMESPACE)

    def serving(self) -> set[str]:
        """Names of the deployed releases that have a share, or a copy, of the traffic."""
        route = self.cluster.get(self.ref)
        return set(backends_of(route["spec"])) if route else set()

    def step_in_force(self, ours: Set[str]) -> str | None:
        """The step that the route states; None where it leads to another release, or nowhere."""
        route = self.cluster.get(self.ref)
        serving = set(backends_of(route["spec"])) if route else set()
        if not route or not serving or not serving <= ours:
            return None
        return str(route["metadata"].get("annotations", {}).get(f"{PREFIX}/step"))

    def apply(self, documents: Sequence[Object]) -> Applied:
        """A step's objects; returns when the gateway has accepted the route."""
        # The steps that follow are taken with kubectl: it has to know what is stated now.
        applied = self.cluster.apply(map(with_last_applied, documents), self.progress)
        if not self.cluster.dry_run:
            wait(self.cluster, self.ref, route_accepted, _SECONDS, self.progress)
        return applied


def backends_of(spec: Mapping[str, Any]) -> Iterator[str]:
    """Names of the deployed releases that a route's rules lead to, mirrors included."""
    for rule in spec.get("rules", []):
        for backend in rule.get("backendRefs", []):
            if backend.get("weight", 1):
                yield backend["name"].removesuffix("-public")
        for one in rule.get("filters", []):
            if one["type"] == "RequestMirror":
                yield one["requestMirror"]["backendRef"]["name"].removesuffix("-shadow")

"""`make undeploy`: deletes our kind cluster; in any other cluster, only the objects we made."""

from __future__ import annotations

from collections.abc import Iterator

from proviso.deploy.kind import OWN, named
from proviso.kube.api import Cluster, Ref
from proviso.manifests.network import MONITORING
from proviso.rollout.deployed import GATEWAY, NAMESPACE

_GATEWAY_CLASS = Ref("gateway.networking.k8s.io/v1", "GatewayClass", GATEWAY)


def remove(context: str) -> Iterator[str]:
    """Yields a line for each thing deleted. In another cluster the platform stays: it may have
    other users.
    """
    own = named(context)
    if own is not None and own.name in OWN.values():
        there = own.exists()
        if there:
            own.delete()
        yield f"kind cluster {own.name}: {'deleted' if there else 'not there'}"
        return
    cluster = Cluster(context)
    for name in (NAMESPACE, MONITORING):
        gone = cluster.delete(Ref("v1", "Namespace", name))
        yield f"namespace {name}: {'deleted' if gone else 'not there'}"
    gone = cluster.delete(_GATEWAY_CLASS)
    yield f"{_GATEWAY_CLASS}: {'deleted' if gone else 'not there'}"
    yield "the platform stays; volumes of the class Retain keep their data"

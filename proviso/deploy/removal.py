"""`make undeploy`: a kind cluster of ours goes whole; in another's cluster, what we made goes."""

from __future__ import annotations

from collections.abc import Iterator

from proviso.deploy.kind import OWN, named
from proviso.kube.api import Cluster, Ref

NAMESPACES = ("proviso", "proviso-monitoring")
_GATEWAY_CLASS = Ref("gateway.networking.k8s.io/v1", "GatewayClass", "proviso")


def remove(context: str) -> Iterator[str]:
    """Says what went. The platform stays in a cluster that is not ours: others may use it."""
    cluster_of_ours = named(context)
    if cluster_of_ours is not None and cluster_of_ours.name in OWN.values():
        there = cluster_of_ours.exists()
        if there:
            cluster_of_ours.delete()
        yield f"kind cluster {cluster_of_ours.name}: {'deleted' if there else 'not there'}"
        return
    cluster = Cluster(context)
    for name in NAMESPACES:
        gone = cluster.delete(Ref("v1", "Namespace", name))
        yield f"namespace {name}: {'deleted' if gone else 'not there'}"
    gone = cluster.delete(_GATEWAY_CLASS)
    yield f"{_GATEWAY_CLASS}: {'deleted' if gone else 'not there'}"
    yield "the platform stays; volumes of the class Retain keep their data"

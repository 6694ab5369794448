"""`make undeploy`: a kind cluster of ours goes whole; in another's cluster, what we made goes."""

from __future__ import annotations

from collections.abc import Iterator

from proviso.deploy.cluster import Cluster, Ref
from proviso.deploy.kind import named

NAMESPACES = ("proviso", "proviso-monitoring")
OWN = "proviso"
"""Name of the kind cluster that `deploy` makes by itself."""


def remove(context: str) -> Iterator[str]:
    """Says what went. The platform stays in a cluster that is not ours: others may use it."""
    cluster_of_ours = named(context)
    if cluster_of_ours is not None and cluster_of_ours.name == OWN:
        there = cluster_of_ours.exists()
        if there:
            cluster_of_ours.delete()
        yield f"kind cluster {OWN}: {'deleted' if there else 'not there'}"
        return
    cluster = Cluster(context)
    for name in NAMESPACES:
        gone = cluster.delete(Ref("v1", "Namespace", name))
        yield f"namespace {name}: {'deleted' if gone else 'not there'}"
    gone = cluster.delete(Ref("gateway.networking.k8s.io/v1", "GatewayClass", OWN))
    yield f"GatewayClass {OWN}: {'deleted' if gone else 'not there'}"
    yield "cert-manager, Envoy Gateway and KServe stay; volumes of the class Retain keep their data"

"""The NetworkPolicies of a deployed release: which peers its pods may talk to, and on which port.

Part of a rendered release; k8s/base/network.yaml denies all other traffic. A release opens the way
to its own predictor, and to the store for its own pods only, so that removing the release closes
both.
"""

from __future__ import annotations

from collections.abc import Iterable

from proviso.manifests.objects.core import LabelSelector, Meta
from proviso.manifests.objects.network import (
    EgressRule,
    IngressRule,
    NetworkPolicy,
    NetworkPolicySpec,
    Peer,
    PolicyPort,
)
from proviso.rollout.deployed import (
    GATEWAY,
    GRPC,
    HTTP,
    NAMESPACE,
    SHADOW_GRPC,
    SHADOW_HTTP,
    TRITON_GRPC,
    TRITON_METRICS,
    DeployedRelease,
)

MONITORING = "proviso-monitoring"
STORE_PORT = 6379
STORE = {"app.kubernetes.io/name": "store"}
"""Labels of the store's pods in k8s/base."""
_NAMESPACE_NAME = "kubernetes.io/metadata.name"

_QUEUE_DATA = (8012, 8013)
_QUEUE_ADMIN = (8022, 9090, 9091)
"""Knative's queue-proxy: requests as HTTP/1 and h2c; draining, and the metrics it scales by."""


def network_policies(deployed: DeployedRelease) -> list[NetworkPolicy]:
    """All policies of a release, for one pod or two, behind Envoy or behind Knative."""
    whole = deployed.topology == "collocated" or deployed.mode == "knative"
    pods = [_whole(deployed)] if whole else [_transformer(deployed), _predictor(deployed)]
    return [*pods, _store_entry(deployed)]


def _transformer(deployed: DeployedRelease) -> NetworkPolicy:
    egress = [_to([_here(deployed.model_pods)], TRITON_GRPC), _to_store(), _to_dns()]
    ingress = [*_from_clients(deployed), _from_prometheus(HTTP)]
    return _policy(deployed, "transformer", deployed.front_pods, ingress, egress)


def _predictor(deployed: DeployedRelease) -> NetworkPolicy:
    """Ingress only: without an egress rule a predictor cannot even resolve a name."""
    ingress = [_from([_here(deployed.front_pods)], TRITON_GRPC), _from_prometheus(TRITON_METRICS)]
    return _policy(deployed, "predictor", deployed.model_pods, ingress, None)


def _whole(deployed: DeployedRelease) -> NetworkPolicy:
    """Transformer and Triton in one pod: their traffic does not leave it."""
    ingress = [*_from_clients(deployed), _from_prometheus(HTTP, TRITON_METRICS)]
    return _policy(deployed, "pod", deployed.front_pods, ingress, [_to_store(), _to_dns()])


def _store_entry(deployed: DeployedRelease) -> NetworkPolicy:
    """Ingress of the store; policies add up, so each release has its own."""
    spec = NetworkPolicySpec(
        pod_selector=LabelSelector(match_labels=STORE),
        policy_types=["Ingress"],
        ingress=[_from([_here(deployed.front_pods)], STORE_PORT)],
    )
    return NetworkPolicy(metadata=_meta(deployed, "store"), spec=spec)


def _from_clients(deployed: DeployedRelease) -> list[IngressRule]:
    """Requests of clients come from the gateway only."""
    if deployed.mode == "knative":
        return _from_knative()
    envoy = _there(
        "envoy-gateway-system",
        {
            "gateway.envoyproxy.io/owning-gateway-name": GATEWAY,
            "gateway.envoyproxy.io/owning-gateway-namespace": NAMESPACE,
        },
    )
    return [_from([envoy], HTTP, GRPC, SHADOW_HTTP, SHADOW_GRPC)]


def _from_knative() -> list[IngressRule]:
    """Requests from Kourier, or from the activator while there is no pod; scaling asks as well."""
    kourier = _there("kourier-system", {"app": "3scale-kourier-gateway"})
    activator, autoscaler = (
        _there("knative-serving", {"app": name}) for name in ("activator", "autoscaler")
    )
    return [
        _from([kourier, activator], *_QUEUE_DATA),
        _from([activator, autoscaler], *_QUEUE_ADMIN),
    ]


def _from_prometheus(*ports: int) -> IngressRule:
    return _from([_there(MONITORING, {"app.kubernetes.io/name": "prometheus"})], *ports)


def _to_store() -> EgressRule:
    return _to([_here(STORE)], STORE_PORT)


def _to_dns() -> EgressRule:
    dns = _there("kube-system", {"k8s-app": "kube-dns"})
    ports = [PolicyPort(port=53, protocol="UDP"), PolicyPort(port=53)]
    return EgressRule(to=[dns], ports=ports)


def _from(peers: list[Peer], *ports: int) -> IngressRule:
    return IngressRule(source=peers, ports=_tcp(ports))


def _to(peers: list[Peer], *ports: int) -> EgressRule:
    return EgressRule(to=peers, ports=_tcp(ports))


def _tcp(ports: Iterable[int]) -> list[PolicyPort]:
    return [PolicyPort(port=port) for port in ports]


def _here(labels: dict[str, str]) -> Peer:
    return Peer(pod_selector=LabelSelector(match_labels=labels))


def _there(namespace: str, labels: dict[str, str]) -> Peer:
    where = LabelSelector(match_labels={_NAMESPACE_NAME: namespace})
    return Peer(namespace_selector=where, pod_selector=LabelSelector(match_labels=labels))


def _meta(deployed: DeployedRelease, part: str) -> Meta:
    return Meta(name=f"{deployed.name}-{part}", namespace=NAMESPACE, labels=deployed.labels)


def _policy(
    deployed: DeployedRelease,
    part: str,
    pods: dict[str, str],
    ingress: list[IngressRule],
    egress: list[EgressRule] | None,
) -> NetworkPolicy:
    spec = NetworkPolicySpec(
        pod_selector=LabelSelector(match_labels=pods),
        policy_types=["Ingress", "Egress"],
        ingress=ingress,
        egress=egress,
    )
    return NetworkPolicy(metadata=_meta(deployed, part), spec=spec)

"""The Services of a deployed release, and its PodDisruptionBudgets."""

from __future__ import annotations

from proviso.manifests.objects.core import (
    DisruptionBudgetSpec,
    LabelSelector,
    Meta,
    PodDisruptionBudget,
    Service,
    ServicePort,
    ServiceSpec,
)
from proviso.rollout.deployed import (
    GRPC,
    HTTP,
    NAMESPACE,
    SHADOW_GRPC,
    SHADOW_HTTP,
    TRITON_GRPC,
    TRITON_HTTP,
    TRITON_METRICS,
    DeployedRelease,
)

H2C = "kubernetes.io/h2c"


def services(deployed: DeployedRelease) -> list[Service]:
    """Public, shadow and predictor. Headless, so that Envoy and gRPC balance over the pods.

    In mode knative requests take another way, and only what is scraped is named here.
    """
    shadow = _service(
        deployed, deployed.shadow, deployed.front_pods, _front(SHADOW_HTTP, SHADOW_GRPC)
    )
    return [
        _service(deployed, deployed.public, deployed.front_pods, _front(HTTP, GRPC)),
        *([] if deployed.mode == "knative" else [shadow]),
        _service(deployed, deployed.triton, deployed.model_pods, _TRITON),
    ]


def disruption_budgets(deployed: DeployedRelease) -> list[PodDisruptionBudget]:
    """One pod of each kind stays while a node is drained."""
    kinds = {"transformer": deployed.front_pods, "predictor": deployed.model_pods}
    if deployed.topology == "collocated":
        kinds = {"pod": deployed.front_pods}
    return [
        PodDisruptionBudget(
            metadata=_meta(deployed, f"{deployed.name}-{kind}"),
            spec=DisruptionBudgetSpec(min_available=1, selector=LabelSelector(match_labels=labels)),
        )
        for kind, labels in kinds.items()
    ]


def _front(http: int, grpc: int) -> list[ServicePort]:
    return [
        ServicePort(name="http", port=http, target_port=http),
        ServicePort(name="grpc", port=grpc, target_port=grpc, app_protocol=H2C),
    ]


_TRITON = [
    ServicePort(name="grpc", port=TRITON_GRPC, target_port=TRITON_GRPC, app_protocol=H2C),
    ServicePort(name="http", port=TRITON_HTTP, target_port=TRITON_HTTP),
    ServicePort(name="metrics", port=TRITON_METRICS, target_port=TRITON_METRICS),
]


def _service(
    deployed: DeployedRelease, name: str, pods: dict[str, str], ports: list[ServicePort]
) -> Service:
    return Service(metadata=_meta(deployed, name), spec=ServiceSpec(selector=pods, ports=ports))


def _meta(deployed: DeployedRelease, name: str) -> Meta:
    return Meta(name=name, namespace=NAMESPACE, labels=deployed.labels)

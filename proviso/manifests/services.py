"""What stands around a unit's pods: its own Services, and how many pods may go at once."""

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


def services(unit: DeployedRelease) -> list[Service]:
    """Public, shadow and predictor. Headless, so that Envoy and gRPC balance over the pods.

    In mode knative requests take another way, and only what is scraped is named here.
    """
    shadow = _service(unit, unit.shadow, unit.front_pods, _front(SHADOW_HTTP, SHADOW_GRPC))
    return [
        _service(unit, unit.public, unit.front_pods, _front(HTTP, GRPC)),
        *([] if unit.mode == "knative" else [shadow]),
        _service(unit, unit.triton, unit.model_pods, _TRITON),
    ]


def disruption_budgets(unit: DeployedRelease) -> list[PodDisruptionBudget]:
    """One pod of each kind stays while a node is drained."""
    kinds = {"transformer": unit.front_pods, "predictor": unit.model_pods}
    if unit.topology == "collocated":
        kinds = {"pod": unit.front_pods}
    return [
        PodDisruptionBudget(
            metadata=_meta(unit, f"{unit.name}-{kind}"),
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
    unit: DeployedRelease, name: str, pods: dict[str, str], ports: list[ServicePort]
) -> Service:
    return Service(metadata=_meta(unit, name), spec=ServiceSpec(selector=pods, ports=ports))


def _meta(unit: DeployedRelease, name: str) -> Meta:
    return Meta(name=name, namespace=NAMESPACE, labels=unit.labels)

"""KServe's InferenceService, as far as a release uses it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from proviso.manifests.objects.core import (
    Container,
    Kube,
    Meta,
    PodSecurityContext,
    TopologySpread,
    Volume,
)


class Target(Kube):
    type: Literal["Utilization"] = "Utilization"
    average_utilization: Annotated[int, Field(gt=0)]


class ResourceMetric(Kube):
    name: Literal["cpu"] = "cpu"
    target: Target


class Metric(Kube):
    type: Literal["Resource"] = "Resource"
    resource: ResourceMetric


class AutoScaling(Kube):
    metrics: list[Metric]


class RollingUpdate(Kube):
    max_unavailable: int
    max_surge: int


class DeploymentStrategy(Kube):
    type: Literal["RollingUpdate"] = "RollingUpdate"
    rolling_update: RollingUpdate


class Component(Kube):
    """A predictor or a transformer: replicas, and one pod's spec."""

    min_replicas: int
    max_replicas: int
    auto_scaling: AutoScaling | None = None
    canary_traffic_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    timeout: int | None = None
    deployment_strategy: DeploymentStrategy | None = None
    termination_grace_period_seconds: int | None = None
    service_account_name: str
    automount_service_account_token: Literal[False] = False
    enable_service_links: Literal[False] = False
    security_context: PodSecurityContext
    topology_spread_constraints: list[TopologySpread] | None = None
    init_containers: list[Container]
    containers: list[Container]
    volumes: list[Volume]


class InferenceServiceSpec(Kube):
    predictor: Component
    transformer: Component | None = None


class InferenceService(Kube):
    api_version: Literal["serving.kserve.io/v1beta1"] = "serving.kserve.io/v1beta1"
    kind: Literal["InferenceService"] = "InferenceService"
    metadata: Meta
    spec: InferenceServiceSpec

"""Objects of Kubernetes itself: metadata, containers, volumes, Services, disruption budgets."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from proviso.contracts.base import Strict

Port = Annotated[int, Field(ge=1, le=65_535)]
Quantity = Annotated[str, Field(pattern=r"^\d+(m|Ki|Mi|Gi)?$")]
"""An amount of CPU or memory, always text: YAML must not make a number of it."""


class Kube(Strict):
    """A strict model whose keys are written in Kubernetes' camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Meta(Kube):
    name: str
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class FieldRef(Kube):
    field_path: str


class ValueFrom(Kube):
    field_ref: FieldRef


class EnvVar(Kube):
    name: str
    value: str | None = None
    value_from: ValueFrom | None = None


class ContainerPort(Kube):
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=15)]
    container_port: Port
    protocol: Literal["TCP"] = "TCP"


class HttpGet(Kube):
    path: str
    port: Port


class Probe(Kube):
    http_get: HttpGet
    period_seconds: int
    timeout_seconds: int = 1
    failure_threshold: int = 3


class Sleep(Kube):
    seconds: int


class Handler(Kube):
    """A preStop hook that sleeps in the kubelet, so that the image needs no shell."""

    sleep: Sleep


class Lifecycle(Kube):
    pre_stop: Handler


class VolumeMount(Kube):
    name: str
    mount_path: str
    read_only: bool | None = None


class Resources(Kube):
    requests: dict[str, Quantity]
    limits: dict[str, Quantity]


class Capabilities(Kube):
    drop: list[Literal["ALL"]]


class SecurityContext(Kube):
    """Pod Security `restricted`, with a read-only root file system."""

    allow_privilege_escalation: Literal[False] = False
    read_only_root_filesystem: Literal[True] = True
    run_as_non_root: Literal[True] = True
    capabilities: Capabilities = Capabilities(drop=["ALL"])


class SeccompProfile(Kube):
    type: Literal["RuntimeDefault"] = "RuntimeDefault"


class PodSecurityContext(Kube):
    run_as_non_root: Literal[True] = True
    run_as_user: int
    run_as_group: int
    fs_group: int
    seccomp_profile: SeccompProfile = SeccompProfile()


class Container(Kube):
    name: str
    image: str
    image_pull_policy: Literal["IfNotPresent"] = "IfNotPresent"
    command: list[str] | None = None
    args: list[str] | None = None
    env: list[EnvVar] | None = None
    ports: list[ContainerPort] | None = None
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    volume_mounts: list[VolumeMount]
    resources: Resources
    security_context: SecurityContext = SecurityContext()


class EmptyDir(Kube):
    size_limit: Quantity


class SecretVolume(Kube):
    secret_name: str
    default_mode: int = 0o440


class ClaimVolume(Kube):
    claim_name: str


class Volume(Kube):
    name: str
    empty_dir: EmptyDir | None = None
    secret: SecretVolume | None = None
    persistent_volume_claim: ClaimVolume | None = None


class LabelSelector(Kube):
    match_labels: dict[str, str]


class TopologySpread(Kube):
    max_skew: int
    topology_key: str
    when_unsatisfiable: Literal["ScheduleAnyway", "DoNotSchedule"]
    label_selector: LabelSelector


class ServicePort(Kube):
    name: str
    port: Port
    target_port: Port
    protocol: Literal["TCP"] = "TCP"
    app_protocol: str | None = None


class ServiceSpec(Kube):
    cluster_ip: Annotated[Literal["None"], Field(alias="clusterIP")] = "None"
    selector: dict[str, str]
    ports: list[ServicePort]


class Service(Kube):
    """A headless Service: a gateway and a gRPC client see the pods themselves."""

    api_version: Literal["v1"] = "v1"
    kind: Literal["Service"] = "Service"
    metadata: Meta
    spec: ServiceSpec


class DisruptionBudgetSpec(Kube):
    min_available: int
    selector: LabelSelector


class PodDisruptionBudget(Kube):
    api_version: Literal["policy/v1"] = "policy/v1"
    kind: Literal["PodDisruptionBudget"] = "PodDisruptionBudget"
    metadata: Meta
    spec: DisruptionBudgetSpec

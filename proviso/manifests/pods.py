"""A release's InferenceService: transformer and predictor as two components, or in one pod.

`separate` is one InferenceService of two components; `collocated` puts both containers into the
predictor's pod. In mode standard a release has an InferenceService of its own; in mode knative it
is a revision of the model's one InferenceService.
"""

from __future__ import annotations

from typing import Any, Literal

from proviso.manifests import sizes
from proviso.manifests.containers import (
    PodSpecInputs,
    copy_release,
    install_backend,
    transformer,
    triton,
)
from proviso.manifests.objects.core import (
    ClaimVolume,
    EmptyDir,
    LabelSelector,
    Meta,
    PodSecurityContext,
    SecretVolume,
    TopologySpread,
    Volume,
)
from proviso.manifests.objects.serving import (
    AutoScaling,
    Component,
    DeploymentStrategy,
    InferenceService,
    InferenceServiceSpec,
    Metric,
    ResourceMetric,
    RollingUpdate,
    Target,
)
from proviso.rollout.deployed import NAMESPACE

USER = 1000
STOPPED = {"serving.kserve.io/stop": "true"}
"""KServe deletes the workload and keeps the InferenceService."""


def standard_service(of: PodSpecInputs) -> InferenceService:
    """A release's InferenceService without an ingress of KServe's: only our route leads to it."""
    spec = (
        InferenceServiceSpec(predictor=_collocated(of))
        if of.deployed.topology == "collocated"
        else InferenceServiceSpec(predictor=_predictor(of), transformer=_transformer(of))
    )
    annotations = {
        "serving.kserve.io/deploymentMode": "Standard",
        "serving.kserve.io/autoscalerClass": "hpa",
    }
    return InferenceService(metadata=_meta(of, annotations), spec=spec)


def knative_service(
    of: PodSpecInputs, canary_percent: int, extra: dict[str, str] | None = None
) -> InferenceService:
    """The model's InferenceService with this release as its newest revision.

    The percentage is always said: KServe takes a field that is gone for a promotion.
    """
    annotations = {"serving.kserve.io/deploymentMode": "Knative", **(extra or {})}
    spec = InferenceServiceSpec(predictor=_revision(of, canary_percent))
    return InferenceService(metadata=_meta(of, annotations), spec=spec)


def _meta(of: PodSpecInputs, annotations: dict[str, str]) -> Meta:
    hidden = {} if of.knative else {"networking.kserve.io/visibility": "cluster-local"}
    return Meta(
        name=of.deployed.service,
        namespace=NAMESPACE,
        labels={**of.deployed.labels, **hidden},
        annotations={**annotations, **of.deployed.annotations},
    )


def _predictor(of: PodSpecInputs) -> Component:
    return Component(
        **_standard(of.deployed.model_pods, sizes.PREDICTOR, sizes.PREDICTOR_GRACE),
        service_account_name="predictor",
        init_containers=[copy_release(of), install_backend(of)],
        containers=[triton(of, alone=True)],
        volumes=_scratch(of, "release", "server", "tmp"),
    )


def _transformer(of: PodSpecInputs) -> Component:
    return Component(
        **_standard(of.deployed.front_pods, sizes.TRANSFORMER, sizes.TRANSFORMER_GRACE),
        service_account_name="transformer",
        init_containers=[copy_release(of)],
        containers=[transformer(of, name="kserve-container")],
        volumes=[*_scratch(of, "release", "tmp"), *_records(of)],
    )


def _collocated(of: PodSpecInputs) -> Component:
    together = sizes.Size(
        cpu=sizes.TRANSFORMER.cpu + sizes.PREDICTOR.cpu,
        cpu_limit=0,
        cpu_target=sizes.TRANSFORMER.cpu_target + sizes.PREDICTOR.cpu_target,
        memory=0,
        memory_limit=0,
    )
    return Component(
        **_standard(of.deployed.front_pods, together, sizes.TRANSFORMER_GRACE), **_both(of)
    )


def _revision(of: PodSpecInputs, canary_percent: int) -> Component:
    """Knative scales by concurrency, gives a pod its timeout to finish, and knows no preStop."""
    return Component(
        min_replicas=1,
        max_replicas=sizes.MAX_REPLICAS,
        canary_traffic_percent=canary_percent,
        timeout=sizes.TRANSFORMER_GRACE,
        security_context=_SECURITY,
        **_both(of),
    )


def _both(of: PodSpecInputs) -> dict[str, Any]:
    """Both containers in one pod; KServe treats the first as the predictor."""
    return {
        "service_account_name": "transformer",
        "init_containers": [copy_release(of), install_backend(of)],
        "containers": [
            triton(of, alone=False),
            transformer(of, name="transformer-container"),
        ],
        "volumes": [*_scratch(of, "release", "server", "tmp"), *_records(of)],
    }


_SECURITY = PodSecurityContext(run_as_user=USER, run_as_group=USER, fs_group=USER)


def _standard(pods: dict[str, str], size: sizes.Size, grace: int) -> dict[str, Any]:
    """The fields of every component in mode standard: replicas, update, placement, grace period."""
    return {
        "min_replicas": sizes.MIN_REPLICAS,
        "max_replicas": sizes.MAX_REPLICAS,
        "auto_scaling": _scaling(size),
        "deployment_strategy": DeploymentStrategy(
            rolling_update=RollingUpdate(max_unavailable=0, max_surge=1)
        ),
        "termination_grace_period_seconds": grace,
        "security_context": _SECURITY,
        "topology_spread_constraints": [
            TopologySpread(
                max_skew=1,
                topology_key="kubernetes.io/hostname",
                when_unsatisfiable="ScheduleAnyway",
                label_selector=LabelSelector(match_labels=pods),
            )
        ],
    }


def _scaling(size: sizes.Size) -> AutoScaling:
    """By CPU. Not KServe's scaleTarget: it ends at 100% of a request that is far below a core."""
    percent = 100 * size.cpu_target // size.cpu
    target = Target(average_utilization=percent)
    return AutoScaling(metrics=[Metric(resource=ResourceMetric(target=target))])


def _scratch(of: PodSpecInputs, *names: Literal["release", "server", "tmp"]) -> list[Volume]:
    mi = {"release": of.release_mi, "server": sizes.BACKENDS_MI, "tmp": sizes.TMP_MI}
    return [Volume(name=name, empty_dir=EmptyDir(size_limit=f"{mi[name]}Mi")) for name in names]


def _records(of: PodSpecInputs) -> list[Volume]:
    """Volumes of records and secrets; mounted whole, so that a rotated secret arrives."""
    volumes = [
        Volume(name="records", persistent_volume_claim=ClaimVolume(claim_name="records")),
        Volume(name="store", secret=SecretVolume(secret_name="store-serving")),
    ]
    if of.hash_entity_keys:
        volumes.append(Volume(name="record-key", secret=SecretVolume(secret_name="record-key")))
    return volumes

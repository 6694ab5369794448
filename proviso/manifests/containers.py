"""The containers of a release: their commands, arguments and volumes.

Two init containers bring a predictor its release and a backend folder that it owns; the release
comes out of an image that holds nothing else (ADR 0061). pods.py puts them together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from proviso.manifests import sizes
from proviso.manifests.objects.core import (
    Container,
    ContainerPort,
    EnvVar,
    FieldRef,
    Handler,
    HttpGet,
    Lifecycle,
    Probe,
    Sleep,
    ValueFrom,
    VolumeMount,
)
from proviso.rollout.deployed import (
    GRPC,
    HTTP,
    SHADOW_GRPC,
    SHADOW_HTTP,
    TRITON_GRPC,
    TRITON_HTTP,
    TRITON_METRICS,
    DeployedRelease,
)

STORE = "redis://serving@store.proviso.svc.cluster.local:6379"
STORE_PASSWORD = "/etc/proviso/store"
RECORD_KEY = "/etc/proviso/record-key"
RECORDS = "/records"
_RELEASE, _SERVER = "/mnt/release", "/mnt/server"


@dataclass(frozen=True)
class Images:
    """Names of the images that the containers run."""

    transformer: str
    triton: str
    model: str


@dataclass(frozen=True)
class PodSpecInputs:
    """Everything that the pod specs of one release depend on."""

    deployed: DeployedRelease
    images: Images
    release_mi: int
    record_fsync: bool
    hash_entity_keys: bool

    @property
    def knative(self) -> bool:
        return self.deployed.mode == "knative"


def copy_release(of: PodSpecInputs) -> Container:
    """Init: copies the release from its image to a volume that the pod's containers share."""
    return Container(
        name="model",
        image=of.images.model,
        command=["/busybox", "cp", "-r", "/release/.", f"{_RELEASE}/"],
        volume_mounts=[VolumeMount(name="release", mount_path=_RELEASE)],
        resources=sizes.COPY.resources,
    )


def install_backend(of: PodSpecInputs) -> Container:
    """Init: checks the release's hashes, then copies launcher and backends to where Triton,
    which changes the mode of a file there at every load, may write.
    """
    return Container(
        name="backend",
        image=of.images.triton,
        command=[
            *("python3", "/opt/triton/serve-predictor", "--release", _RELEASE),
            *("--expect", of.deployed.release_id, "--install", _SERVER),
        ],
        volume_mounts=[
            VolumeMount(name="release", mount_path=_RELEASE, read_only=True),
            VolumeMount(name="server", mount_path=_SERVER),
            VolumeMount(name="tmp", mount_path="/tmp"),
        ],
        resources=sizes.COPY.resources,
    )


def triton(of: PodSpecInputs, *, alone: bool) -> Container:
    """Triton behind the launcher that proves its release first. `alone`: in a pod of its own,
    so that transformers elsewhere connect to it and have to leave it before it stops.
    """
    return Container(
        name="kserve-container",
        image=of.images.triton,
        command=["python3", f"{_SERVER}/serve-predictor"],
        args=_triton_arguments(of, alone),
        ports=None if of.knative else _ports(_TRITON_PORTS),
        startup_probe=_probe("ready", TRITON_HTTP, 1, 300),
        readiness_probe=_probe("ready", TRITON_HTTP, 2, 3),
        liveness_probe=_probe("live", TRITON_HTTP, 10, 6),
        lifecycle=None if of.knative else _stop_after(_drain(alone)),
        volume_mounts=[
            VolumeMount(name="release", mount_path=_RELEASE, read_only=True),
            VolumeMount(name="server", mount_path=_SERVER),
            VolumeMount(name="tmp", mount_path="/tmp"),
        ],
        resources=sizes.PREDICTOR.resources,
    )


def transformer(of: PodSpecInputs, *, name: str) -> Container:
    """The transformer: reads features, asks Triton for a score, decides, records."""
    return Container(
        name=name,
        image=of.images.transformer,
        args=list(_transformer_arguments(of)),
        env=[EnvVar(name="POD_NAME", value_from=ValueFrom(field_ref=_POD_NAME))],
        ports=_ports(_FRONT_PORTS[:1] if of.knative else _FRONT_PORTS),
        startup_probe=_probe("ready", HTTP, 1, 300),
        readiness_probe=_probe("ready", HTTP, 2, 3),
        liveness_probe=_probe("live", HTTP, 10, 6),
        lifecycle=None if of.knative else _stop_after(sizes.TRANSFORMER_DRAIN),
        volume_mounts=_transformer_mounts(of),
        resources=sizes.TRANSFORMER.resources,
    )


_POD_NAME = FieldRef(field_path="metadata.name")
_TRITON_PORTS = (
    ("triton-http", TRITON_HTTP),
    ("triton-grpc", TRITON_GRPC),
    ("metrics", TRITON_METRICS),
)
_FRONT_PORTS = (
    ("http1", HTTP),
    ("grpc", GRPC),
    ("shadow-http", SHADOW_HTTP),
    ("shadow-grpc", SHADOW_GRPC),
)


def _triton_arguments(of: PodSpecInputs, alone: bool) -> list[str]:
    # In one pod with its transformer, only the transformer may ask Triton for a score.
    reached = (
        ["--grpc-max-connection-age=5000", "--grpc-max-connection-age-grace=5000"]
        if alone
        else ["--grpc-address=127.0.0.1"]
    )
    return [
        f"--release={_RELEASE}",
        f"--expect={of.deployed.release_id}",
        f"--backends={_SERVER}/backends",
        "--address=0.0.0.0",
        f"--grpc-port={TRITON_GRPC}",
        f"--http-port={TRITON_HTTP}",
        f"--metrics-port={TRITON_METRICS}",
        "--",
        *reached,
        "--exit-timeout-secs=20",
    ]


def _transformer_arguments(of: PodSpecInputs) -> Iterable[str]:
    yield "--release=/release/release.yml"
    yield f"--model_name={of.deployed.model_name}"
    yield f"--http_port={HTTP}"
    yield f"--grpc_port={GRPC}"
    yield f"--shadow-http-port={SHADOW_HTTP}"
    yield f"--shadow-grpc-port={SHADOW_GRPC}"
    yield f"--store={STORE}"
    yield f"--store-password-file={STORE_PASSWORD}/password"
    yield f"--record={RECORDS}/$(POD_NAME).jsonl"
    yield f"--predictor={of.deployed.predictor_address}"
    if of.record_fsync:
        yield "--record-fsync"
    if of.hash_entity_keys:
        yield f"--hash-key-file={RECORD_KEY}/key"


def _transformer_mounts(of: PodSpecInputs) -> list[VolumeMount]:
    mounts = [
        VolumeMount(name="release", mount_path="/release", read_only=True),
        VolumeMount(name="records", mount_path=RECORDS),
        VolumeMount(name="store", mount_path=STORE_PASSWORD, read_only=True),
        VolumeMount(name="tmp", mount_path="/tmp"),
    ]
    if of.hash_entity_keys:
        mounts.append(VolumeMount(name="record-key", mount_path=RECORD_KEY, read_only=True))
    return mounts


def _ports(named: Iterable[tuple[str, int]]) -> list[ContainerPort]:
    return [ContainerPort(name=name, container_port=port) for name, port in named]


def _probe(what: str, port: int, period: int, failures: int) -> Probe:
    """Its time is one in which a process that only lacks CPU answers (ADR 0126)."""
    return Probe(
        http_get=HttpGet(path=f"/v2/health/{what}", port=port),
        period_seconds=period,
        timeout_seconds=10 if what == "live" else 5,
        failure_threshold=failures,
    )


def _drain(alone: bool) -> int:
    """Beside its transformer Triton only has to outlive it."""
    return sizes.PREDICTOR_DRAIN if alone else sizes.TRANSFORMER_DRAIN + 2


def _stop_after(seconds: int) -> Lifecycle:
    return Lifecycle(pre_stop=Handler(sleep=Sleep(seconds=seconds)))

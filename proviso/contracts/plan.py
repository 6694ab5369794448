"""The serving release plan as typed values: `serving_release_plan.yml`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from feature_runtime.core.moments import DAY
from proviso.contracts.base import Date, Label, Name, Span, Strict, Text

Role = Literal["data_engineering", "ml_engineering", "platform", "business"]

Percent = Annotated[int, Field(ge=0, le=100)]


class Runtime(Strict):
    """What runs the model: platform, inference server and the images a release is built on."""

    platform: Literal["kserve"]
    mode: Literal["standard", "knative"]
    server: Literal["triton"]
    protocol: Literal["grpc-v2"]
    instances: Annotated[int, Field(ge=1, le=16)]
    intra_op_threads: Annotated[int, Field(ge=1, le=64)]
    base_images: dict[Name, Text]


class LatencySlo(Strict):
    """End to end, at the transformer's edge; `deadline_ms` is when a request is given up."""

    p95_ms: Annotated[int, Field(gt=0)]
    p99_ms: Annotated[int, Field(gt=0)]
    deadline_ms: Annotated[int, Field(gt=0, le=60_000)]
    window: Span

    @model_validator(mode="after")
    def _percentiles_rise(self) -> LatencySlo:
        if self.p99_ms < self.p95_ms:
            raise ValueError(f"found p99_ms {self.p99_ms}, wanted at least p95_ms {self.p95_ms}")
        return self


class ErrorBudget(Strict):
    """Share of requests, in percent, that must be answered within `window`."""

    availability_percent: Annotated[float, Field(gt=0, lt=100)]
    window: Span


class Batching(Strict):
    """Triton's dynamic batching: an engineering decision inside the latency budget."""

    max_batch_size: Annotated[int, Field(ge=1, le=4096)]
    dynamic: bool
    max_queue_delay_us: Annotated[int, Field(ge=0)]


class Shadow(Strict):
    """The candidate sees real traffic, its answers go to the record only."""

    duration: Span
    min_requests: Annotated[int, Field(gt=0)]
    max_decision_disagreement: Annotated[float, Field(gt=0, le=1)]


class Mirroring(Strict):
    percent: Annotated[int, Field(gt=0, le=100)]


class Canary(Strict):
    """Weights of the candidate, in percent, strictly rising to 100."""

    steps: Annotated[list[Percent], Field(min_length=3)]
    bake: Span
    min_requests: Annotated[int, Field(gt=0)]


class Monitored(Strict):
    """A metric somebody looks at, with what happens when it leaves its bound."""

    metric: Name
    threshold: Annotated[str, Field(pattern=r"^(<=|>=|<|>) ?\d+(\.\d+)?$")]
    window: Span
    action: Literal["alert", "hold", "rollback"]
    owner: Label


class Trigger(Strict):
    """A bound whose breach takes the candidate out."""

    metric: Name
    covers: Literal["latency", "errors", "features", "business"]
    threshold: Annotated[str, Field(pattern=r"^(<=|>=|<|>) ?\d+(\.\d+)?$")]
    window: Span
    action: Literal["rollback", "hold"]


class Rollback(Strict):
    triggers: Annotated[list[Trigger], Field(min_length=1)]
    owner: Label
    runbook: Text


class Decision(Strict):
    """How a probability becomes a decision."""

    threshold: Annotated[float, Field(gt=0, lt=1)]
    at_or_above: Label
    below: Label


class Fallback(Strict):
    """What a rejected transaction gets."""

    decision: Label
    http: Literal[200, 503]


class PredictionLog(Strict):
    """Where records go before the answer does."""

    sink: Literal["file"]
    fsync: bool
    hash_entity_keys: bool
    retention: Span
    owner: Label


class StressTest(Strict):
    """What `make bench` must reach before promotion."""

    tool: Literal["perf_analyzer"]
    concurrency: Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=1)]
    duration: Span
    min_requests_per_second: Annotated[int, Field(gt=0)]


class Stakeholder(Strict):
    """One of the four whose sign-off a release needs."""

    role: Role
    owner: Label
    signed_off_by: Label | None = None
    signed_off_on: Date | None = None


class QualityFloor(Strict):
    """What a model must reach on its test days, beside beating its baseline."""

    metric: Literal["average_precision", "auc"]
    min: Annotated[float, Field(gt=0, lt=1)]


class RequestLimits(Strict):
    max_batch: Annotated[int, Field(ge=1, le=1024)]
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)]


class Plan(Strict):
    """The whole release plan."""

    version: Literal[1]
    model: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*:\d+\.\d+\.\d+$")]
    service: Name
    model_name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    owner: Label
    runbook: Text
    runtime: Runtime
    latency_slo: LatencySlo
    error_budget: ErrorBudget
    batching: Batching
    limits: RequestLimits
    decision: Decision
    fallback: Fallback
    clock_margin: Span
    max_client_skew: Span
    write_deadline: Span
    topology: Literal["separate", "collocated"]
    quality_floor: QualityFloor
    evidence_valid_for: Span = DAY
    shadow: Shadow
    mirroring: Mirroring
    canary: Canary
    monitoring: Annotated[list[Monitored], Field(min_length=1)]
    rollback: Rollback
    prediction_log: PredictionLog
    stress_test: StressTest
    stakeholders: list[Stakeholder]

    @property
    def model_base(self) -> str:
        """Triton's name of the model: the part before the version."""
        return self.model.partition(":")[0]

    @property
    def model_version(self) -> str:
        return self.model.partition(":")[2]

"""The serving release plan as typed values: `serving_release_plan.yml`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from feature_runtime.core.moments import DAY
from feature_runtime.core.release import MODEL_PATTERN, model_ref
from proviso.contracts.base import Date, Label, Name, Span, Strict, Text, invalid
from proviso.contracts.bounds import Threshold
from proviso.contracts.metrics import Covers
from proviso.contracts.plan_forms import current_form, error_share

Role = Literal["data_engineering", "ml_engineering", "platform", "business"]

Percent = Annotated[int, Field(ge=0, le=100)]


class Runtime(Strict):
    """What runs the model: platform, inference server and the images a release is built on.

    platform, server: KServe and Triton are what `proviso render` writes for; another is refused.
    """

    platform: Literal["kserve"]
    mode: Literal["standard", "knative"]
    server: Literal["triton"]
    instances: Annotated[int, Field(ge=1, le=16)]
    intra_op_threads: Annotated[int, Field(ge=1, le=64)]
    base_images: dict[Name, Text]


class LatencySlo(Strict):
    """Latency at the transformer.

    A request that takes longer than `deadline_ms` gets 504, or 408 if it is still arriving.
    """

    p95_ms: Annotated[int, Field(gt=0)]
    p99_ms: Annotated[int, Field(gt=0)]
    deadline_ms: Annotated[int, Field(gt=0, le=60_000)]

    @model_validator(mode="after")
    def _percentiles_rise(self) -> LatencySlo:
        if self.p99_ms < self.p95_ms:
            found, wanted = f"p99_ms {self.p99_ms}", f"at least p95_ms {self.p95_ms}"
            raise invalid("percentiles_fall", found, wanted)
        return self


class ErrorBudget(Strict):
    """Share of requests, in percent, that must be answered within `window`."""

    availability_percent: Annotated[float, Field(gt=0, lt=100)]
    window: Span

    @property
    def error_share(self) -> float:
        """The share of requests, 0 to 1, that may fail."""
        return error_share(self.availability_percent)


class Batching(Strict):
    """Triton's dynamic batching: an engineering decision inside the latency budget."""

    max_batch_size: Annotated[int, Field(ge=1, le=4096)]
    dynamic: bool
    max_queue_delay_us: Annotated[int, Field(ge=0)]


class Shadow(Strict):
    """The candidate gets mirrored traffic; its answers go to the prediction log only.

    max_unmatched: share of predictions whose decision on the other side may be unknown.
    """

    duration: Span
    min_requests: Annotated[int, Field(gt=0)]
    max_decision_disagreement: Annotated[float, Field(gt=0, le=1)]
    max_unmatched: Annotated[float, Field(ge=0, lt=0.5)] = 0.01


class Mirroring(Strict):
    """How much of the live traffic is copied to the candidate in the shadow step."""

    percent: Annotated[int, Field(gt=0, le=100)]


class Canary(Strict):
    """Weights of the candidate, in percent, strictly rising to 100.

    `bake` and `min_requests`, of each step, are for the release driver (docs/plan.md).
    """

    steps: Annotated[list[Percent], Field(min_length=3)]
    bake: Span
    min_requests: Annotated[int, Field(gt=0)]


class Monitored(Strict):
    """The bound that a metric stays within when all is well, and what a breach leads to.

    threshold: left out in the file, it is the plan's objective for the metric.
    """

    metric: Name
    threshold: Threshold
    window: Span
    action: Literal["alert", "hold", "rollback"]
    owner: Label


class Trigger(Strict):
    """Values of a metric at which a release is taken back or a rollout is held.

    threshold: left out in the file, it is everything beyond the plan's objective for the metric.
    """

    metric: Name
    covers: Covers
    threshold: Threshold
    window: Span
    action: Literal["rollback", "hold"]


class Rollback(Strict):
    """When a release is taken back, and the owner and runbook of that."""

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
    """How predictions are recorded.

    sink, retention: where records go and how long they are kept (docs/plan.md).
    """

    sink: Literal["file"]
    fsync: bool
    hash_entity_keys: bool
    retention: Span
    owner: Label


class StressTest(Strict):
    """The load that `proviso check load` applies, and the rate that it must reach to promote."""

    concurrency: Annotated[list[Annotated[int, Field(gt=0)]], Field(min_length=1)]
    duration: Span
    min_requests_per_second: Annotated[int, Field(gt=0)]


class Stakeholder(Strict):
    """One of the four whose sign-off a release needs.

    `signed_off_by: null` says that it is still to come.
    """

    role: Role
    owner: Label
    signed_off_by: Label | None = None
    signed_off_on: Date | None = None

    @property
    def unsigned(self) -> bool:
        """Whether the file says that there is no sign-off yet; half of one is a mistake."""
        said = "signed_off_by" in self.model_fields_set
        return said and self.signed_off_by is None and self.signed_off_on is None


class QualityFloor(Strict):
    """What a model must reach on its test days, beside beating its baseline."""

    metric: Literal["average_precision", "auc"]
    min: Annotated[float, Field(gt=0, lt=1)]


class RequestLimits(Strict):
    """The largest request that a pod accepts."""

    max_batch: Annotated[int, Field(ge=1, le=1024)]
    max_body_bytes: Annotated[int, Field(ge=1024, le=64 * 1024 * 1024)]


class Plan(Strict):
    """The whole release plan."""

    version: Literal[1]
    model: Annotated[str, Field(pattern=rf"^{MODEL_PATTERN}$")]
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

    @model_validator(mode="before")
    @classmethod
    def _current_form(cls, data: Any) -> Any:
        return current_form(data)

    @property
    def unsigned(self) -> bool:
        """Whether none of the stakeholders has signed yet: the project is a draft."""
        return bool(self.stakeholders) and all(one.unsigned for one in self.stakeholders)

    @property
    def model_base(self) -> str:
        """Triton's name of the model: the part before the version."""
        return model_ref(self.model).name

    @property
    def model_version(self) -> str:
        return model_ref(self.model).version

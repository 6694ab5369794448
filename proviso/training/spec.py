"""How a model is trained and judged: `training.yml` beside the contract, typed.

Only the project knows which settings suit its data; a project without the file gets the
defaults. Nothing here changes what a feature is: that is the contract's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, Field

from feature_runtime.core.service import feature_ref
from proviso.contracts.base import ContractError, Name, Problem, Strict
from proviso.contracts.contract import Contract, Entity
from proviso.contracts.loading import load_model
from proviso.contracts.plan import Plan
from proviso.contracts.section import runtime_service, service_of

TRAINING_FILE = "training.yml"

Share = Annotated[float, Field(gt=0, le=1)]

Element = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,126}$")]
"""An element of the model's vector: `amount`, `<view>__<feature>`."""


class Boosting(Strict):
    """Gradient boosted trees (XGBoost, histogram method). Names are the field's."""

    trees: Annotated[int, Field(ge=1, le=5000)] = 300
    learning_rate: Share = 0.05
    max_depth: Annotated[int, Field(ge=1, le=12)] = 5
    min_child_weight: Annotated[float, Field(ge=0)] = 5.0
    row_sample: Share = 0.8
    column_sample: Share = 0.5
    l1: Annotated[float, Field(ge=0)] = 0.0
    l2: Annotated[float, Field(ge=0)] = 1.0
    gamma: Annotated[float, Field(ge=0)] = 0.0
    max_bins: Annotated[int, Field(ge=2, le=1024)] = 256
    increasing: list[Element] = Field(default_factory=list)
    decreasing: list[Element] = Field(default_factory=list)


class Logistic(Strict):
    """The baseline: logistic regression on the same vector; `c` is the inverse of its penalty."""

    c: Annotated[float, Field(gt=0)] = 1.0
    max_iterations: Annotated[int, Field(ge=1, le=10_000)] = 1000


class Protocol(Strict):
    """How test days are judged (metrics.py).

    entity: the one that is investigated, of which the `k` with the highest score are looked at
    each day; `card_entity` is its former name.
    """

    entity: Annotated[
        Name | None, Field(validation_alias=AliasChoices("entity", "card_entity"))
    ] = None
    k: Annotated[int, Field(ge=1, le=100_000)] = 100
    leave_out_known: bool = True


class TrainingSpec(Strict):
    """The whole file."""

    version: Literal[1] = 1
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 1
    boosting: Boosting = Boosting()
    baseline: Logistic = Logistic()
    protocol: Protocol = Protocol()


def load_spec(directory: Path, contract: Contract, plan: Plan) -> TrainingSpec:
    """The training settings of a contracts directory. Raises ContractError.

    What the file leaves out is the default; so is the first entity of the service's views.
    """
    path = directory / TRAINING_FILE
    spec = load_model(path, TrainingSpec) if path.exists() else TrainingSpec()
    problems = [*_constraint_problems(spec, contract, plan), *_entity_problems(spec, contract)]
    if problems:
        raise ContractError(problems)
    return spec


def investigated_entity(spec: TrainingSpec, contract: Contract, plan: Plan) -> Entity:
    """The entity that is investigated."""
    name = spec.protocol.entity
    if name is None:
        first = feature_ref(service_of(contract, plan).features[0]).view
        name = contract.view_by_name[first].entities[0]
    return contract.entity_by_name[name]


def _constraint_problems(spec: TrainingSpec, contract: Contract, plan: Plan) -> list[Problem]:
    """Rejects constraints on features that no service has: they would have no effect."""
    known: set[str] = set()
    for service in contract.feature_services:
        chosen = plan.model_copy(update={"service": service.name})
        known.update(runtime_service(contract, chosen).vector)
    wanted, code = "a feature of a service's vector", "constraint_feature_unknown"
    return [
        Problem(f"{TRAINING_FILE}: boosting.{which}", name, wanted, code=code)
        for which in ("increasing", "decreasing")
        for name in getattr(spec.boosting, which)
        if name not in known
    ]


def _entity_problems(spec: TrainingSpec, contract: Contract) -> list[Problem]:
    name = spec.protocol.entity
    if name is None or name in contract.entity_by_name:
        return []
    wanted = f"one of {sorted(contract.entity_by_name)}"
    path = f"{TRAINING_FILE}: protocol.entity"
    return [Problem(path, name, wanted, code="entity_unknown")]

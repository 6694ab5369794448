"""Checks before rendering: contract, plan, release and Kubernetes' limits must agree.

All problems are reported at once. A release that passes can still predict badly (gates judge that).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import islice
from pathlib import Path

from feature_runtime.core import identity
from feature_runtime.core.service import ServiceSectionError, parse_service
from proviso.contracts.base import ContractError, Problem
from proviso.contracts.contract import Contract
from proviso.contracts.paths import in_contract, in_plan, listed
from proviso.contracts.plan import Plan
from proviso.contracts.section import frozen_vocabularies, service_section
from proviso.contracts.validation.contract import contract_problems
from proviso.contracts.validation.plan import plan_problems, signatures_missing
from proviso.manifests import sizes
from proviso.manifests.checks_pair import pair_problems
from proviso.manifests.differences import MOST, differences
from proviso.release.directory import Release, inspect_release
from proviso.release.model_config import (
    ModelConfigError,
    fields_of,
    model_config,
    parse_model_config,
)
from proviso.rollout.deployed import (
    DeployedRelease,
    Mode,
    Topology,
    deployed_release,
    name_problems,
)
from proviso.training.data import plan_for


@dataclass(frozen=True)
class Request:
    """The inputs of a rendering. mode None: the plan's; stable None: a first release."""

    contract: Contract
    plan: Plan
    release: Path
    stable: Path | None
    today: date
    mode: Mode | None = None


@dataclass(frozen=True)
class Checked:
    """A request that passed: verified releases, and their names as deployed."""

    plan: Plan
    release: Release
    deployed: DeployedRelease
    stable: Release | None
    stable_deployed: DeployedRelease | None


def check(request: Request) -> Checked:
    """Raises ContractError with every problem of plan, release, stable and of them together."""
    problems: list[Problem] = []
    release, stable = _read(request, problems)
    if release is None:
        raise ContractError(problems)
    problems += _own_problems(request, release)
    if stable is not None:
        problems += pair_problems(release, stable)
    if problems:
        raise ContractError(list(dict.fromkeys(problems)))
    topology, mode = _form(request)
    deployed = deployed_release(release, topology, mode)
    stable_deployed = deployed_release(stable, topology, mode) if stable else None
    return Checked(_plan_of(request, release), release, deployed, stable, stable_deployed)


def _read(request: Request, problems: list[Problem]) -> tuple[Release | None, Release | None]:
    """Both releases as their files state them; what is wrong with either becomes a problem."""
    release, of_release = inspect_release(request.release)
    stable, of_stable = inspect_release(request.stable) if request.stable else (None, [])
    problems += [*of_release, *of_stable]
    return release, stable


def _form(request: Request) -> tuple[Topology, Mode]:
    """Topology and mode. In mode knative transformer and Triton always share a pod (ADR 0055)."""
    mode = request.mode or request.plan.runtime.mode
    return ("collocated" if mode == "knative" else request.plan.topology), mode


def _plan_of(request: Request, release: Release) -> Plan:
    """The plan for the release's own service of the contract."""
    return plan_for(request.contract, request.plan, release.service.name)


def _own_problems(request: Request, release: Release) -> Iterator[Problem]:
    where, contract = str(release.file), request.contract
    services = {service.name for service in contract.feature_services}
    known = release.service.name in services
    plan = _plan_of(request, release) if known else request.plan
    yield from contract_problems(contract, request.today)
    yield from plan_problems(contract, plan, request.today)
    yield from signatures_missing(plan)
    yield from _stopping(plan)
    yield from _named(plan, release, where)
    yield from name_problems(_as_unit(release), where)
    yield from _built_from(plan, release, where)
    if known:
        yield from _derived(contract, plan, release)
    else:
        wanted, why = f"one of {listed(services)}", "the contract defines what a model consumes"
        path, code = f"{where}: service.name", "service_unknown"
        yield Problem(path, release.service.name, wanted, why, code)


def _as_unit(release: Release) -> DeployedRelease:
    return DeployedRelease(release.model_name, release.version, release.id, release.digests)


def _stopping(plan: Plan) -> Iterator[Problem]:
    """A pod that stops must have time to answer the requests that it has accepted."""
    left = 1_000 * (sizes.TRANSFORMER_GRACE - sizes.TRANSFORMER_DRAIN)
    if plan.latency_slo.deadline_ms >= left:
        why = f"a pod is killed {sizes.TRANSFORMER_GRACE} s after it was asked to stop"
        found = str(plan.latency_slo.deadline_ms)
        path, code = in_plan("latency_slo.deadline_ms"), "deadline_too_long"
        yield Problem(path, found, f"below {left}", why, code)


def _named(plan: Plan, release: Release, where: str) -> Iterator[Problem]:
    stated = {
        "model": (release.model, plan.model, "the contract's version of its service"),
        "model_name": (release.model_name, plan.model_name, "the name that clients use"),
        "triton_model": (release.triton_model, plan.model_base, "the plan's model"),
    }
    for key, (found, wanted, why) in stated.items():
        if found != wanted:
            yield Problem(f"{where}: {key}", found, wanted, why, "release_name_mismatch")


def _built_from(plan: Plan, release: Release, where: str) -> Iterator[Problem]:
    """The release must be of the source and the base images that its images are built from."""
    source = identity.source_digest()
    if release.digests.get("transformer") != source:
        why = "the image is built from the source here; `make releases` binds the model to it"
        found = str(release.digests.get("transformer"))
        path, code = f"{where}: digests.transformer", "transformer_source_mismatch"
        yield Problem(path, found, source, why, code)
    bases = differences(release.base_images, plan.runtime.base_images, "base_images")
    for path, found, wanted in bases:
        why = "the plan's base image"
        yield Problem(f"{where}: {path}", found, wanted, why, "base_image_mismatch")


def _derived(contract: Contract, plan: Plan, release: Release) -> Iterator[Problem]:
    """Compares what contract and plan derive today with what the release was made from."""
    section = service_section(contract, plan, frozen_vocabularies(release.service))
    try:
        width = len(parse_service(section).vector)
    except ServiceSectionError as error:
        why = "no pod could serve it"
        path, code = in_contract("feature_services"), "service_invalid"
        yield Problem(path, str(error), "a service that parses", why, code)
        return
    where = str(release.file)
    changed = differences(release.parsed["service"], section, "service")
    for path, found, wanted in islice(changed, MOST):
        why = "derived from the present contract and plan"
        yield Problem(f"{where}: {path}", found, wanted, why, "service_section_mismatch")
    yield from _config(model_config(plan, width, release.id), release)


_SOURCES = {
    "max_batch_size": "the plan's batching.max_batch_size",
    "dynamic_batching": "the plan's batching",
    "instance_group": "the plan's runtime.instances",
    "parameters[intra_op_thread_count]": "the plan's runtime.intra_op_threads",
    "parameters[proviso_release_id]": "by it the transformer knows its predictor",
    "input": "the model's input, as wide as the contract's vector",
    "output": "the model's output",
    "name": "the plan's model",
    "backend": "what the predictor's image runs",
}


def _config(derived: str, release: Release) -> Iterator[Problem]:
    """config.pbtxt, field by field, against what the plan derives."""
    expected = fields_of(parse_model_config(derived))
    try:
        text = release.config_file.read_text(encoding="utf-8")
        actual = fields_of(parse_model_config(text))
    except (OSError, UnicodeDecodeError, ModelConfigError) as error:
        reason = (getattr(error, "strerror", None) or str(error))[:200]
        path, code = str(release.config_file), "model_config_unreadable"
        yield Problem(path, reason, "a Triton configuration", code=code)
        return
    for field in [*expected, *(field for field in actual if field not in expected)]:
        if actual.get(field) != expected.get(field):
            why = next((w for prefix, w in _SOURCES.items() if field.startswith(prefix)), "")
            found, wanted = (side.get(field, "nothing") for side in (actual, expected))
            path = f"{release.config_file}: {field}"
            yield Problem(path, found, wanted, why, "model_config_mismatch")

"""Stage `register`: the release is what its contract and plan say, and good enough to look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from feature_runtime.core.identity import digest_of
from proviso.checks.lab import validate
from proviso.contracts.base import ValidationFailed
from proviso.contracts.contract import Contract
from proviso.contracts.loading import parse_model
from proviso.contracts.plan import Plan
from proviso.contracts.section import service_section
from proviso.gates.verdict import Finding
from proviso.release.directory import RELEASE_FILE, Release
from proviso.release.signature import TOLERANCE
from proviso.release.triton_config import triton_config


@dataclass(frozen=True)
class Subject:
    """What a gate judges."""

    contracts: Path
    contract: Contract
    plan: Plan
    release: Release


class _Section(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Proof(_Section):
    model_max_difference: float


class _Metrics(_Section):
    model: dict[str, float | None]
    baseline: dict[str, float | None]


class _Card(_Section):
    """What of the model card is judged; no digest covers it, so anybody may have edited it."""

    vector: list[str]
    onnx: _Proof
    metrics: _Metrics


def register_findings(subject: Subject) -> Iterator[Finding]:
    """Everything that must hold before a release may be registered."""
    yield _files_are_valid(subject)
    yield _service_agrees(subject)
    yield _names_agree(subject)
    yield _signature_agrees(subject)
    try:
        card = parse_model(f"{RELEASE_FILE}: card", subject.release.parsed["card"], _Card)
    except ValidationFailed as error:
        yield Finding("model card", False, "; ".join(map(str, error.problems)))
        return
    yield _order_agrees(subject, card)
    yield _onnx_is_the_model(card)
    yield _reaches_the_floor(subject, card)
    yield _beats_its_baseline(subject, card)


def _files_are_valid(subject: Subject) -> Finding:
    problems = validate(subject.contracts)
    said = f"{len(problems)} problems; first: {problems[0]}" if problems else "all four files pass"
    return Finding("contract files", not problems, said)


def _service_agrees(subject: Subject) -> Finding:
    try:
        wanted = digest_of(service_section(subject.contract, subject.plan))
    except ValidationFailed as error:
        return Finding("service section", False, str(error))
    found = subject.release.digests["service"]
    if found == wanted:
        return Finding("service section", True, "schema and policies are the contract's")
    return Finding("service section", False, f"found {found}, wanted {wanted} of today's contract")


def _names_agree(subject: Subject) -> Finding:
    found = (subject.release.model, subject.release.model_name)
    wanted = (subject.plan.model, subject.plan.model_name)
    return Finding("model", found == wanted, f"found {found}, wanted {wanted}")


def _order_agrees(subject: Subject, card: _Card) -> Finding:
    found = tuple(card.vector)
    wanted = subject.release.service.vector
    if found == wanted:
        return Finding("feature order", True, f"{len(wanted)} features in contract order")
    first = next(
        (i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b),
        min(len(found), len(wanted)),
    )
    return Finding(
        "feature order", False, f"the card differs from the contract at position {first}"
    )


def _signature_agrees(subject: Subject) -> Finding:
    """Reading the release has checked the ONNX tensors; here config.pbtxt is held to the plan."""
    release = subject.release
    width = len(release.service.vector)
    wanted = triton_config(subject.plan, width, release.id)
    if release.config_file.read_text(encoding="utf-8") == wanted:
        return Finding("model signature", True, f"ONNX and config.pbtxt take {width} features")
    detail = f"{release.config_file} differs from what the plan derives for {width} features"
    return Finding("model signature", False, detail)


def _onnx_is_the_model(card: _Card) -> Finding:
    found = card.onnx.model_max_difference
    detail = f"max |dp| {found:.1e}, at most {TOLERANCE:.0e}"
    return Finding("ONNX equals XGBoost", found <= TOLERANCE, detail)


def _reaches_the_floor(subject: Subject, card: _Card) -> Finding:
    floor = subject.plan.quality_floor
    found = card.metrics.model.get(floor.metric)
    if found is None:
        return Finding(
            "quality floor", False, f"{floor.metric}: found nothing, wanted >= {floor.min}"
        )
    detail = f"{floor.metric} {found:.3f}, at least {floor.min}"
    return Finding("quality floor", found >= floor.min, detail)


def _beats_its_baseline(subject: Subject, card: _Card) -> Finding:
    metric = subject.plan.quality_floor.metric
    model, baseline = card.metrics.model.get(metric), card.metrics.baseline.get(metric)
    if model is None or baseline is None:
        return Finding("beats its baseline", False, f"{metric}: found {model} and {baseline}")
    detail = f"{metric} {model:.3f} against {baseline:.3f}"
    return Finding("beats its baseline", model > baseline, detail)

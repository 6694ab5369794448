"""Stage `register`: the release agrees with its contract and plan and reaches their quality."""

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
from proviso.contracts.section import frozen_vocabularies, service_section
from proviso.gates.verdict import Finding
from proviso.release.directory import RELEASE_FILE, Release
from proviso.release.model_config import model_config
from proviso.release.signature import TOLERANCE


@dataclass(frozen=True)
class Subject:
    """What the gate judges: a release, and the contract and plan that it is held to."""

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
    """What of the model card is judged; no digest covers the card, so it may have been edited."""

    vector: list[str]
    onnx: _Proof
    metrics: _Metrics


def register_findings(subject: Subject) -> Iterator[Finding]:
    """What the register stage needs."""
    yield _files_are_valid(subject)
    yield _service_agrees(subject)
    yield _names_agree(subject)
    yield _signature_agrees(subject)
    try:
        card = parse_model(f"{RELEASE_FILE}: card", subject.release.card, _Card)
    except ValidationFailed as error:
        yield Finding.refused("model card", "card_invalid", *map(str, error.problems))
        return
    yield _order_agrees(subject, card)
    yield _onnx_is_the_model(card)
    yield _reaches_the_floor(subject, card)
    yield _beats_its_baseline(subject, card)


def _files_are_valid(subject: Subject) -> Finding:
    problems = validate(subject.contracts)
    if problems:
        said = f"{len(problems)} problems; first: {problems[0]}"
        return Finding.refused("contract files", "contract_invalid", said)
    return Finding.passed("contract files", "all four files pass")


def _service_agrees(subject: Subject) -> Finding:
    try:
        frozen = frozen_vocabularies(subject.release.service)
        wanted = digest_of(service_section(subject.contract, subject.plan, frozen))
    except ValidationFailed as error:
        return Finding.refused_by("service section", error)
    actual = subject.release.digests["service"]
    if actual == wanted:
        return Finding.passed("service section", "schema and policies are the contract's")
    said = f"found {actual}, wanted {wanted} of today's contract"
    return Finding.refused("service section", "service_digest_mismatch", said)


def _names_agree(subject: Subject) -> Finding:
    actual = (subject.release.model, subject.release.model_name)
    wanted = (subject.plan.model, subject.plan.model_name)
    if actual == wanted:
        return Finding.passed("model", f"{actual[0]}, served as {actual[1]}")
    return Finding.refused("model", "model_mismatch", f"found {actual}, wanted {wanted}")


def _order_agrees(subject: Subject, card: _Card) -> Finding:
    actual = tuple(card.vector)
    wanted = subject.release.service.vector
    if actual == wanted:
        return Finding.passed("feature order", f"{len(wanted)} features in contract order")
    first = next(
        (i for i, (a, b) in enumerate(zip(actual, wanted, strict=False)) if a != b),
        min(len(actual), len(wanted)),
    )
    said = f"the card differs from the contract at position {first}"
    return Finding.refused("feature order", "feature_order_mismatch", said)


def _signature_agrees(subject: Subject) -> Finding:
    """Reading the release has checked the ONNX tensors; here config.pbtxt is held to the plan."""
    release = subject.release
    width = len(release.service.vector)
    wanted = model_config(subject.plan, width, release.id)
    if release.config_file.read_text(encoding="utf-8") == wanted:
        return Finding.passed("model signature", f"ONNX and config.pbtxt take {width} features")
    detail = f"{release.config_file} differs from what the plan derives for {width} features"
    return Finding.refused("model signature", "model_config_mismatch", detail)


def _onnx_is_the_model(card: _Card) -> Finding:
    difference = card.onnx.model_max_difference
    detail = f"max |dp| {difference:.1e}, at most {TOLERANCE:.0e}"
    return _compared("ONNX equals XGBoost", difference <= TOLERANCE, "onnx_differs", detail)


def _reaches_the_floor(subject: Subject, card: _Card) -> Finding:
    floor = subject.plan.quality_floor
    value = card.metrics.model.get(floor.metric)
    if value is None:
        said = f"{floor.metric}: found nothing, wanted >= {floor.min}"
        return Finding.refused("quality floor", "metric_missing", said)
    detail = f"{floor.metric} {value:.3f}, at least {floor.min}"
    return _compared("quality floor", value >= floor.min, "below_quality_floor", detail)


def _beats_its_baseline(subject: Subject, card: _Card) -> Finding:
    metric = subject.plan.quality_floor.metric
    model, baseline = card.metrics.model.get(metric), card.metrics.baseline.get(metric)
    if model is None or baseline is None:
        said = f"{metric}: found {model} for the model and {baseline} for the baseline"
        return Finding.refused("beats its baseline", "metric_missing", said)
    detail = f"{metric} {model:.3f} against {baseline:.3f}"
    return _compared("beats its baseline", model > baseline, "not_above_baseline", detail)


def _compared(check: str, holds: bool, code: str, detail: str) -> Finding:
    return Finding.passed(check, detail) if holds else Finding.refused(check, code, detail)

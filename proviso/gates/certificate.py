"""Stage `shadow`: the model learned only from values that could be used, and somebody looked.

The certificate is no part of a release's id and anybody may have edited it, so it is held to all
that is known otherwise: the model's bytes, the service's meaning, the card's data and counts, and
the rule's own source. `proviso certify` makes the whole judgement again (docs/adr/0042).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from feature_runtime.core.availability import Status
from feature_runtime.core.service import feature_ref
from proviso.contracts.base import ValidationFailed
from proviso.contracts.loading import parse_model
from proviso.gates.register import Subject
from proviso.gates.verdict import Finding
from proviso.release.directory import RELEASE_FILE, Release
from proviso.training.certificate import SAMPLE, meaning_digest, rule_digest

CHECK = "leakage certificate"
_AGAIN = "certify again: proviso certify --renew"
_OF_VIEW = (Status.OK, Status.STALE, Status.MISSING_KEY)
_OF_VALUE = (Status.OK, Status.NULL, Status.TYPE)

Count = Annotated[int, Field(ge=0)]
Counts = Mapping[str, Count]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _View(_Part):
    status: Counts
    values: Count
    history_rows: Count
    history: str


class _Days(_Part):
    rows: Count
    dataset: str
    views: Mapping[str, _View]


class _Digests(_Part):
    contract: str
    trained_on: str
    model: str


class _Code(_Part):
    rule: str
    history: str
    certifier: str


class _Certificate(_Part):
    version: Literal[1]
    data: Mapping[str, str | list[str]]
    differences: Count
    train: _Days
    test: _Days
    recomputed: Counts
    digests: _Digests
    code: _Code


class _Feature(_Part):
    status: Counts


class _CardRows(_Part):
    transactions: Count


class _Sets(_Part):
    train: _CardRows
    test: _CardRows


class _Features(_Part):
    train: Mapping[str, _Feature]
    test: Mapping[str, _Feature]


class _Card(_Part):
    """What of the model card the certificate must agree with."""

    data: Mapping[str, str | list[str]]
    rows: _Sets
    features: _Features


def certificate_findings(subject: Subject) -> Iterator[Finding]:
    """Whether the release's certificate is there, whole, of these very bytes, and still valid."""
    parsed = subject.release.parsed
    if not parsed.get("certificate"):
        wanted = "wanted the one that `proviso train` makes"
        yield Finding(CHECK, False, f"{RELEASE_FILE}: found none, {wanted}")
        return
    try:
        found = parse_model(f"{RELEASE_FILE}: certificate", parsed["certificate"], _Certificate)
        card = parse_model(f"{RELEASE_FILE}: card", parsed["card"], _Card)
    except ValidationFailed as error:
        yield Finding(CHECK, False, "; ".join(map(str, error.problems))[:2_000])
        return
    reasons = [
        *_content(found, subject.release),
        *_against_card(found, card),
        *_bytes(found, subject.release),
        *_rule(found),
    ]
    if reasons:
        yield Finding(CHECK, False, "; ".join(reasons)[:2_000])
        return
    values = sum(v.values for days in (found.train, found.test) for v in days.views.values())
    yield Finding(
        CHECK,
        True,
        f"{values} values of {found.train.rows + found.test.rows} rows judged again, "
        f"{sum(found.recomputed.values())} rows computed again, no difference",
    )


def _content(found: _Certificate, release: Release) -> Iterator[str]:
    """What no certificate can say of a judgement that was made, and found nothing."""
    if found.differences:
        yield f"differences: found {found.differences}, wanted 0"
    wanted = {view.name for view in release.service.views}
    width = {name: sum(v == name for v, _ in release.service.consumed) for name in wanted}
    for name, days in (("train", found.train), ("test", found.test)):
        if days.rows == 0:
            yield f"{name}.rows: found 0, wanted some"
        if set(days.views) != wanted:
            yield f"{name}.views: found {sorted(days.views)}, wanted {sorted(wanted)}"
        for view, judged in days.views.items():
            where = f"{name}.views.{view}"
            unknown = set(judged.status) - {status.name for status in _OF_VIEW}
            if unknown or sum(judged.status.values()) != days.rows:
                yield f"{where}.status: found {dict(judged.status)}, wanted {days.rows} in all"
            if judged.values != days.rows * width.get(view, 0):
                yield f"{where}.values: found {judged.values}, wanted one per row and feature"
    for view in sorted(wanted):
        least = sum(
            min(SAMPLE, _winners(days.views[view]))
            for days in (found.train, found.test)
            if view in days.views
        )
        if found.recomputed.get(view, 0) < least:
            yield f"recomputed.{view}: found {found.recomputed.get(view, 0)}, wanted {least}"


def _winners(view: _View) -> int:
    """How many rows of a view had a value at all."""
    return sum(view.status.values()) - view.status.get(Status.MISSING_KEY.name, 0)


def _against_card(found: _Certificate, card: _Card) -> Iterator[str]:
    """What the card counted of the same rows, and where they came from."""
    if found.data != card.data:
        yield f"data: found {dict(found.data)}, wanted the card's {dict(card.data)}"
    sides = (
        ("train", found.train, card.rows.train, card.features.train),
        ("test", found.test, card.rows.test, card.features.test),
    )
    for name, days, rows, features in sides:
        if days.rows != rows.transactions:
            yield f"{name}.rows: found {days.rows}, wanted the card's {rows.transactions}"
        for full_name, feature in features.items():
            view = days.views.get(feature_ref(full_name).view)
            if view is not None and _of_view(feature.status) != _known(view.status):
                where = f"{name}.views.{full_name.partition(':')[0]}.status"
                yield f"{where}: found {dict(view.status)}, wanted what the card counts"
                break


def _of_view(status: Counts) -> dict[str, int]:
    """A feature's counts as its view's: what is null or of another type was found."""
    usable = sum(status.get(s.name, 0) for s in _OF_VALUE)
    others = {s.name: status.get(s.name, 0) for s in (Status.STALE, Status.MISSING_KEY)}
    return _known({Status.OK.name: usable, **others})


def _known(status: Counts) -> dict[str, int]:
    return {name: count for name, count in status.items() if count}


def _bytes(found: _Certificate, release: Release) -> Iterator[str]:
    """Whether it speaks of this model and of this service."""
    if found.digests.model != release.digests["model"]:
        wanted = release.digests["model"]
        yield f"belongs to other bytes: model {found.digests.model}, wanted {wanted}"
    meaning = meaning_digest(release.parsed["service"])
    if found.digests.contract != meaning:
        yield f"belongs to other features: {found.digests.contract}, wanted {meaning}"


def _rule(found: _Certificate) -> Iterator[str]:
    """A judgement by another rule proves nothing about today's."""
    if found.code.rule != rule_digest():
        yield f"the rule's code has changed since: {found.code.rule}, {_AGAIN}"

"""Stage `shadow`: the leakage certificate, which says that training used no value too early.

The certificate is not part of a release's id and may have been edited, so it is compared with all
that is known otherwise: the model's bytes, the service's meaning, the card's data and counts, and
the rule's own source. `proviso releases certify` makes the whole judgement again (docs/adr/0042).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from feature_runtime.core.availability import Status
from feature_runtime.core.service import feature_ref
from proviso.contracts.base import ValidationFailed
from proviso.contracts.loading import parse_model
from proviso.contracts.publication import of_table
from proviso.gates.register import Subject
from proviso.gates.verdict import Finding
from proviso.release.directory import RELEASE_FILE, Release
from proviso.training.certificate import SAMPLE, meaning_digest, rule_digest
from proviso.training.table_check import NOT_RECOMPUTED

CHECK = "leakage certificate"
_AGAIN = "certify again: proviso releases certify --renew"
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


class _OfTables(_Part):
    """Views over a table, whose rows cannot be computed again."""

    said: Literal["judged by the rule, not recomputed"] = NOT_RECOMPUTED
    compared: Counts = {}


class _Quarantine(_Part):
    rows: Count
    of: Count


class _Certificate(_Part):
    version: Literal[1]
    data: Mapping[str, str | list[str]]
    differences: Count
    train: _Days
    test: _Days
    recomputed: Counts
    of_tables: _OfTables = _OfTables()
    digests: _Digests
    code: _Code
    quarantine: Mapping[str, _Quarantine] = Field(default_factory=dict)


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
    """Whether the certificate exists, is complete, is of this model and still valid."""
    release = subject.release
    if not release.certificate:
        wanted = "wanted the one that `proviso train` makes"
        said = f"{RELEASE_FILE}: found none, {wanted}"
        yield Finding.refused(CHECK, "certificate_missing", said)
        return
    try:
        place = f"{RELEASE_FILE}: certificate"
        certificate = parse_model(place, release.certificate, _Certificate)
        card = parse_model(f"{RELEASE_FILE}: card", release.card, _Card)
    except ValidationFailed as error:
        yield Finding.refused(CHECK, "certificate_invalid", *map(str, error.problems))
        return
    parts = {
        "certificate_invalid": _content(certificate, subject),
        "certificate_card_mismatch": _against_card(certificate, card),
        "certificate_release_mismatch": _bytes(certificate, release),
        "certificate_outdated": _rule(certificate),
    }
    reasons = {code: tuple(said) for code, said in parts.items()}
    failed = [code for code, said in reasons.items() if said]
    if failed:
        yield Finding.refused(CHECK, failed[0], *(r for said in reasons.values() for r in said))
        return
    both = (certificate.train, certificate.test)
    values = sum(view.values for days in both for view in days.views.values())
    compared = sum(certificate.of_tables.compared.values())
    tables = f"{compared} answers of tables {NOT_RECOMPUTED}, " if compared else ""
    yield Finding.passed(
        CHECK,
        f"{values} values of {sum(days.rows for days in both)} rows judged again, "
        f"{sum(certificate.recomputed.values())} rows computed again, {tables}no difference"
        f"{''.join(_set_aside(certificate))}",
    )


def _set_aside(certificate: _Certificate) -> Iterator[str]:
    for source, found in certificate.quarantine.items():
        if found.rows:
            share = f"{found.rows / max(1, found.of):.2%}"
            yield f"; {found.rows} of {found.of} rows of {source} set aside ({share})"


def _content(certificate: _Certificate, subject: Subject) -> Iterator[str]:
    """What contradicts a complete judgement without a difference, or shows that it saw nothing."""
    if certificate.differences:
        yield f"differences: found {certificate.differences}, wanted 0"
    release = subject.release
    wanted = {view.name for view in release.service.views}
    width = {name: sum(v == name for v, _ in release.service.consumed) for name in wanted}
    for name, days in (("train", certificate.train), ("test", certificate.test)):
        if days.rows == 0:
            yield f"{name}.rows: found 0, wanted some"
        if set(days.views) != wanted:
            yield f"{name}.views: found {sorted(days.views)}, wanted {sorted(wanted)}"
        for view, judged in days.views.items():
            yield from _view(f"{name}.views.{view}", judged, days.rows, width.get(view, 0))
    for view in sorted(wanted & set(certificate.train.views)):
        if not _winners(certificate.train.views[view]):
            yield f"train.views.{view}: found no row with a value, wanted some"
    yield from _again(certificate, subject, wanted)


def _again(certificate: _Certificate, subject: Subject, views: set[str]) -> Iterator[str]:
    """Views of which fewer rows were judged once more than the sample has."""
    for view in sorted(views):
        least = sum(
            min(SAMPLE, _winners(days.views[view]))
            for days in (certificate.train, certificate.test)
            if view in days.views
        )
        place, counts = "recomputed", certificate.recomputed
        stated = subject.contract.view_by_name.get(view)
        if stated is not None and of_table(stated):
            place, counts = "of_tables.compared", certificate.of_tables.compared
        if counts.get(view, 0) < least:
            yield f"{place}.{view}: found {counts.get(view, 0)}, wanted {least}"


def _view(where: str, judged: _View, rows: int, features: int) -> Iterator[str]:
    """What contradicts a judgement of every row and feature of a view."""
    unknown = set(judged.status) - {status.name for status in _OF_VIEW}
    if unknown or sum(judged.status.values()) != rows:
        yield f"{where}.status: found {dict(judged.status)}, wanted {rows} in all"
    if judged.values != rows * features:
        yield f"{where}.values: found {judged.values}, wanted one per row and feature"


def _winners(view: _View) -> int:
    """How many rows of a view had a value at all."""
    return sum(view.status.values()) - view.status.get(Status.MISSING_KEY.name, 0)


def _against_card(certificate: _Certificate, card: _Card) -> Iterator[str]:
    """Where the certificate and the model card differ about the same rows."""
    if certificate.data != card.data:
        yield f"data: found {dict(certificate.data)}, wanted the card's {dict(card.data)}"
    sides = (
        ("train", certificate.train, card.rows.train, card.features.train),
        ("test", certificate.test, card.rows.test, card.features.test),
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
    """A feature's counts as its view's, to which NULL and TYPE are OK: the view had a row."""
    usable = sum(status.get(s.name, 0) for s in _OF_VALUE)
    others = {s.name: status.get(s.name, 0) for s in (Status.STALE, Status.MISSING_KEY)}
    return _known({Status.OK.name: usable, **others})


def _known(status: Counts) -> dict[str, int]:
    return {name: count for name, count in status.items() if count}


def _bytes(certificate: _Certificate, release: Release) -> Iterator[str]:
    """Whether it speaks of this model and of this service."""
    if certificate.digests.model != release.digests["model"]:
        wanted = release.digests["model"]
        yield f"belongs to other bytes: model {certificate.digests.model}, wanted {wanted}"
    meaning = meaning_digest(release.parsed["service"])
    if certificate.digests.contract != meaning:
        yield f"belongs to other features: {certificate.digests.contract}, wanted {meaning}"


def _rule(certificate: _Certificate) -> Iterator[str]:
    """A judgement by another rule proves nothing about today's."""
    if certificate.code.rule != rule_digest():
        yield f"the rule's code has changed since: {certificate.code.rule}, {_AGAIN}"

"""Sign-off: an owner takes one row in REVIEW on itself, in writing and for a time.

Signatures lie beside the rows' file, one JSON object a line, appended and never edited. A
signature covers the content of its row: another value or moment under the same case_id is not
signed. Critical features, whose policy is `reject`, are mended and not signed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from feature_runtime.core.identity import digest_of
from feature_runtime.core.moments import DAY, format_duration, format_moment, parse_moment
from feature_runtime.core.service import FeatureRef
from proviso.contracts.base import ContractError, InputError, Label, Problem, Text
from proviso.contracts.contract import Contract

LASTS = 7 * DAY
LONGEST = 30 * DAY
_MAX_BYTES = 16 * 1024 * 1024

RowCells = Mapping[str, str]
"""A line of skew evidence: column -> cell."""


@dataclass(frozen=True)
class Signature:
    """Who has accepted which row, why, and from when until when (microseconds).

    row: digest of the row's cells.
    """

    case_id: str
    row: str
    owner: str
    reason: str
    signed_at: int
    expires: int

    def counts(self, owner: str, now: int) -> bool:
        """Whether it holds at a moment for a row of `owner`; a stranger's never does."""
        return (
            self.owner == owner
            and self.signed_at <= now < self.expires
            and self.expires - self.signed_at <= LONGEST
        )


@dataclass(frozen=True)
class SignatureRequest:
    """What somebody wants to sign, as stated."""

    owner: str
    reason: str
    signed_at: int
    expires: int


class _Stated(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    case_id: str
    row: str
    owner: Label
    reason: Text
    signed_at: str
    expires: str


def unsigned(
    rows: Iterable[RowCells],
    signatures: Sequence[Signature],
    now: int,
    critical: frozenset[str],
) -> list[RowCells]:
    """The rows that still block: in REVIEW, and critical or without a signature that counts.

    critical: names as `view:feature`. now: microseconds, wall clock.
    """
    by_row: dict[str, list[Signature]] = {}
    for signature in signatures:
        by_row.setdefault(signature.row, []).append(signature)
    return [
        row
        for row in rows
        if row["verdict"] != "PASS"
        and (
            feature_of(row) in critical
            or not any(s.counts(row["owner"], now) for s in by_row.get(row_digest(row), ()))
        )
    ]


def critical_features(contract: Contract) -> frozenset[str]:
    """`view:feature` of every feature without which a transaction is rejected."""
    return frozenset(
        str(FeatureRef(view.name, feature.name))
        for view in contract.feature_views
        for feature in view.features
        if feature.default.policy == "reject"
    )


def feature_of(row: RowCells) -> str:
    """The `view:feature` that a row speaks of."""
    return str(FeatureRef(row["feature_view"], row["feature"]))


def row_digest(row: RowCells) -> str:
    """The digest of all cells of a row."""
    return digest_of(dict(row))


def sign(row: RowCells, request: SignatureRequest, critical: frozenset[str]) -> Signature:
    """The signature of a row. Raises ContractError when it may not be signed by this owner."""
    _check_times(request)
    place = row["case_id"]
    if row["verdict"] == "PASS":
        raise InputError.of(
            place, "a row that is PASS", "one in REVIEW", "there is nothing to sign"
        )
    if feature_of(row) in critical:
        why = "without it a transaction is rejected: mend it and test again"
        raise ContractError(
            [Problem(place, f"critical feature {feature_of(row)}", "one that may be signed", why)]
        )
    if request.owner != row["owner"]:
        why = "only the owner can answer for it"
        raise ContractError([Problem(f"{place}: --owner", request.owner, row["owner"], why)])
    return Signature(
        place,
        row_digest(row),
        request.owner,
        request.reason.strip(),
        request.signed_at,
        request.expires,
    )


def _check_times(request: SignatureRequest) -> None:
    if not request.reason.strip() or len(request.reason) > 2_000:
        raise InputError.of("--reason", f"{len(request.reason)} characters", "1 to 2000, not blank")
    if not request.signed_at < request.expires <= request.signed_at + LONGEST:
        latest = format_moment(request.signed_at + LONGEST)
        why = f"a signature lasts at most {format_duration(LONGEST)}"
        found = format_moment(request.expires)
        raise InputError.of("--expires", found, f"a moment to come, at most {latest}", why)


def signatures_file(rows: Path) -> Path:
    """Where the signatures of a rows' file are kept."""
    return rows.with_suffix(".signed.jsonl")


def append_signature(rows: Path, signature: Signature) -> Path:
    """Adds a signature beside the rows' file; one write, so that two signers do not mix."""
    path = signatures_file(rows)
    stated = asdict(signature) | {
        "signed_at": format_moment(signature.signed_at),
        "expires": format_moment(signature.expires),
    }
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(stated).encode() + b"\n")
    return path


def read_signatures(rows: Path) -> list[Signature]:
    """The signatures beside a rows' file; none when there is no such file. Raises InputError."""
    path = signatures_file(rows)
    if not path.exists():
        return []
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError.of(path, f"more than {_MAX_BYTES} bytes", "signatures")
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError.of(path, error.strerror or "an error", "signatures") from None
    return [_parse(path, number, line) for number, line in enumerate(lines, 1)]


def _parse(path: Path, number: int, line: bytes) -> Signature:
    try:
        stated = _Stated.model_validate_json(line)
        return Signature(
            stated.case_id,
            stated.row,
            stated.owner,
            stated.reason,
            parse_moment(stated.signed_at),
            parse_moment(stated.expires),
        )
    except (ValidationError, ValueError, RecursionError):
        wanted = "a signature as `proviso check sign` writes it"
        raise InputError.of(f"{path}: line {number}", "none", wanted) from None

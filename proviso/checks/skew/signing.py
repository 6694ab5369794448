"""Signatures: the owner of a row in REVIEW accepts it, with a reason and until a moment.

Signatures are kept beside the file of rows, one JSON object a line, appended and never edited. A
signature covers the content of its row: another value or moment under the same case_id is not
signed. Rows of critical features, whose policy is `reject`, cannot be signed.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from feature_runtime.core.identity import digest_of
from feature_runtime.core.moments import DAY, format_duration, format_moment, parse_moment
from feature_runtime.core.service import FeatureRef
from proviso.contracts.base import ContractError, InputError, Label, Problem, Text
from proviso.contracts.contract import Contract
from proviso.contracts.json_text import keys_once

LASTS = 7 * DAY
LONGEST = 30 * DAY
_MAX_BYTES = 16 * 1024 * 1024

RowCells = Mapping[str, str]
"""A line of skew evidence: column -> cell."""


@dataclass(frozen=True)
class Signature:
    """An owner's acceptance of a row, from signed_at until expires (microseconds).

    row: digest of the row's cells.
    """

    case_id: str
    row: str
    owner: str
    reason: str
    signed_at: int
    expires: int

    def counts(self, owner: str, now: int) -> bool:
        """Whether it is valid at a moment for a row of `owner`."""
        return (
            self.owner == owner
            and self.signed_at <= now < self.expires
            and self.expires - self.signed_at <= LONGEST
        )


@dataclass(frozen=True)
class SignatureRequest:
    """What `proviso check sign` is given."""

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
    """The rows that block: in REVIEW, and critical or without a valid signature.

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
    """`view:feature` of every feature whose absence rejects a transaction."""
    return frozenset(
        str(FeatureRef(view.name, feature.name))
        for view in contract.feature_views
        for feature in view.features
        if feature.default.policy == "reject"
    )


def feature_of(row: RowCells) -> str:
    """The `view:feature` of a row."""
    return str(FeatureRef(row["feature_view"], row["feature"]))


def row_digest(row: RowCells) -> str:
    """The digest of all cells of a row."""
    return digest_of(dict(row))


def sign(row: RowCells, request: SignatureRequest, critical: frozenset[str]) -> Signature:
    """The signature of a row. Raises ContractError when it may not be signed by this owner."""
    _check_times(request)
    place = row["case_id"]
    if row["verdict"] == "PASS":
        found, wanted, why = "a row that is PASS", "one in REVIEW", "there is nothing to sign"
        raise InputError.of(place, found, wanted, why, code="row_needs_no_signature")
    if feature_of(row) in critical:
        found = f"critical feature {feature_of(row)}"
        why = "its absence rejects a request: correct the value and test again"
        code = "critical_feature_signed"
        raise ContractError([Problem(place, found, "a feature with a default", why, code)])
    if request.owner != row["owner"]:
        why, code = "only the row's owner can sign it", "not_the_owner"
        problem = Problem(f"{place}: --owner", request.owner, row["owner"], why, code)
        raise ContractError([problem])
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
        found, wanted = f"{len(request.reason)} characters", "1 to 2000, not blank"
        raise InputError.of("--reason", found, wanted, code="reason_invalid")
    if not request.signed_at < request.expires <= request.signed_at + LONGEST:
        latest = format_moment(request.signed_at + LONGEST)
        why = f"a signature lasts at most {format_duration(LONGEST)}"
        found, wanted = format_moment(request.expires), f"after now, at most {latest}"
        raise InputError.of("--expires", found, wanted, why, code="expiry_invalid")


def signatures_file(rows: Path) -> Path:
    """Where the signatures of a rows' file are kept."""
    return rows.with_suffix(".signed.jsonl")


def append_signature(rows: Path, signature: Signature) -> Path:
    """Appends a signature in one write, so that two signers' lines do not mix."""
    path = signatures_file(rows)
    stated = asdict(signature) | {
        "signed_at": format_moment(signature.signed_at),
        "expires": format_moment(signature.expires),
    }
    line = json.dumps(stated).encode() + b"\n"
    with path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        if file.write(line) != len(line):
            file.truncate(before)  # a torn line would make all signatures unreadable
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    return path


def read_signatures(rows: Path) -> list[Signature]:
    """The signatures beside a rows' file; none when there is no such file. Raises InputError."""
    path = signatures_file(rows)
    if not path.exists():
        return []
    try:
        if path.stat().st_size > _MAX_BYTES:
            found = f"more than {_MAX_BYTES} bytes"
            raise InputError.of(path, found, "signatures", code="signatures_invalid")
        lines = path.read_bytes().splitlines()
    except OSError as error:
        reason = f"cannot read the signatures: {error.strerror or error}"
        raise InputError.event("file_unreadable", reason, path) from None
    return [_parse(path, number, line) for number, line in enumerate(lines, 1)]


def _parse(path: Path, number: int, line: bytes) -> Signature:
    try:
        stated = _Stated.model_validate(json.loads(line, object_pairs_hook=keys_once))
        return Signature(
            stated.case_id,
            stated.row,
            stated.owner,
            stated.reason,
            parse_moment(stated.signed_at),
            parse_moment(stated.expires),
        )
    except (ValidationError, ValueError, RecursionError):
        place, wanted = f"{path}: line {number}", "a signature that `proviso check sign` wrote"
        raise InputError.of(place, "no signature", wanted, code="signatures_invalid") from None

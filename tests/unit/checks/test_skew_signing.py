"""A signature covers one row's content, by its owner, for a time; critical features have none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from feature_runtime.core.moments import DAY, format_moment
from proviso.checks.skew.signing import (
    LASTS,
    LONGEST,
    Signature,
    SignatureRequest,
    append_signature,
    critical_features,
    read_signatures,
    row_digest,
    sign,
    signatures_file,
    unsigned,
)
from proviso.contracts.base import ContractError, InputError
from tests.history_data import contract

NOW = 1_780_272_000_000_000
OWNER = "data@shop.example"
NOBODY: frozenset[str] = frozenset()
ROW = {
    "case_id": "buyer_hourly:spent_3h:b1",
    "entity_type": "buyer",
    "entity_key": "b1",
    "feature_view": "buyer_hourly",
    "feature": "spent_3h",
    "as_of": format_moment(NOW),
    "offline_value": "10.0",
    "online_value": "12.0",
    "verdict": "REVIEW",
    "kind": "VALUE",
    "owner": OWNER,
    "review_note": "offline OK 10.0, online OK 12.0",
}
PASSING = {**ROW, "case_id": "other", "verdict": "PASS", "kind": ""}
REQUEST = SignatureRequest(OWNER, "Known since Monday.", NOW, NOW + LASTS)
SIGNED = sign(ROW, REQUEST, NOBODY)


def test_without_a_signature_a_row_in_review_blocks_and_others_do_not() -> None:
    assert unsigned([PASSING, ROW], [], NOW, NOBODY) == [ROW]


def test_a_signature_of_the_owner_takes_the_row_off() -> None:
    assert unsigned([PASSING, ROW], [SIGNED], NOW, NOBODY) == []


@pytest.mark.parametrize("cell", [name for name in ROW if name != "verdict"])
def test_a_signature_covers_every_cell(cell: str) -> None:
    other = {**ROW, cell: "another"}
    assert unsigned([other], [SIGNED], NOW, NOBODY) == [other]


@pytest.mark.parametrize(
    ("now", "blocks"),
    [(NOW - 1, True), (NOW, False), (NOW + LASTS - 1, False), (NOW + LASTS, True)],
    ids=["before it was made", "from then on", "to its last moment", "expired"],
)
def test_a_signature_counts_for_its_time_only(now: int, blocks: bool) -> None:
    assert bool(unsigned([ROW], [SIGNED], now, NOBODY)) is blocks


@pytest.mark.parametrize(
    "forged",
    [
        replace(SIGNED, owner="science@shop.example"),
        replace(SIGNED, expires=NOW + LONGEST + 1),
        replace(SIGNED, row=row_digest(PASSING)),
    ],
    ids=["a stranger's", "one without an end", "of another row under this case_id"],
)
def test_a_line_written_by_hand_does_not_count(forged: Signature) -> None:
    assert unsigned([ROW], [forged], NOW, NOBODY) == [ROW]


def test_a_critical_feature_blocks_whoever_has_signed() -> None:
    assert unsigned([ROW], [SIGNED], NOW, frozenset({"buyer_hourly:spent_3h"})) == [ROW]


def test_features_whose_absence_rejects_are_critical() -> None:
    owned = contract()
    assert "buyer_hourly:spent_3h" in critical_features(owned)
    view = owned.feature_views[0]
    approved = view.features[0].default.model_copy(update={"policy": "nan"})
    feature = view.features[0].model_copy(update={"default": approved})
    views = [view.model_copy(update={"features": [feature, *view.features[1:]]})]
    eased = owned.model_copy(update={"feature_views": views})
    assert f"{view.name}:{feature.name}" not in critical_features(eased)


def test_only_the_owner_signs() -> None:
    with pytest.raises(ContractError, match=f"wanted {OWNER}") as raised:
        sign(ROW, replace(REQUEST, owner="science@shop.example"), NOBODY)
    assert raised.value.problems[0].code == "not_the_owner"


def test_what_is_critical_is_refused() -> None:
    with pytest.raises(ContractError, match="buyer_hourly:spent_3h") as raised:
        sign(ROW, REQUEST, frozenset({"buyer_hourly:spent_3h"}))
    assert raised.value.problems[0].code == "critical_feature_signed"


def test_a_row_that_passes_needs_none() -> None:
    with pytest.raises(InputError) as raised:
        sign(PASSING, REQUEST, NOBODY)
    assert raised.value.problems[0].code == "row_needs_no_signature"


@pytest.mark.parametrize("expires", [NOW, NOW - DAY, NOW + LONGEST + 1])
def test_the_end_is_to_come_and_bounded(expires: int) -> None:
    with pytest.raises(InputError, match="lasts at most P30D"):
        sign(ROW, replace(REQUEST, expires=expires), NOBODY)


@pytest.mark.parametrize("reason", ["", "  \n", "x" * 2_001])
def test_a_reason_is_words(reason: str) -> None:
    with pytest.raises(InputError, match="--reason"):
        sign(ROW, replace(REQUEST, reason=reason), NOBODY)


def test_signatures_are_kept_beside_the_rows_and_read_back(tmp_path: Path) -> None:
    rows = tmp_path / "skew-test.csv"
    assert read_signatures(rows) == []
    other = replace(SIGNED, case_id="x\ny", reason="Zwölf\u2028Gründe")
    append_signature(rows, SIGNED)
    append_signature(rows, other)
    assert read_signatures(rows) == [SIGNED, other]


TWICE = '{"case_id": "a", "row": "b", "owner": "o@example", "owner": "p@example", "reason": "r", '
TWICE += '"signed_at": "2026-01-01T00:00:00Z", "expires": "2026-01-02T00:00:00Z"}'


@pytest.mark.parametrize(
    "line", ["", "{}", "[" * 9_000, '{"case_id": 1}', "\x00", TWICE], ids=[*"abcdef"]
)
def test_a_file_that_holds_something_else_is_refused(line: str, tmp_path: Path) -> None:
    rows = tmp_path / "skew-test.csv"
    append_signature(rows, SIGNED)
    with signatures_file(rows).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(InputError, match="line 2: found no signature") as raised:
        read_signatures(rows)
    assert raised.value.problems[0].code == "signatures_invalid"

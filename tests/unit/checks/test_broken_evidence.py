"""Broken payloads and skew rows: one defect, one review comment."""

from __future__ import annotations

import pytest

from tests.unit.contracts.edits import (
    Edit,
    Wrong,
    payload,
    payload_text,
    problems_after,
    skew,
    skew_text,
)

VARIANTS: dict[str, tuple[Edit, Wrong]] = {
    "payload without a feature": (
        payload(1, "-values/fees_24h", None),
        Wrong(
            "key_missing",
            "online_feature_payloads.jsonl: line 1: values.fees_24h",
            "nothing",
            "a value of float64",
        ),
    ),
    "payload with another feature": (
        payload(1, "values/mood", 1),
        Wrong(
            "feature_unknown",
            "online_feature_payloads.jsonl: line 1: values.mood",
            "an unknown feature",
            "only features of courier_load_6h",
        ),
    ),
    "payload with text for a number": (
        payload(1, "values/deliveries_24h", "31"),
        Wrong(
            "value_type_mismatch",
            "online_feature_payloads.jsonl: line 1: values.deliveries_24h",
            "'31'",
            "a value of int64",
        ),
    ),
    "payload with a decimal count": (
        payload(1, "values/deliveries_24h", 31.5),
        Wrong(
            "value_type_mismatch",
            "online_feature_payloads.jsonl: line 1: values.deliveries_24h",
            "31.5",
            "a value of int64",
        ),
    ),
    "payload beyond the model's type": (
        payload(1, "values/fees_24h", 1e39),
        Wrong(
            "value_type_mismatch",
            "online_feature_payloads.jsonl: line 1: values.fees_24h",
            "1e+39",
            "a value of float64",
        ),
    ),
    "payload without a critical value": (
        payload(1, "values/deliveries_24h", None),
        Wrong(
            "null_of_critical",
            "online_feature_payloads.jsonl: line 1: values.deliveries_24h",
            "null",
            "a value of int64",
        ),
    ),
    "payload with a further key": (
        payload(1, "ttl", "PT8H"),
        Wrong(
            "key_unknown",
            "online_feature_payloads.jsonl: line 1: ttl",
            "an unknown key",
            "only keys that the format knows",
        ),
    ),
    "payload from the future": (
        payload(1, "event_timestamp", "2026-05-31T18:00:00Z"),
        Wrong(
            "written_before_event",
            "online_feature_payloads.jsonl: line 1: event_timestamp",
            "2026-05-31T18:00:00Z",
            "at or before materialization_timestamp 2026-05-31T12:20:00Z",
        ),
    ),
    "payload older than its ttl": (
        payload(1, "materialization_timestamp", "2026-05-31T20:00:01Z"),
        Wrong(
            "written_too_late",
            "online_feature_payloads.jsonl: line 1: event_timestamp",
            "2026-05-31T12:00:00Z",
            "within online_ttl PT8H of materialization_timestamp",
        ),
    ),
    "payload before its source": (
        payload(1, "materialization_timestamp", "2026-05-31T12:14:59Z"),
        Wrong(
            "written_too_early",
            "online_feature_payloads.jsonl: line 1: materialization_timestamp",
            "2026-05-31T12:14:59Z",
            "at least source_delay PT15M after event_timestamp",
        ),
    ),
    "payload of no run": (
        payload(1, "event_timestamp", "2026-05-31T12:00:01Z"),
        Wrong(
            "event_off_schedule",
            "online_feature_payloads.jsonl: line 1: event_timestamp",
            "2026-05-31T12:00:01Z",
            "a multiple of schedule PT6H",
        ),
    ),
    "payload with a date": (
        payload(1, "event_timestamp", "2026-05-31"),
        Wrong(
            "invalid_value",
            "online_feature_payloads.jsonl: line 1: event_timestamp",
            "'2026-05-31'",
            "an RFC 3339 moment (2018-06-20T12:00:00Z)",
        ),
    ),
    "payload of another service": (
        payload(1, "feature_service", "other_service_v1"),
        Wrong(
            "service_unknown",
            "online_feature_payloads.jsonl: line 1: feature_service",
            "other_service_v1",
            "one of late_delivery_service_v1",
        ),
    ),
    "payload of another entity": (
        payload(1, "entity_type", "zone"),
        Wrong(
            "entity_type_mismatch",
            "online_feature_payloads.jsonl: line 1: entity_type",
            "zone",
            "courier",
        ),
    ),
    "payload with a text id": (
        payload(1, "entity_key", "C7"),
        Wrong(
            "entity_key_invalid",
            "online_feature_payloads.jsonl: line 1: entity_key",
            "C7",
            "an integer, the id of a courier",
        ),
    ),
    "payload with half a key": (
        payload(2, "entity_key", "7"),
        Wrong(
            "entity_key_invalid",
            "online_feature_payloads.jsonl: line 2: entity_key",
            "7",
            "2 ids with | between",
        ),
    ),
    "payload that is no json": (
        payload_text(lambda text: text + "{\n"),
        Wrong(
            "json_invalid",
            "online_feature_payloads.jsonl: line 3",
            "no JSON from column 2 on",
            "one JSON object",
        ),
    ),
    "payload line twice": (
        payload_text(lambda text: text + text.splitlines()[0]),
        Wrong(
            "row_repeated",
            "online_feature_payloads.jsonl: line 3",
            "the row of line 1 again",
            "every row once",
        ),
    ),
    "view without a payload": (
        payload_text(lambda text: text.splitlines()[0]),
        Wrong(
            "payload_missing",
            "online_feature_payloads.jsonl",
            "no line of courier_zone_daily",
            "at least one",
        ),
    ),
    "skew header": (
        skew_text(lambda text: text.replace("review_note", "note", 1)),
        Wrong(
            "skew_rows_invalid",
            "skew_test_cases.csv: header",
            "no review_note and an unknown note",
            "16 columns from case_id to review_note, in the format's order",
        ),
    ),
    "skew row cut short": (
        skew_text(lambda text: text + "skew-4,courier\n"),
        Wrong(
            "skew_rows_invalid",
            "skew_test_cases.csv: row 5",
            "2 cells",
            "16 cells",
        ),
    ),
    "skew case twice": (
        skew(2, case_id="skew-1"),
        Wrong(
            "name_repeated",
            "skew_test_cases.csv: case_id",
            "skew-1 2 times",
            "every name once",
        ),
    ),
    "skew of an unknown feature": (
        skew(2, feature="mood"),
        Wrong(
            "feature_unknown",
            "skew_test_cases.csv: row 3: feature",
            "courier_load_6h:mood",
            "a feature of the contract",
        ),
    ),
    "skew tolerance widened": (
        skew(1, tolerance_abs="5"),
        Wrong(
            "skew_tolerance_mismatch",
            "skew_test_cases.csv: row 2: tolerance_abs",
            "5",
            "0.005",
        ),
    ),
    "skew pass beyond tolerance": (
        skew(2, online_value="32"),
        Wrong(
            "skew_verdict_mismatch",
            "skew_test_cases.csv: row 3: verdict",
            "PASS",
            "REVIEW of kind VALUE",
        ),
    ),
    "skew pass without online row": (
        skew(2, online_value="", online_event_ts=""),
        Wrong(
            "skew_verdict_mismatch",
            "skew_test_cases.csv: row 3: verdict",
            "PASS",
            "REVIEW of kind MISSING_KEY",
        ),
    ),
    "skew pass on another type": (
        skew(2, online_value="31.5"),
        Wrong(
            "skew_verdict_mismatch",
            "skew_test_cases.csv: row 3: verdict",
            "PASS",
            "REVIEW of kind TYPE",
        ),
    ),
    "skew pass on null": (
        skew(2, online_value=""),
        Wrong(
            "skew_verdict_mismatch",
            "skew_test_cases.csv: row 3: verdict",
            "PASS",
            "REVIEW of kind NULL",
        ),
    ),
    "skew pass on an older row": (
        skew(2, online_event_ts="2026-05-31T06:00:00Z"),
        Wrong(
            "skew_verdict_mismatch",
            "skew_test_cases.csv: row 3: verdict",
            "PASS",
            "REVIEW of kind STALE",
        ),
    ),
    "skew pass on a row too new": (
        skew(2, as_of="2026-05-31T18:05:00Z", online_event_ts="2026-05-31T18:00:00Z"),
        Wrong(
            "skew_verdict_mismatch",
            "skew_test_cases.csv: row 3: verdict",
            "PASS",
            "REVIEW of kind FUTURE",
        ),
    ),
    "skew with leaking offline": (
        skew(2, as_of="2026-05-31T12:10:00Z"),
        Wrong(
            "offline_row_unusable",
            "skew_test_cases.csv: row 3: offline_event_ts",
            "2026-05-31T12:00:00Z",
            "at most 2026-05-31T11:55:00Z, source_delay PT15M before as_of",
        ),
    ),
    "skew review without cause": (
        skew(3, online_value="9", online_event_ts="2026-05-31T00:00:00Z"),
        Wrong(
            "skew_verdict_mismatch",
            "skew_test_cases.csv: row 4: verdict",
            "REVIEW",
            "PASS",
        ),
    ),
    "skew review of another kind": (
        skew(3, kind="VALUE"),
        Wrong(
            "skew_verdict_mismatch",
            "skew_test_cases.csv: row 4: kind",
            "VALUE",
            "STALE",
        ),
    ),
    "skew review without kind": (
        skew(3, kind=""),
        Wrong(
            "skew_verdict_mismatch",
            "skew_test_cases.csv: row 4: kind",
            "nothing",
            "STALE",
        ),
    ),
    "skew review without owner": (
        skew(3, owner=""),
        Wrong(
            "skew_owner_mismatch",
            "skew_test_cases.csv: row 4: owner",
            "nothing",
            "data@parcels.example",
        ),
    ),
    "skew review of another owner": (
        skew(3, owner="nobody@parcels.example"),
        Wrong(
            "skew_owner_mismatch",
            "skew_test_cases.csv: row 4: owner",
            "nobody@parcels.example",
            "data@parcels.example",
        ),
    ),
    "skew review without note": (
        skew(3, review_note=" "),
        Wrong(
            "review_note_missing",
            "skew_test_cases.csv: row 4: review_note",
            "nothing",
            "a note",
        ),
    ),
    "skew verdict unknown": (
        skew(3, verdict="OK"),
        Wrong(
            "invalid_value",
            "skew_test_cases.csv: row 4: verdict",
            "'OK'",
            "'PASS' or 'REVIEW'",
        ),
    ),
    "skew without review": (
        skew_text(lambda text: "\n".join(text.splitlines()[:3]) + "\n"),
        Wrong(
            "skew_cases_incomplete",
            "skew_test_cases.csv",
            "no REVIEW row",
            "at least one",
        ),
    ),
    "skew without a tolerance": (
        skew_text(
            lambda text: "\n".join(line for line in text.splitlines() if "skew-1" not in line)
        ),
        Wrong(
            "skew_cases_incomplete",
            "skew_test_cases.csv",
            "no such row",
            "at least one PASS of a number with a tolerance above zero",
        ),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_one_defect_is_one_review_comment(name: str) -> None:
    edit, expected = VARIANTS[name]
    assert problems_after(edit) == [expected]

"""Broken payloads and skew rows: one defect, one review comment."""

from __future__ import annotations

import pytest

from tests.unit.contracts.edits import (
    Edit,
    payload,
    payload_text,
    problems_after,
    skew,
    skew_text,
)

VARIANTS: dict[str, tuple[Edit, str]] = {
    "payload without a feature": (
        payload(1, "-values/fees_24h", None),
        (
            "online_feature_payloads.jsonl: line 1: values.fees_24h: found nothing, wanted a "
            "value of float64 (courier_load_6h has it in the contract)"
        ),
    ),
    "payload with another feature": (
        payload(1, "values/mood", 1),
        (
            "online_feature_payloads.jsonl: line 1: values.mood: found an unknown feature, "
            "wanted only features of courier_load_6h"
        ),
    ),
    "payload with text for a number": (
        payload(1, "values/deliveries_24h", "31"),
        (
            "online_feature_payloads.jsonl: line 1: values.deliveries_24h: found '31', wanted a "
            "value of int64 (the pod would say TYPE)"
        ),
    ),
    "payload with a decimal count": (
        payload(1, "values/deliveries_24h", 31.5),
        (
            "online_feature_payloads.jsonl: line 1: values.deliveries_24h: found 31.5, wanted a "
            "value of int64 (the pod would say TYPE)"
        ),
    ),
    "payload without a critical value": (
        payload(1, "values/deliveries_24h", None),
        (
            "online_feature_payloads.jsonl: line 1: values.deliveries_24h: found null, wanted a "
            "value of int64 (the feature is critical: requests with it would be rejected)"
        ),
    ),
    "payload with a further key": (
        payload(1, "ttl", "PT8H"),
        (
            "online_feature_payloads.jsonl: line 1: ttl: found an unknown key, wanted only keys "
            "that the format knows"
        ),
    ),
    "payload from the future": (
        payload(1, "event_timestamp", "2026-05-31T18:00:00Z"),
        (
            "online_feature_payloads.jsonl: line 1: event_timestamp: found 2026-05-31T18:00:00Z, "
            "wanted at or before materialization_timestamp 2026-05-31T12:20:00Z (nobody can "
            "write what has not happened)"
        ),
    ),
    "payload older than its ttl": (
        payload(1, "materialization_timestamp", "2026-05-31T20:00:01Z"),
        (
            "online_feature_payloads.jsonl: line 1: event_timestamp: found 2026-05-31T12:00:00Z, "
            "wanted within online_ttl PT8H of materialization_timestamp (the value is stale when "
            "it is written)"
        ),
    ),
    "payload before its source": (
        payload(1, "materialization_timestamp", "2026-05-31T12:14:59Z"),
        (
            "online_feature_payloads.jsonl: line 1: materialization_timestamp: found "
            "2026-05-31T12:14:59Z, wanted at least source_delay PT15M after event_timestamp "
            "(until then the source is incomplete)"
        ),
    ),
    "payload of no run": (
        payload(1, "event_timestamp", "2026-05-31T12:00:01Z"),
        (
            "online_feature_payloads.jsonl: line 1: event_timestamp: found 2026-05-31T12:00:01Z, "
            "wanted a multiple of schedule PT6H (no run has that event time)"
        ),
    ),
    "payload with a date": (
        payload(1, "event_timestamp", "2026-05-31"),
        (
            "online_feature_payloads.jsonl: line 1: event_timestamp: found '2026-05-31', wanted "
            "an RFC 3339 moment (2018-06-20T12:00:00Z)"
        ),
    ),
    "payload of another service": (
        payload(1, "feature_service", "other_service_v1"),
        (
            "online_feature_payloads.jsonl: line 1: feature_service: found other_service_v1, "
            "wanted one of late_delivery_service_v1"
        ),
    ),
    "payload of another entity": (
        payload(1, "entity_type", "zone"),
        (
            "online_feature_payloads.jsonl: line 1: entity_type: found zone, wanted courier "
            "(courier_load_6h is keyed by it)"
        ),
    ),
    "payload with a text id": (
        payload(1, "entity_key", "C7"),
        (
            "online_feature_payloads.jsonl: line 1: entity_key: found C7, wanted an integer, the "
            "id of a courier"
        ),
    ),
    "payload with half a key": (
        payload(2, "entity_key", "7"),
        "online_feature_payloads.jsonl: line 2: entity_key: found 7, wanted 2 ids with | between",
    ),
    "payload that is no json": (
        payload_text(lambda text: text + "{\n"),
        (
            "online_feature_payloads.jsonl: line 3: found no JSON from column 2 on, wanted one "
            "JSON object"
        ),
    ),
    "payload line twice": (
        payload_text(lambda text: text + text.splitlines()[0]),
        (
            "online_feature_payloads.jsonl: line 3: found the row of line 1 again, wanted every "
            "row once"
        ),
    ),
    "view without a payload": (
        payload_text(lambda text: text.splitlines()[0]),
        (
            "online_feature_payloads.jsonl: found no line of courier_zone_daily, wanted at least "
            "one (a reviewer must see what the model would receive)"
        ),
    ),
    "skew header": (
        skew_text(lambda text: text.replace("review_note", "note", 1)),
        (
            "skew_test_cases.csv: header: found no review_note and an unknown note, wanted 16 "
            "columns from case_id to review_note, in the format's order"
        ),
    ),
    "skew row cut short": (
        skew_text(lambda text: text + "skew-4,courier\n"),
        "skew_test_cases.csv: row 5: found 2 cells, wanted 16 cells",
    ),
    "skew case twice": (
        skew(2, case_id="skew-1"),
        (
            "skew_test_cases.csv: case_id: found skew-1 2 times, wanted every name once "
            "(evidence is signed by its case_id)"
        ),
    ),
    "skew of an unknown feature": (
        skew(2, feature="mood"),
        (
            "skew_test_cases.csv: row 3: feature: found courier_load_6h:mood, wanted a feature "
            "of the contract"
        ),
    ),
    "skew tolerance widened": (
        skew(1, tolerance_abs="5"),
        (
            "skew_test_cases.csv: row 2: tolerance_abs: found 5, wanted 0.005 (the contract's "
            "tolerance of fees_24h is what the owner agreed to)"
        ),
    ),
    "skew pass beyond tolerance": (
        skew(2, online_value="32"),
        (
            "skew_test_cases.csv: row 3: verdict: found PASS, wanted REVIEW of kind VALUE (what "
            "the row's own values, moments and tolerance give)"
        ),
    ),
    "skew pass without online row": (
        skew(2, online_value="", online_event_ts=""),
        (
            "skew_test_cases.csv: row 3: verdict: found PASS, wanted REVIEW of kind MISSING_KEY "
            "(what the row's own values, moments and tolerance give)"
        ),
    ),
    "skew pass on another type": (
        skew(2, online_value="31.5"),
        (
            "skew_test_cases.csv: row 3: verdict: found PASS, wanted REVIEW of kind TYPE (what "
            "the row's own values, moments and tolerance give)"
        ),
    ),
    "skew pass on null": (
        skew(2, online_value=""),
        (
            "skew_test_cases.csv: row 3: verdict: found PASS, wanted REVIEW of kind NULL (what "
            "the row's own values, moments and tolerance give)"
        ),
    ),
    "skew pass on an older row": (
        skew(2, online_event_ts="2026-05-31T06:00:00Z"),
        (
            "skew_test_cases.csv: row 3: verdict: found PASS, wanted REVIEW of kind STALE (what "
            "the row's own values, moments and tolerance give)"
        ),
    ),
    "skew pass on a row too new": (
        skew(2, as_of="2026-05-31T18:05:00Z", online_event_ts="2026-05-31T18:00:00Z"),
        (
            "skew_test_cases.csv: row 3: verdict: found PASS, wanted REVIEW of kind FUTURE (what "
            "the row's own values, moments and tolerance give)"
        ),
    ),
    "skew with leaking offline": (
        skew(2, as_of="2026-05-31T12:10:00Z"),
        (
            "skew_test_cases.csv: row 3: offline_event_ts: found 2026-05-31T12:00:00Z, wanted at "
            "most 2026-05-31T11:55:00Z, source_delay PT15M before as_of (leakage: training could "
            "not have used it)"
        ),
    ),
    "skew review without cause": (
        skew(3, online_value="9", online_event_ts="2026-05-31T00:00:00Z"),
        (
            "skew_test_cases.csv: row 4: verdict: found REVIEW, wanted PASS (what the row's own "
            "values, moments and tolerance give)"
        ),
    ),
    "skew review of another kind": (
        skew(3, kind="VALUE"),
        (
            "skew_test_cases.csv: row 4: kind: found VALUE, wanted STALE (what the row's own "
            "values, moments and tolerance give)"
        ),
    ),
    "skew review without kind": (
        skew(3, kind=""),
        (
            "skew_test_cases.csv: row 4: kind: found nothing, wanted STALE (what the row's own "
            "values, moments and tolerance give)"
        ),
    ),
    "skew review without owner": (
        skew(3, owner=""),
        (
            "skew_test_cases.csv: row 4: owner: found nothing, wanted data@parcels.example (a "
            "difference goes to the feature's owner)"
        ),
    ),
    "skew review of another owner": (
        skew(3, owner="nobody@parcels.example"),
        (
            "skew_test_cases.csv: row 4: owner: found nobody@parcels.example, wanted "
            "data@parcels.example (a difference goes to the feature's owner)"
        ),
    ),
    "skew review without note": (
        skew(3, review_note=" "),
        (
            "skew_test_cases.csv: row 4: review_note: found nothing, wanted a note (the "
            "reviewer needs to know what was seen)"
        ),
    ),
    "skew verdict unknown": (
        skew(3, verdict="OK"),
        "skew_test_cases.csv: row 4: verdict: found 'OK', wanted 'PASS' or 'REVIEW'",
    ),
    "skew without review": (
        skew_text(lambda text: "\n".join(text.splitlines()[:3]) + "\n"),
        (
            "skew_test_cases.csv: found no REVIEW row, wanted at least one (the cases must "
            "show a difference that is stopped)"
        ),
    ),
    "skew without a tolerance": (
        skew_text(
            lambda text: "\n".join(line for line in text.splitlines() if "skew-1" not in line)
        ),
        (
            "skew_test_cases.csv: found no such row, wanted at least one PASS of a number with a "
            "tolerance above zero (the cases must show a difference that passes)"
        ),
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_one_defect_is_one_review_comment(name: str) -> None:
    edit, expected = VARIANTS[name]
    assert problems_after(edit) == [expected]

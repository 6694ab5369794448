"""Shadow traffic is judged by pairs, and what has no partner is counted and bounded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from feature_runtime.core.moments import MINUTE, SECOND, format_moment
from feature_runtime.core.record import FORMER_SCHEMA, SCHEMA
from proviso.checks import shadow
from proviso.checks.evidence import Evidence
from proviso.checks.shadow import Mirror, ShadowRecords
from proviso.contracts.base import InputError
from proviso.release.directory import read_release
from tests.program import call

RELEASE = Path(__file__).parents[3] / "model_repository" / "2.5.0"
AT = 1_780_000_000_000_000
OLD, NEW = "r-old", "r-new"
ALWAYS = 2**62


def line(number: int, release: str, decision: str = "APPROVE", **changes: Any) -> str:
    said = {
        "schema": SCHEMA,
        "request_id": f"q-{number}",
        "traffic": "shadow" if release == NEW else "live",
        "index": 0,
        "release": release,
        "scored_at": format_moment(AT + number * SECOND),
        "event_ts": format_moment(AT + number * SECOND),
        "entities": {"customer": "c1", "merchant": 7},
        "decision": decision,
    }
    return json.dumps(said | changes)


def record(path: Path, lines: Iterable[str]) -> Path:
    path.write_text("".join(f"{one}\n" for one in lines))
    return path


class Pair:
    """The records of both sides, to be compared."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def compare(self, live: Iterable[str], candidate: Iterable[str], **changes: Any) -> Evidence:
        served = record(self.directory / "served.jsonl", live)
        shadowed = record(self.directory / "shadowed.jsonl", candidate)
        stated = {"share": 1.0, "settle": 10 * SECOND, "until": ALWAYS, "most": 0.01}
        found = ShadowRecords([served], [shadowed])
        return shadow.compare(found, NEW, Mirror(**{**stated, **changes}))


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def code_of(call: Callable[[], object]) -> str:
    """The code of the InputError that a call raises."""
    with pytest.raises(InputError) as raised:
        call()
    return raised.value.problems[0].code


def codes(found: Evidence) -> list[str]:
    assert found.passed is not bool(found.figures["reason_codes"])
    assert found.figures["verdict"] == ("PASS" if found.passed else "INCONCLUSIVE")
    return list(found.figures["reason_codes"])


LIVE = [line(n, OLD) for n in range(1_000)]
MIRRORED = [line(n, NEW) for n in range(1_000)]


def test_pairs_are_counted_and_compared(pair: Pair) -> None:
    decided = [line(n, NEW, "REVIEW" if n < 50 else "APPROVE") for n in range(1_000)]
    found = pair.compare(LIVE, decided)
    assert codes(found) == []
    wanted = {
        "requests": 1_000,
        "seconds": 999.0,
        "decision_disagreement": 0.05,
        "live_predictions": 990,
        "unanswered": 0,
        "unanswered_share": 0.0,
        "ambiguous": 0,
        "without_partner": 0,
        "damaged_lines": 0,
        "mirror_percent": 100.0,
    }
    assert {name: found.figures[name] for name in wanted} == wanted
    assert found.as_of == AT + 999 * SECOND


def test_rows_of_one_request_are_paired_by_their_place(pair: Pair) -> None:
    live = [line(1, OLD, d, index=i) for i, d in enumerate(("APPROVE", "REVIEW"))]
    new = [line(1, NEW, d, index=i) for i, d in ((1, "REVIEW"), (0, "APPROVE"))]
    found = pair.compare([*live, line(20, OLD)], [*new, line(20, NEW)])
    assert (found.figures["requests"], found.figures["decision_disagreement"]) == (3, 0.0)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.98])
def test_what_the_candidate_did_not_record_is_counted_and_bounded(pair: Pair, kept: float) -> None:
    """Evenly dropped, so that the window is the whole time."""
    some = [one for n, one in enumerate(MIRRORED) if (n * kept) % 1 < kept]
    found = pair.compare(LIVE, some)
    assert codes(found) == ["shadow_unanswered"]
    assert found.figures["unanswered_share"] == pytest.approx(1 - kept, abs=0.01)
    assert found.figures["decision_disagreement"] == 0.0


def test_a_candidate_that_stopped_is_seen(pair: Pair) -> None:
    found = pair.compare(LIVE, MIRRORED[:900])
    assert codes(found) == ["shadow_unanswered"]
    assert found.figures["unanswered"] == 90


def test_the_end_of_the_shadow_step_can_be_stated(pair: Pair) -> None:
    found = pair.compare(LIVE, MIRRORED[:900], until=AT + 899 * SECOND)
    assert (codes(found), found.figures["live_predictions"]) == ([], 900)


def test_live_traffic_from_before_the_mirror_is_not_waited_for(pair: Pair) -> None:
    found = pair.compare(LIVE, MIRRORED[600:])
    assert (codes(found), found.figures["live_predictions"]) == ([], 390)


def test_lines_still_to_come_are_not_missing(pair: Pair) -> None:
    assert codes(pair.compare(LIVE, MIRRORED[:-10])) == []
    assert codes(pair.compare(LIVE[:-10], MIRRORED)) == []


def test_a_record_without_live_predictions_allows_no_verdict(pair: Pair) -> None:
    found = pair.compare(LIVE[::2], MIRRORED)
    assert codes(found) == ["shadow_without_partner"]
    assert found.figures["without_partner_share"] == pytest.approx(0.5, abs=0.01)


def test_a_repeated_request_id_is_told_apart_by_entities_and_moment(pair: Pair) -> None:
    """A third is reviewed by both; all requests have one id."""

    def lines(release: str, order: int) -> list[str]:
        made = [
            line(
                n,
                release,
                "REVIEW" if n % 3 == 0 else "APPROVE",
                request_id="always-this",
                entities={"customer": f"c{n % 7}", "merchant": n % 5},
            )
            for n in range(500)
        ]
        return made[::order]

    found = pair.compare(lines(OLD, 1), lines(NEW, -1))
    assert codes(found) == []
    assert (found.figures["requests"], found.figures["decision_disagreement"]) == (500, 0.0)


def same_key(release: str, *decisions: str) -> list[str]:
    return [line(500, release, decision, request_id="again") for decision in decisions]


@pytest.mark.parametrize(
    ("live", "candidate"),
    [
        (("APPROVE", "REVIEW"), ("APPROVE", "REVIEW")),
        (("APPROVE", "REVIEW"), ("APPROVE",)),
        (("APPROVE",), ("REVIEW", "APPROVE", "REVIEW")),
    ],
    ids=str,
)
def test_keys_of_different_decisions_are_excluded_and_counted(
    pair: Pair, live: tuple[str, ...], candidate: tuple[str, ...]
) -> None:
    found = pair.compare([*LIVE, *same_key(OLD, *live)], [*MIRRORED, *same_key(NEW, *candidate)])
    assert (found.figures["ambiguous"], found.figures["requests"]) == (len(live), 1_000)
    assert found.figures["decision_disagreement"] == 0.0
    assert codes(found) == []
    few = pair.compare(
        [*LIVE[:100], *same_key(OLD, *live), line(600, OLD)],
        [*MIRRORED[:100], *same_key(NEW, *candidate), line(600, NEW)],
    )
    wanted = len(live) / (len(live) + 100) > 0.01
    assert ("shadow_ambiguous" in codes(few)) is wanted


def test_a_repeat_of_one_decision_is_a_prediction_of_its_own(pair: Pair) -> None:
    twice = same_key(OLD, "APPROVE", "APPROVE")
    found = pair.compare([*LIVE, *twice], [*MIRRORED, *same_key(NEW, "APPROVE")])
    assert (found.figures["requests"], found.figures["unanswered"]) == (1_001, 1)
    assert found.figures["ambiguous"] == 0


@pytest.mark.parametrize(
    ("recorded", "wanted"),
    [(0.25, []), (0.24, []), (0.15, ["shadow_unanswered"]), (0.025, ["shadow_unanswered"])],
)
def test_a_part_that_is_mirrored_is_all_that_is_waited_for(
    pair: Pair, recorded: float, wanted: list[str]
) -> None:
    live = [line(n, OLD) for n in range(10_000)]
    some = [line(n, NEW) for n in range(10_000) if (n * recorded) % 1 < recorded]
    assert codes(pair.compare(live, some, share=0.25)) == wanted


def test_chance_may_not_explain_everything(pair: Pair) -> None:
    found = pair.compare(LIVE, MIRRORED[::20], share=0.05)
    assert codes(found) == ["shadow_mirrored_too_few"]


@pytest.mark.parametrize("lines", [[], [line(3, OLD)], [line(77_000, NEW)]], ids=str)
def test_no_pair_is_a_no(pair: Pair, lines: list[str]) -> None:
    found = pair.compare(LIVE, lines)
    assert codes(found) == ["shadow_no_pairs"]
    assert found.figures["decision_disagreement"] is None


def test_a_record_shorter_than_its_margin_is_a_no(pair: Pair) -> None:
    found = pair.compare(LIVE[:5], MIRRORED[:5], settle=MINUTE)
    assert codes(found) == ["shadow_window_empty"]


def test_live_and_mirrored_traffic_are_told_apart(pair: Pair) -> None:
    """Live predictions of the candidate, in a later step, are no mirrored ones."""
    later = [line(n, NEW, traffic="live") for n in range(2_000, 3_000)]
    found = pair.compare([*LIVE, *later], [*MIRRORED, *later])
    assert (codes(found), found.figures["requests"]) == ([], 1_000)
    assert codes(pair.compare(MIRRORED, MIRRORED)) == ["shadow_no_pairs"]


def test_an_entity_that_only_one_release_reads_does_not_part_them(pair: Pair) -> None:
    more = {"customer": "c1", "merchant": 7, "device": "d1"}
    new = [line(n, NEW, entities=more) for n in range(1_000)]
    assert codes(pair.compare(LIVE, new)) == []


def test_entities_that_differ_are_no_pair(pair: Pair) -> None:
    swapped = [line(n, NEW, entities={"customer": "c2", "merchant": 7}) for n in range(900, 1_000)]
    found = pair.compare(LIVE, [*MIRRORED[:900], *swapped])
    assert found.figures["requests"] == 900
    assert codes(found) == ["shadow_unanswered", "shadow_without_partner"]


def test_records_of_the_former_schema_are_paired(pair: Pair) -> None:
    def old(n: int) -> str:
        parsed = json.loads(line(n, OLD, schema=FORMER_SCHEMA, arm="serve"))
        return json.dumps({k: v for k, v in parsed.items() if k != "traffic"})

    assert codes(pair.compare([old(n) for n in range(1_000)], MIRRORED)) == []


def test_lines_that_are_no_record_are_counted_and_bounded(pair: Pair) -> None:
    torn = [one[:40] if n % 40 == 0 else one for n, one in enumerate(MIRRORED)]
    found = pair.compare(LIVE, torn)
    assert found.figures["damaged_lines"] == 25
    assert codes(found) == ["shadow_unanswered", "shadow_damaged"]


def test_a_file_that_is_no_record_is_wrong_use(pair: Pair) -> None:
    assert code_of(lambda: pair.compare(LIVE, ["a,b", "1,2", "3,4"])) == "record_damaged"
    nowhere = ShadowRecords([pair.directory / "nowhere"], [pair.directory / "nowhere"])
    mirror = Mirror(1.0, MINUTE, ALWAYS, 0.01)
    assert code_of(lambda: shadow.compare(nowhere, NEW, mirror)) == "record_unreadable"


def test_a_record_has_a_bound(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadow, "MAX_PREDICTIONS", 5)
    assert code_of(lambda: pair.compare(LIVE[:6], MIRRORED[:1])) == "too_many_records"


@pytest.mark.parametrize(("kept", "code"), [(1, 0), (10, 1)])
def test_the_command_exits_with_1_where_nothing_can_be_concluded(
    tmp_path: Path, kept: int, code: int
) -> None:
    """The records of two live pods, against one of the candidate; the plan mirrors everything."""
    live = [line(n, OLD) for n in range(600)]
    release = read_release(RELEASE).id
    new = [line(n, release, traffic="shadow") for n in range(0, 600, kept)]
    served = [record(tmp_path / f"pod-{k}", live[k::2]) for k in range(2)]
    asked = ("check", "shadow", "--json", "--release", RELEASE, "--evidence", tmp_path)
    files = (
        "--served",
        served[0],
        "--served",
        served[1],
        "--shadowed",
        record(tmp_path / "c", new),
    )
    done = call(*asked, *files)
    assert (done.code, done.json["passed"]) == (code, code == 0)
    assert done.json["figures"]["verdict"] == ("PASS" if code == 0 else "INCONCLUSIVE")
    assert done.json["figures"]["unanswered"] == (0 if code == 0 else 486)

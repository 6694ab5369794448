"""Pairs of records with a known truth: the reported figures are that truth.

A plain count by key, over the requests that were generated, stands against the matching.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from feature_runtime.core.moments import SECOND, format_moment
from feature_runtime.core.record import SCHEMA
from proviso.checks.shadow import Mirror, ShadowRecords, compare

AT = 1_780_000_000_000_000
OLD, NEW = "r-old", "r-new"
WORDS = ("APPROVE", "REVIEW")


@dataclass(frozen=True)
class Call:
    """One prediction that a client asked for."""

    request_id: str
    index: int
    at: int
    customer: int
    decision: str

    @property
    def key(self) -> tuple[str, int, int, int]:
        return (self.request_id, self.index, self.at, self.customer)

    def line(self, release: str) -> str:
        stated: dict[str, Any] = {
            "schema": SCHEMA,
            "request_id": self.request_id,
            "traffic": "shadow" if release == NEW else "live",
            "index": self.index,
            "release": release,
            "scored_at": format_moment(AT + self.at * SECOND),
            "event_ts": format_moment(AT + self.at * SECOND),
            "entities": {"customer": self.customer},
            "decision": self.decision,
        }
        return json.dumps(stated)


calls = st.builds(
    Call,
    st.sampled_from(["a", "b", "c", "d"]),
    st.integers(0, 1),
    st.integers(1, 12),
    st.integers(1, 4),
    st.sampled_from(WORDS),
)
faults = st.sampled_from(
    ["kept"] * 6 + ["dropped", "repeated", "swapped", "changed", "repeated_changed"]
)


def other(call: Call) -> Call:
    return replace(call, decision=WORDS[call.decision == WORDS[0]])


def mirrored(call: Call, fault: str) -> list[Call]:
    """What the candidate records of a call that has this fault."""
    return {
        "kept": [call],
        "dropped": [],
        "repeated": [call, call],
        "swapped": [replace(call, customer=call.customer + 100)],
        "changed": [other(call)],
        "repeated_changed": [call, other(call)],
    }[fault]


def truth(live: list[Call], candidate: list[Call]) -> dict[str, Any]:
    """The figures by definition, counting by key."""
    sides = [Counter(call.key for call in side) for side in (live, candidate)]
    words: dict[Any, list[set[str]]] = {}
    for position, side in enumerate((live, candidate)):
        for call in side:
            words.setdefault(call.key, [set(), set()])[position].add(call.decision)
    clear = {key for key, (mine, others) in words.items() if len(mine) < 2 and len(others) < 2}
    counted = {key: min(sides[0][key], sides[1][key]) for key in clear}
    differ = sum(n for key, n in counted.items() if n and words[key][0] != words[key][1])
    pairs = sum(counted.values())
    start = min(key[2] for key in sides[0] if key in sides[1])
    inside = {key for key in sides[0] if key[2] >= start}
    return {
        "requests": pairs,
        "decision_disagreement": differ / pairs if pairs else None,
        "live_predictions": sum(sides[0][key] for key in inside & clear),
        "unanswered": sum(sides[0][key] - counted[key] for key in inside & clear),
        "ambiguous": sum(sides[0][key] for key in inside - clear),
        "without_partner": sum(
            max(0, n - sides[0][key])
            for key, n in sides[1].items()
            if start <= key[2] <= max(k[2] for k in sides[0])
        ),
    }


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(calls, faults), min_size=1, max_size=25), st.integers(0, 2**32))
def test_the_figures_are_the_truth(asked: list[tuple[Call, str]], seed: int) -> None:
    live = [call for call, _ in asked]
    candidate = [made for call, fault in asked for made in mirrored(call, fault)]
    if not {call.key for call in live} & {call.key for call in candidate}:
        return
    random.Random(seed).shuffle(candidate)
    with tempfile.TemporaryDirectory() as directory:
        paths = []
        for name, side, release in (("live", live, OLD), ("new", candidate, NEW)):
            path = Path(directory) / name
            path.write_text("".join(f"{call.line(release)}\n" for call in side))
            paths.append(path)
        mirror = Mirror(share=1.0, settle=0, until=2**62, most=0.01)
        found = compare(ShadowRecords(paths[:1], paths[1:]), NEW, mirror)
    wanted = truth(live, candidate)
    assert {name: found.figures[name] for name in wanted} == wanted
    unknown = wanted["unanswered"] + wanted["ambiguous"] + wanted["without_partner"]
    assert found.passed is (unknown == 0)

"""A release with all its evidence, to be broken: what the tests of the gate start from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from feature_runtime.core.identity import digest
from feature_runtime.core.moments import format_moment, now, parse_moment
from proviso.checks.evidence import Evidence, digests_of, write_evidence
from proviso.checks.registry import Stage
from proviso.checks.skew.evidence import TEST_FILE
from proviso.checks.skew.rows import SkewRow, write_rows
from proviso.gates.gate import judge
from proviso.gates.verdict import Verdict
from proviso.replay.evidence import REPLAY_FILE, SKEW_FILE
from proviso.replay.sampling import FLOORS
from tests.program import Done, call

ROOT = Path(__file__).parents[1]
ROW = SkewRow(
    case_id="replay-1:customer_velocity_1h:txn_count_1h",
    entity_type="customer",
    entity_key="C1",
    feature_view="customer_velocity_1h",
    feature="txn_count_1h",
    as_of="2026-05-25T12:00:00Z",
    offline_value="3",
    online_value="3",
    offline_event_ts="2026-05-25T11:00:00Z",
    online_event_ts="2026-05-25T11:00:00Z",
    tolerance_abs="0.0",
    tolerance_rel="0.0",
    verdict="PASS",
    kind="",
    owner="data-engineering@turanmart.example",
    review_note="",
)
REVIEW = replace(ROW, verdict="REVIEW", kind="VALUE", online_value="4", review_note="3 is not 4")
VIEWS = (
    "customer_velocity_1h",
    "customer_profile_6h",
    "merchant_risk_daily",
    "customer_activity_live",
)
NOW = parse_moment("2026-11-24T12:00:00Z")
FIGURES: dict[str, dict[str, Any]] = {
    "coverage": {"feature_missing_rate": 0.0},
    "freshness": {"freshness_breach_rate": 0.0},
    "skew": {"skew_failure_rate": 0.0, "strata": {view: {"fresh": 100} for view in VIEWS}},
    "drift": {
        "verdict": "PASS",
        "feature_drift_psi": 0.01,
        "feature_drift_psi_least": 0.0,
        "feature_null_rate": 0.1,
        "default_used_rate": 0.1,
    },
    "shadow": {
        "requests": 10_000,
        "seconds": 86_400.0,
        "decision_disagreement": 0.01,
        "unanswered_share": 0.001,
        "ambiguous_share": 0.0,
        "without_partner_share": 0.0,
        "damaged_share": 0.0,
        "chance_share": 0.0,
        "mirror_percent": 100.0,
    },
    "load": {
        "latency_p95_ms": 12.0,
        "latency_p99_ms": 30.0,
        "http_error_rate": 0.0,
        "requests_per_second": 700.0,
        "seconds": 30.0,
        "refused_share": 0.0,
        "other_releases": 0,
        "answered_at_1": 900,
        "answered_at_8": 7_000,
        "answered_at_32": 21_000,
    },
}
Edit = Callable[[dict[str, Any]], object]


@cache
def release_id() -> str:
    path = ROOT / "model_repository" / "2.5.0" / "release.yml"
    return str(yaml.safe_load(path.read_text())["id"])


class Case:
    """Copies of contract and release, and evidence that is complete, to be broken."""

    def __init__(self, directory: Path) -> None:
        self.contracts, self.release = directory / "contracts", directory / "release"
        self.evidence = directory / "evidence"
        shutil.copytree(ROOT / "contracts", self.contracts)
        shutil.copytree(ROOT / "model_repository" / "2.5.0", self.release)
        self.evidence.mkdir()
        self.id = release_id()
        self.replayed(ROW)
        self.tested(ROW)
        for kind in FIGURES:
            self.measure(kind)

    def measure(
        self, kind: str, *reasons: str, made_at: int = NOW, release: str = "", **changes: Any
    ) -> None:
        """Writes a kind's evidence as a good check of this release would, but for the changes."""
        figures = {k: v for k, v in (FIGURES[kind] | changes).items() if v is not None}
        files = digests_of(self.evidence, [TEST_FILE] if kind == "skew" else [])
        of = release or self.id
        found = Evidence(kind, of, made_at, made_at, reasons, figures=figures, files=files)
        write_evidence(self.evidence, found)

    def replayed(self, *rows: SkewRow) -> None:
        """The rows of a replay, and the evidence that speaks of them."""
        write_rows(self.evidence / SKEW_FILE, rows)
        self.replay()

    def tested(self, *rows: SkewRow, **changes: Any) -> None:
        """The rows of a skew test, and the evidence that speaks of them."""
        write_rows(self.evidence / TEST_FILE, rows)
        self.measure("skew", **changes)

    def replay(self, **changes: Any) -> None:
        """Writes replay.json as a good replay of this release would, but for the changes."""
        summary = {
            "release": self.id,
            "made_at": format_moment(NOW),
            "releases_answering": [self.id],
            "requests": 1000,
            "strata": {**FLOORS, "made": 0, "all": 1000},
            "floors": dict(FLOORS),
            "mismatch_count": 0,
            "max_probability_difference": 0.0,
            "skew": {"PASS": 1},
            "skew_digest": digest((self.evidence / SKEW_FILE).read_bytes()),
        }
        kept = {k: v for k, v in (summary | changes).items() if v is not None}
        (self.evidence / REPLAY_FILE).write_text(json.dumps(kept))

    def up_to_date(self) -> None:
        """All evidence as of the wall clock, for the command itself."""
        self.replay(made_at=format_moment(now()))
        for kind in FIGURES:
            self.measure(kind, made_at=now())

    def card(self, change: Edit) -> None:
        path = self.release / "release.yml"
        parsed = yaml.safe_load(path.read_text())
        change(parsed)
        path.write_text(yaml.safe_dump(parsed, sort_keys=False))

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.contracts / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def judged(self, stage: Stage = "shadow") -> Verdict:
        return judge(self.contracts, self.release, stage, self.evidence, NOW)

    def call(self, stage: str, *options: str) -> Done:
        asked = ("gate", "--release", self.release, "--stage", stage, "--evidence", self.evidence)
        return call("--contracts", self.contracts, *asked, *options)


def refusals(verdict: Verdict) -> dict[str, str]:
    """Details of what is refused, by check."""
    assert not verdict.passed
    return {finding.check: finding.detail for finding in verdict.refusals}


def codes(verdict: Verdict) -> dict[str, str]:
    """Codes of what is refused, by check."""
    assert not verdict.passed
    return {finding.check: finding.code for finding in verdict.refusals}

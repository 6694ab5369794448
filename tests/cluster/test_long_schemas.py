"""A candidate with one feature more beside a stable release that lacks it: both right throughout.

The view that both read has two schemas in the store. The candidate's history is computed of the
cluster's own transactions, and written through a forwarded port as the jobs write theirs.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from proviso.contracts.contract import Contract
from proviso.contracts.loading import CONTRACT_FILE, PLAN_FILE
from proviso.contracts.plan import Plan
from proviso.contracts.section import runtime_service
from proviso.release.directory import Release
from proviso.release.writing import Draft, write_release
from proviso.training.fitting import fit_model, fit_reference
from proviso.training.spec import Boosting, TrainingSpec
from tests.cluster import truth
from tests.cluster.load import Load, Sent, failed, releases
from tests.cluster.long_faults import measured, tag_of
from tests.cluster.long_release import Variant, standing, variant
from tests.cluster.place import CONTEXT, NAMESPACE, PROGRAM, Place, attempt, eventually, run

pytestmark = [pytest.mark.cluster, pytest.mark.long]
VIEW, FEATURE = "customer_velocity_1h", "mean_amount_1h"
NEW = f"{VIEW}:{FEATURE}"
_FEATURE = f"""      - name: {FEATURE}
        dtype: float64
        description: Mean amount of the customer in the hour before the run, major units.
        sql: amount_1h_minor / nullif(txn_count_1h * 100, 0)
        default: {{policy: nan, approved_by: fraud-operations@turanmart.example, \
reason: Who has not paid has no mean; the model knows a missing value.}}
        tolerance: {{absolute: 0.005, relative: 0}}
"""
_NEXT_VIEW = "\n  - name: customer_profile_6h\n"
_LAST_USED = "genuine_count_7d, genuine_count_28d, fraud_share_7d, fraud_share_28d]\n"
_REST = "    derived_features:\n"
EDITS = {
    CONTRACT_FILE: (
        (_NEXT_VIEW, f"{_FEATURE}{_NEXT_VIEW}"),
        (_LAST_USED + _REST, f"{_LAST_USED}      - {NEW}\n{_REST}"),
        ("model: fraud_risk_xgboost:2.4.0", "model: fraud_risk_xgboost:2.6.0"),
    ),
    PLAN_FILE: (
        ("model: fraud_risk_xgboost:2.5.0", "model: fraud_risk_xgboost:2.6.0"),
        ("service: fraud_risk_service_v3", "service: fraud_risk_service_v2"),
    ),
}
READABLE_SECONDS = 35.0
"""What is written late can be read when every request under way has ended: plan, write_deadline."""


def learned(contract: Contract, plan: Plan, directory: Path) -> Release:
    """A model of made-up vectors whose score turns on the new feature."""
    names = runtime_service(contract, plan).vector
    vectors = np.random.default_rng(3).lognormal(4, 1, (600, len(names))).astype(np.float32)
    decisive = vectors[:, names.index(f"{VIEW}__{FEATURE}")]
    labels = (decisive > np.median(decisive)).astype(np.int8)
    spec = TrainingSpec(boosting=Boosting(trees=20, max_depth=3))
    model = fit_model(spec, names, vectors, labels, vectors)
    baseline = fit_reference(spec, vectors, labels, vectors)
    card = {"vector": list(names)}
    return write_release(Draft(contract, plan, model.onnx, baseline.onnx, card), directory)


@pytest.fixture
def richer(place: Place, tmp_path: Path) -> Variant:
    """Release 2.6.0: what 2.4.0 reads, and one more."""
    return variant(tmp_path, EDITS, learned, place.stable.directory)


@dataclass(frozen=True)
class Store:
    """The cluster's store, reached from here as its writer."""

    url: str
    password_file: Path

    def call(self, contracts: Path, command: str, *options: str | Path) -> bool:
        """Whether the program says yes; it says why not."""
        store = ("--store", self.url, "--store-password-file", self.password_file)
        program = (PROGRAM, "--contracts", contracts, *command.split(), *store, *options)
        done = attempt(*program, seconds=240)
        print(done.stdout[-1000:], done.stderr[-1000:])
        return done.returncode == 0


@contextmanager
def forwarded(place: Place, work: Path) -> Iterator[Store]:
    password = work / "password"
    password.touch(0o600)
    password.write_text(place.secret("store-writer"))
    command = (
        "kubectl",
        "--context",
        CONTEXT,
        "-n",
        NAMESPACE,
        "port-forward",
        "svc/store",
        ":6379",
    )
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"127\.0\.0\.1:(\d+)", process.stdout.readline())
            assert found is not None
            yield Store(f"redis://writer@127.0.0.1:{found[1]}", password)
        finally:
            process.terminate()


def test_both_schemas_are_right_in_a_canary(
    at_rest: Place, richer: Variant, tmp_path: Path
) -> None:
    with forwarded(at_rest, tmp_path) as store:
        ours = backfilled(at_rest, richer, store, tmp_path)
        try:
            with standing(at_rest, richer):
                sent = canary(at_rest, richer)
            theirs = at_rest.copy("data") / "history"
        finally:
            collected(at_rest, store)
    assert not failed(sent), failed(sent)[:3]
    by_release = releases(sent)
    assert set(by_release) == {at_rest.stable.id, richer.release.id}
    measured(f"canary of a release with one feature more: {dict(by_release)}, 0 failed")
    stable = [one for one in sent if one.answer.release == at_rest.stable.id]
    other = [one for one in sent if one.answer.release == richer.release.id]
    assert not wrong(at_rest.contract, at_rest.stable, theirs, stable, tmp_path / "stable")
    assert not wrong(richer.contract, richer.release, ours, other, tmp_path / "candidate")
    assert all(NEW not in one.answer.feature_status for one in stable)
    known = [one for one in other if one.answer.feature_status[NEW] in ("OK", "NULL")]
    assert len(known) > len(other) // 2


def wrong(
    contract: Contract, release: Release, history: Path, sent: list[Sent], work: Path
) -> list[str]:
    return truth.wrong(sent, truth.offline(contract, release, history, sent, work))


def backfilled(place: Place, of: Variant, store: Store, work: Path) -> Path:
    """The candidate's history, in the store before anybody asks for it (docs/schemas.md)."""
    history, began = work / "history", time.monotonic()
    transactions = place.data / "transactions.parquet"
    run(
        *(PROGRAM, "--contracts", of.contracts, "features", "--memory", "500MB"),
        *("--transactions", transactions, "--out", history),
        seconds=240,
    )
    where = ("--release", of.release.directory, "--history", history)
    assert store.call(of.contracts, "materialize", *where, "--as-of", "now")
    written = time.monotonic()
    measured(f"its schema computed and in the store in {written - began:.0f} s")
    evidence = ("--evidence", work / "evidence")
    eventually(
        "every key covered",
        lambda: store.call(of.contracts, "check coverage", *where, *evidence),
    )
    eventually("it can be read", lambda: time.monotonic() > written + READABLE_SECONDS)
    return history


def canary(place: Place, of: Variant) -> list[Sent]:
    """Requests from before the first step until after the rollback."""
    with Load(place.gateway, place.asked, tag_of("schemas"), rate=40) as load:
        time.sleep(3)
        for step in ("canary-25", "canary-50"):
            place.apply(of.rollout(step))
            time.sleep(12)
        place.back()
        time.sleep(3)
    return load.sent


def collected(place: Place, store: Store) -> None:
    """What only the candidate read leaves the store."""
    kept = [
        option for r in (place.stable, place.candidate) for option in ("--release", r.directory)
    ]
    assert store.call(Path("contracts"), "schemas collect", *kept)

"""Every answer is the offline row of the cluster's own history at the moment that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cluster import truth
from tests.cluster.jobs import append_now
from tests.cluster.load import Sent, batch, failed
from tests.cluster.place import DEPLOY_SECONDS, Place, attempt, run
from tests.cluster.place import PROGRAM as PROVISO

pytestmark = pytest.mark.cluster
COUNT = 500


def test_answers_are_their_offline_rows(at_rest: Place, tmp_path: Path) -> None:
    append_now(at_rest)
    sent = batch(at_rest.gateway, at_rest.asked, COUNT, tmp_path.name)
    history = at_rest.copy("data") / "history"
    assert not failed(sent), failed(sent)[:3]
    cases = truth.offline(at_rest.contract, at_rest.stable, history, sent, tmp_path)
    assert not truth.wrong(sent, cases)
    assert served_features(sent) > COUNT // 2


def served_features(sent: list[Sent]) -> int:
    """Answers in which at least one stored feature was found: else equality would prove little."""
    return sum("OK" in one.answer.feature_status.values() for one in sent)


def test_each_answer_left_its_record(at_rest: Place, tag: str) -> None:
    sent = batch(at_rest.gateway, at_rest.asked, 100, tag)
    kept = {r["request_id"]: r for r in at_rest.records(tag) if r["traffic"] == "live"}
    for one in sent:
        record = kept[one.request.request_id]
        assert record["release"] == one.answer.release
        assert record["probability"] == pytest.approx(one.answer.probability, abs=1e-12)


def test_a_second_deployment_changes_nothing(place: Place) -> None:
    before = place.generations()
    said = run(PROVISO, "deploy", "--yes", "--json", seconds=DEPLOY_SECONDS)
    assert place.generations() == before
    assert '"changed": 0' in said


def test_a_dry_run_against_the_server_changes_nothing(place: Place) -> None:
    before = place.generations()
    done = attempt(PROVISO, "deploy", "--yes", "--dry-run", "server", seconds=DEPLOY_SECONDS)
    assert done.returncode == 0, done.stderr
    assert place.generations() == before

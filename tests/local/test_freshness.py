"""`proviso check freshness` on a real store: the age of event time as served decides."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from feature_runtime.core import timeline
from feature_runtime.core.moments import DAY, HOUR, MINUTE, SECOND, format_moment, parse_moment
from proviso.checks.evidence import parse_evidence
from proviso.contracts.contract import FeatureView
from proviso.contracts.loading import CONTRACT_FILE, load_contract, load_plan
from proviso.history.duckdb.features import compute_history
from proviso.release.directory import Release
from tests.parcel_data import Held, Project, all_rows, make, tiny_release
from tests.program import Done, call

LAST = 1_780_272_000 * SECOND
"""2026-06-01T00:00:00Z, where the simulated days end."""

RUN = LAST - 6 * HOUR
"""The last run of courier_load_6h; of courier_zone_daily it is a day before LAST."""

T = RUN + HOUR
"""A moment at which the last run of both views is readable and young."""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make(tmp_path_factory.mktemp("parcels"), LAST, couriers=25)


@pytest.fixture(scope="module")
def release(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return tiny_release(project, tmp_path_factory.mktemp("release"))


def bring_up(project: Project, held: Held, as_of: int) -> None:
    project.writer(held.store, as_of).bring_up(project.contract.feature_views)


def asked(project: Project, held: Held, as_of: int, *options: str | Path) -> Done:
    """The command's answer; the history says who is live unless `options` ask otherwise."""
    store = ("--store", held.url, "--store-password-file", held.password_file)
    program = ("--contracts", project.contracts, "check", "freshness", *store)
    return call(*program, "--as-of", format_moment(as_of), "--json", *options)


def by_history(project: Project) -> tuple[str, Path]:
    return ("--history", project.history)


def the_view(project: Project) -> FeatureView:
    """Four runs a day, an objective of seven hours."""
    return project.contract.view_by_name["courier_load_6h"]


def test_a_store_that_was_just_brought_up_is_fresh_whoever_says_who_is_live(
    project: Project, held: Held
) -> None:
    bring_up(project, held, T)
    for options in (by_history(project), ()):
        done = asked(project, held, T, *options)
        assert done.code == 0, done.err
        assert done.json["figures"]["freshness_breach_rate"] == 0
        load = done.json["figures"]["views"]["courier_load_6h"]
        assert load["age_median_s"] == load["age_max_s"] == (T - RUN) / SECOND
        assert (load["stale"], load["missing"]) == (0, 0)
        newest = {
            i
            for i, rows in all_rows(project, the_view(project)).items()
            if rows[-1].event_ts == RUN
        }
        assert load["entities"] == len(newest) > 10


def test_a_job_that_brings_no_newer_run_makes_nothing_fresh(project: Project, held: Held) -> None:
    bring_up(project, held, T)
    view, later = the_view(project), RUN + 8 * HOUR
    before = asked(project, held, later, *by_history(project))
    bring_up(project, held, later)
    mark = held.store.watermark(view.name, project.contract.schema_of(view))
    assert mark is not None
    assert mark.merge_clock == later
    after = asked(project, held, later, *by_history(project))
    assert (before.code, after.code) == (1, 1)
    found = [done.json["figures"]["views"][view.name] for done in (before, after)]
    assert found[0]["age_max_s"] == found[1]["age_max_s"] == 8 * 3600
    assert [one["freshness_breach_rate"] for one in found] == [1, 1]
    assert not found[1]["fresh"]
    assert "without a row of the last PT7H" in " ".join(after.json["reasons"])


def test_the_same_rows_under_a_new_stamp_are_not_fresh(project: Project, held: Held) -> None:
    bring_up(project, held, T)
    view, later = the_view(project), RUN + 8 * HOUR
    schema = project.contract.schema_of(view)
    rewritten = [
        (held.key(project, view, ids), timeline.pack(schema, [rows[-1]._replace(created_ts=later)]))
        for ids, rows in all_rows(project, view).items()
    ]
    merged = held.store.merge(rewritten, view.times, project.plan.clock_margin, later)
    assert merged.stored == len(rewritten)
    done = asked(project, held, later, *by_history(project))
    assert done.code == 1
    assert done.json["figures"]["views"][view.name]["age_median_s"] == 8 * 3600


def test_one_view_may_be_late_while_another_is_not(project: Project, held: Held) -> None:
    bring_up(project, held, LAST - DAY + HOUR)
    done = asked(project, held, LAST - DAY + 8 * HOUR, *by_history(project))
    views = done.json["figures"]["views"]
    assert {name: view["fresh"] for name, view in views.items()} == {
        "courier_load_6h": False,
        "courier_zone_daily": True,
    }
    assert all("courier_load_6h" in reason for reason in done.json["reasons"])


def test_an_entity_without_its_run_counts_up_to_the_quality_gate(
    project: Project, held: Held
) -> None:
    view = the_view(project)
    bring_up(project, held, T)
    rows = all_rows(project, view)
    live = [ids for ids, its in rows.items() if its[-1].event_ts == RUN]
    stale, gone = (held.key(project, view, ids) for ids in live[:2])
    old = timeline.pack(
        project.contract.schema_of(view), [r for r in rows[live[0]] if r.event_ts == RUN - DAY]
    )
    held.store.replace(stale, old)
    held.client.delete(gone)
    done = asked(project, held, T, *by_history(project))
    found = done.json["figures"]["views"][view.name]
    assert (found["entities"], found["stale"], found["missing"]) == (len(live), 1, 1)
    assert found["freshness_breach_rate"] == 2 / len(live)
    assert found["age_max_s"] == (T - RUN + DAY) / SECOND
    assert done.code == 1
    assert f"{2 / len(live):.2%} of {len(live)} entities" in done.json["reasons"][0]


def test_bytes_that_are_no_timeline_serve_nobody(project: Project, held: Held) -> None:
    view = the_view(project)
    bring_up(project, held, T)
    ids = next(i for i, rows in all_rows(project, view).items() if rows[-1].event_ts == RUN)
    held.store.replace(held.key(project, view, ids), b"pv1 and nothing else")
    for options in (by_history(project), ()):
        found = asked(project, held, T, *options).json["figures"]["views"][view.name]
        assert found["unreadable"] == 1
        assert found["freshness_breach_rate"] == 1 / found["entities"]


def test_an_empty_store_is_a_clear_no(project: Project, held: Held) -> None:
    done = asked(project, held, T)
    assert done.code == 1
    assert done.json["reasons"][0] == (
        "courier_load_6h: found no watermark, wanted a materialized view"
    )
    assert "Traceback" not in done.err


def test_a_key_whose_first_row_is_not_readable_yet_is_nobody_to_ask_about(
    project: Project, held: Held
) -> None:
    view, run = the_view(project), LAST - DAY
    start = run + view.source_delay
    project.writer(held.store, start).publish_run(view, run)
    found = asked(project, held, start).json["figures"]["views"][view.name]
    assert found["entities"] == 0
    found = asked(project, held, run + view.delay_to_readable).json["figures"]["views"][view.name]
    assert found["entities"] > 0


def test_what_was_served_before_the_last_merge_is_not_guessed(project: Project, held: Held) -> None:
    bring_up(project, held, T)
    margin = project.plan.clock_margin
    assert asked(project, held, T - margin, *by_history(project)).code == 0
    done = asked(project, held, T - margin - 1, *by_history(project))
    assert done.code == 1
    assert "earlier rows are no longer in the keys" in done.json["reasons"][0]


def test_the_sample_is_bounded_and_the_seeds_own(project: Project, held: Held) -> None:
    bring_up(project, held, T)
    first, again, other = (
        asked(project, held, T, "--sample", "40", "--seed", seed).json for seed in ("1", "1", "2")
    )
    assert first["figures"] == again["figures"]
    assert first["figures"]["views"]["courier_zone_daily"]["entities"] == 40
    assert other["figures"]["views"]["courier_zone_daily"]["entities"] == 40


def test_evidence_is_of_the_release_and_of_the_moment(
    project: Project, held: Held, release: Release, tmp_path: Path
) -> None:
    bring_up(project, held, T)
    asked_for = ("--release", release.directory, "--evidence", tmp_path)
    done = asked(project, held, T, *by_history(project), *asked_for)
    assert done.code == 0, done.err
    path = tmp_path / "freshness.json"
    evidence = parse_evidence(path, path.read_bytes())
    assert (evidence.kind, evidence.release, evidence.as_of) == ("freshness", release.id, T)
    assert evidence.passed
    assert json.loads(path.read_text()) == done.json
    late = asked(project, held, RUN + 8 * HOUR, *by_history(project), *asked_for)
    assert late.code == 1
    assert not parse_evidence(path, path.read_bytes()).passed


def test_evidence_is_of_a_release_whose_views_the_contract_knows(
    project: Project, held: Held, release: Release, tmp_path: Path
) -> None:
    assert asked(project, held, T, "--evidence", tmp_path).code == 2
    changed = tmp_path / "contracts"
    shutil.copytree(project.contracts, changed)
    path = changed / CONTRACT_FILE
    path.write_text(path.read_text().replace("population: P90D", "population: P80D"))
    store = ("--store", held.url, "--store-password-file", held.password_file)
    done = call(
        "--contracts", changed, "check", "freshness", *store, "--release", release.directory
    )
    assert done.code == 2
    assert "was trained on rows of that meaning" in done.err


def test_now_is_the_stores_own_clock(project: Project, held: Held) -> None:
    store = ("--store", held.url, "--store-password-file", held.password_file)
    before = held.store.clock()
    done = call("--contracts", project.contracts, "check", "freshness", *store, "--json")
    assert before <= parse_moment(done.json["as_of"]) <= held.store.clock()


def test_an_on_event_view_is_as_fresh_as_its_watermark(
    project: Project, held: Held, tmp_path: Path
) -> None:
    live = on_event(project, tmp_path)
    view = the_view(live)
    bring_up(live, held, T)
    for lag, code in ((0, 0), (5 * MINUTE, 0), (5 * MINUTE + 1, 1)):
        done = asked(live, held, T + lag, *by_history(live))
        found = done.json["figures"]["views"][view.name]
        assert found["watermark_lag_s"] == lag / SECOND
        assert found["age_max_s"] > 5 * 60
        assert found["fresh"] == (code == 0)
        assert found["freshness_breach_rate"] == code
        assert (view.name in " ".join(done.json["reasons"])) == (code == 1)


def test_writing_an_old_history_again_makes_an_on_event_view_no_fresher(
    project: Project, held: Held, tmp_path: Path
) -> None:
    """The writer knows no arrival after the history's end, whatever its own clock says."""
    live = on_event(project, tmp_path)
    view = the_view(live)
    bring_up(live, held, T + DAY)
    done = asked(live, held, T + DAY, *by_history(live))
    assert done.code == 1
    found = done.json["figures"]["views"][view.name]
    assert found["watermark_lag_s"] > 12 * HOUR / SECOND
    assert f"{view.name}: found a watermark" in " ".join(done.json["reasons"])


def on_event(project: Project, directory: Path) -> Project:
    """The same project with courier_load_6h published on event, objective five minutes."""
    contracts = directory / "contracts"
    shutil.copytree(project.contracts, contracts)
    path = contracts / CONTRACT_FILE
    text = path.read_text()
    for old, new in (
        ("publication: {schedule: PT6H, duration: PT5M}", "publication: {on: event, delay: PT15M}"),
        ("freshness_slo: PT7H", "freshness_slo: PT5M"),
    ):
        assert text.count(old) == 1
        text = text.replace(old, new)
    path.write_text(text)
    contract, plan = load_contract(contracts), load_plan(contracts)
    history = directory / "history"
    compute_history(contract, project.transactions, history)
    return Project(contracts, project.transactions, history, contract, plan)

"""A certificate that is missing, forged, or of other bytes does not pass; the committed ones do."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from proviso.contracts.contract import Contract
from proviso.contracts.loading import load_contract, load_plan
from proviso.gates.certificate import certificate_findings
from proviso.gates.register import Subject
from proviso.gates.verdict import Finding
from proviso.release.directory import read_release

ROOT = Path(__file__).parents[3]
VIEW, FEATURE = "customer_velocity_1h", "customer_velocity_1h:txn_count_1h"
OTHER = "sha256:" + "0" * 64
Forgery = Callable[[dict[str, Any]], object]


@cache
def subject(version: str) -> Subject:
    contracts = ROOT / "contracts"
    release = read_release(ROOT / "model_repository" / version)
    return Subject(contracts, load_contract(contracts), load_plan(contracts), release)


def judged(change: Forgery, version: str = "2.5.0") -> Finding:
    """What the gate finds when somebody has edited release.yml."""
    committed = subject(version)
    parsed = copy.deepcopy(dict(committed.release.parsed))
    change(parsed)
    [finding] = certificate_findings(
        replace(committed, release=replace(committed.release, parsed=parsed))
    )
    assert finding.check == "leakage certificate"
    return finding


def certificate(*path: str, value: Any) -> Forgery:
    """Sets one place of the certificate."""

    def change(parsed: dict[str, Any]) -> None:
        place = parsed["certificate"]
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value

    return change


def moved(days: str) -> Forgery:
    """One missing row becomes a usable one: the sum is the same."""

    def change(parsed: dict[str, Any]) -> None:
        status = parsed["certificate"][days]["views"][VIEW]["status"]
        status["MISSING_KEY"] -= 1
        status["OK"] += 1

    return change


def without_view(parsed: dict[str, Any]) -> None:
    del parsed["certificate"]["train"]["views"][VIEW]


def no_rows(parsed: dict[str, Any]) -> None:
    days = parsed["certificate"]["test"]
    days["rows"] = 0
    for view in days["views"].values():
        view["status"], view["values"] = {}, 0


@pytest.mark.parametrize("version", ["2.4.0", "2.5.0"])
def test_the_committed_releases_are_certified(version: str) -> None:
    finding = judged(lambda _: None, version)
    assert finding.ok, finding.detail
    assert "values of 59182 rows judged again" in finding.detail


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: p.pop("certificate"), "found none, wanted the one that `proviso train` makes"),
        (lambda p: p.update(certificate=None), "found none"),
        (lambda p: p.update(certificate={}), "found none"),
        (lambda p: p.update(certificate="passed"), "found 'passed'"),
        (lambda p: p["certificate"].pop("differences"), "differences: found nothing"),
        (lambda p: p["card"].pop("rows"), "rows: found nothing"),
        (certificate("version", value=2), "version"),
        (certificate("differences", value=1), "differences: found 1, wanted 0"),
        (certificate("differences", value=-1), "differences"),
        (certificate("train", "rows", value=29406), "train.rows: found 29406"),
        (certificate("train", "views", VIEW, "status", "OK", value=29407), "wanted 29407 in all"),
        (certificate("train", "views", VIEW, "status", "NULL", value=0), "wanted 29407 in all"),
        (certificate("train", "views", VIEW, "values", value=1), f"train.views.{VIEW}.values"),
        (moved("train"), f"train.views.{VIEW}.status: found"),
        (moved("test"), f"test.views.{VIEW}.status: found"),
        (
            certificate("train", "views", VIEW, "status", value={"MISSING_KEY": 29407}),
            f"train.views.{VIEW}: found no row with a value",
        ),
        (without_view, "train.views: found ['customer_activity_live', "),
        (no_rows, "test.rows: found 0, wanted some"),
        (certificate("recomputed", VIEW, value=199), f"recomputed.{VIEW}: found 199, wanted 200"),
        (certificate("recomputed", value={}), f"recomputed.{VIEW}: found 0, wanted 200"),
        (certificate("digests", "model", value=OTHER), f"belongs to other bytes: model {OTHER}"),
        (certificate("digests", "contract", value=OTHER), "belongs to other features"),
        (certificate("data", "transactions", value=OTHER), "wanted the card's"),
        (certificate("data", "train_days", value=["2026-01-01"]), "wanted the card's"),
        (
            certificate("code", "rule", value=OTHER),
            "certify again: proviso releases certify --renew",
        ),
    ],
)
def test_a_certificate_that_proves_nothing_is_refused(change: Forgery, said: str) -> None:
    finding = judged(change)
    assert not finding.ok
    assert said in finding.detail


def test_the_certificate_of_another_release_is_refused() -> None:
    other = subject("2.4.0").release.parsed["certificate"]
    finding = judged(lambda p: p.update(certificate=copy.deepcopy(other)))
    assert not finding.ok
    assert "belongs to other bytes" in finding.detail
    assert "belongs to other features" in finding.detail


def test_a_default_changed_after_training_is_refused() -> None:
    """The model has learned from rows with the old default."""

    def change(parsed: dict[str, Any]) -> None:
        parsed["service"]["views"][0]["features"][0]["policy"]["value"] = 7.0

    assert "belongs to other features" in judged(change).detail


def test_counts_that_the_card_does_not_have_are_refused() -> None:
    def change(parsed: dict[str, Any]) -> None:
        status = parsed["card"]["features"]["train"][FEATURE]["status"]
        status["STALE"] = status.pop("MISSING_KEY")

    assert "wanted what the card counts" in judged(change).detail


def of_a_table(change: Forgery) -> Finding:
    """What the gate finds where the contract takes the view's rows from a table."""
    committed = subject("2.5.0")
    stated = committed.contract.model_dump(mode="json")
    for view in stated["feature_views"]:
        view["aggregates"] = [] if view["name"] == VIEW else view["aggregates"]
    contract = Contract.model_validate(stated)
    parsed = copy.deepcopy(dict(committed.release.parsed))
    change(parsed)
    release = replace(committed.release, parsed=parsed)
    [finding] = certificate_findings(replace(committed, contract=contract, release=release))
    return finding


def not_recomputed(compared: int, said: str = "judged by the rule, not recomputed") -> Forgery:
    def change(parsed: dict[str, Any]) -> None:
        del parsed["certificate"]["recomputed"][VIEW]
        parsed["certificate"]["of_tables"] = {"said": said, "compared": {VIEW: compared}}

    return change


def test_rows_of_a_table_are_judged_and_not_recomputed() -> None:
    finding = of_a_table(not_recomputed(211))
    assert finding.ok, finding.detail
    assert "211 answers of tables judged by the rule, not recomputed" in finding.detail


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (not_recomputed(199), f"of_tables.compared.{VIEW}: found 199, wanted 200"),
        (lambda _: None, f"of_tables.compared.{VIEW}: found 0, wanted 200"),
        (not_recomputed(200, said="recomputed"), "of_tables.said"),
    ],
)
def test_too_few_answers_of_a_table_are_refused(change: Forgery, said: str) -> None:
    finding = of_a_table(change)
    assert not finding.ok
    assert said in finding.detail


def test_only_a_view_of_a_table_may_be_left_without_recomputation() -> None:
    finding = judged(not_recomputed(200))
    assert not finding.ok
    assert f"recomputed.{VIEW}: found 0, wanted 200" in finding.detail


def test_rows_that_were_set_aside_are_said() -> None:
    aside = {"payments": {"rows": 12, "of": 4_800}, "weather": {"rows": 0, "of": 9}}
    finding = judged(certificate("quarantine", value=aside))
    assert finding.ok
    assert finding.detail.endswith("; 12 of 4800 rows of payments set aside (0.25%)")

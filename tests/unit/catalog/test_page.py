"""The catalogue page: everything in the contract is on it, escaped, and its ends are told."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from proviso.catalog.durations import lasting
from proviso.catalog.entries import Measured
from proviso.catalog.page import distribution, summary, write_catalog
from proviso.contracts.contract import Contract
from proviso.contracts.loading import CONTRACT_FILE, load_contract, parse_contract, parse_yaml
from proviso.contracts.sources import ObservedRows
from proviso.history.quarantine import Quarantined, Reason
from proviso.history.values import FeatureStatistics, ViewStatistics
from proviso.release.directory import read_release
from tests.parcel_project import project_text
from tests.program import call
from tests.unit.contracts.flights_case import contract_of, flights

ROOT = Path(__file__).parents[3]
AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
TODAY = AT.date()
EVIL = "<script>alert('x')</script> & \"friends\""


class _Page(HTMLParser):
    """Ids, links, elements and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.elements: set[str] = set()
        self.edges: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        named = dict(attrs)
        if named.get("id"):
            self.ids.append(str(named["id"]))
        if tag == "a":
            self.links.append(str(named["href"]))
        if "data-edge" in named:
            self.edges.append(str(named["data-edge"]))


def page_of(contract: Contract, tmp_path: Path, measured: Measured | None = None) -> str:
    path = tmp_path / "catalog.html"
    write_catalog(contract, measured or Measured(), AT, path)
    return path.read_text()


def plain(text: str) -> str:
    """The page's words, without its elements."""
    return html.unescape(re.sub(r"<[^>]*>", " ", text.partition("<body>")[2]))


def parcels(change: Callable[[dict[str, Any]], None]) -> Contract:
    """The contract of `proviso init`, changed."""
    data = parse_yaml(CONTRACT_FILE, project_text(CONTRACT_FILE))
    change(data)
    return parse_contract(CONTRACT_FILE, data)[0]


def load_feature(data: dict[str, Any], number: int) -> dict[str, Any]:
    """A feature of courier_load_6h: deliveries_24h, fees_24h, big_share_7d, late_share_7d."""
    found: dict[str, Any] = data["feature_views"][0]["features"][number]
    return found


@pytest.mark.parametrize("directory", ["contracts", "proviso/contracts/template"])
def test_everything_in_the_contract_is_on_the_page(directory: str, tmp_path: Path) -> None:
    contract = load_contract(ROOT / directory)
    text = plain(page_of(contract, tmp_path))
    described = str(contract.observations_of().rows.description)
    wanted = [contract.name, contract.description, described]
    for entity in contract.entities:
        wanted += [entity.name, entity.join_key, entity.description, entity.owner]
    for view in contract.feature_views:
        wanted += [view.name, view.description, view.owner, view.online_store.key_pattern]
        wanted += [view.lineage.job, contract.schema_of(view), *view.lineage.sources]
        wanted += [
            lasting(d) for d in (view.freshness_slo, view.online_ttl, view.temporal_join_lookback)
        ]
        wanted += [name for a in view.aggregates for name in (a.name, a.where or "")]
        for feature in view.features:
            wanted += [feature.name, feature.dtype, feature.description, feature.expression]
            wanted += [feature.default.reason or "", feature.default.approved_by or ""]
    for service in contract.feature_services:
        wanted += [service.name, service.model, service.description, *service.features]
        wanted += [f.description for f in service.request_features]
        wanted += [f.description for f in service.derived_features]
    for gate in contract.quality_gates:
        wanted += [gate.name, gate.metric, gate.owner, lasting(gate.schedule)]
    assert [words for words in wanted if words not in text] == []


def test_every_source_is_on_the_page_with_its_columns_and_readers(tmp_path: Path) -> None:
    contract = contract_of(flights())
    page = page_of(contract, tmp_path)
    cards = {
        name: plain("<body>" + card.partition("</section>")[0])
        for name, card in re.findall(
            r'id="source-(\w+)">(.*?)(?=<div class="card source"|</main>)', page, re.DOTALL
        )
    }
    assert set(cards) == {source.name for source in contract.sources}
    for view in contract.feature_views:
        assert view.name in cards[contract.source_of(view).name]
    for source in contract.sources:
        card = cards[source.name]
        assert source.kind in card
        if isinstance(source, ObservedRows):
            continue
        assert [name for name in source.columns if name not in card] == []
        assert [c.dtype for c in source.columns.values() if c.dtype not in card] == []
        assert source.event_timestamp in card
    assert "at landed_at, else 1 d after the row" in cards["bookings"]
    assert "1 h after the row" in cards["bookings"]
    assert "when created" in cards["ratings"]


@pytest.mark.parametrize("directory", ["contracts", "proviso/contracts/template"])
def test_links_lead_somewhere_and_edges_are_there_once(directory: str, tmp_path: Path) -> None:
    contract = load_contract(ROOT / directory)
    page = _Page(page_of(contract, tmp_path))
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert {f"{v.name}:{f.name}" for v in contract.feature_views for f in v.features} <= set(
        page.ids
    )
    consumed = [f"{f} -> {s.name}" for s in contract.feature_services for f in s.features]
    served = [f"{s.name} -> {s.model}" for s in contract.feature_services]
    fed = [f"{s} -> {v.name}" for v in contract.feature_views for s in v.lineage.sources]
    assert sorted(page.edges) == sorted([*fed, *consumed, *served])


def test_what_the_contract_says_is_text_and_nothing_else(tmp_path: Path) -> None:
    def evil(data: dict[str, Any]) -> None:
        data["description"] = EVIL
        view, service = data["feature_views"][0], data["feature_services"][0]
        view["description"] = view["lineage"]["job"] = EVIL
        view["lineage"]["sources"] = ["deliveries", EVIL]
        view["features"][0]["description"] = view["features"][1]["default"]["reason"] = EVIL
        view["features"][1]["deprecation"] = {
            "status": "deprecated",
            "retire_on": "2027-01-01",
            "replacement": EVIL,
        }
        service["description"] = service["request_features"][0]["description"] = EVIL

    text = page_of(parcels(evil), tmp_path)
    page = _Page(text)
    assert "script" not in page.elements
    assert "<script" not in text
    assert plain(text).count("alert('x')") >= 8
    assert "content=\"default-src 'none'" in text


def test_a_deprecated_feature_is_a_warning_until_its_day_and_a_fault_from_it_on() -> None:
    def ending(day: str) -> Contract:
        end = {"status": "deprecated", "retire_on": day, "replacement": "courier_zone_daily"}
        return parcels(lambda data: load_feature(data, 0).update(deprecation=end))

    [before] = summary(ending("2026-11-25"), Measured(), TODAY)["notices"]
    assert before == (
        "warn: courier_load_6h:deliveries_24h is deprecated, ends on 2026-11-25, and "
        "late_delivery_service_v1 consumes it; courier_zone_daily takes its place"
    )
    said = summary(ending("2026-11-24"), Measured(), TODAY)
    assert said["retired"] == ["courier_load_6h:deliveries_24h"]
    assert said["notices"][0].startswith("bad: courier_load_6h:deliveries_24h is retired")


def test_a_whole_view_on_its_way_out_is_shown_with_each_of_its_features(tmp_path: Path) -> None:
    end = {"status": "deprecated", "retire_on": "2026-12-31"}
    contract = parcels(lambda data: data["feature_views"][0].update(deprecation=end))
    assert len(summary(contract, Measured(), TODAY)["deprecated"]) == 4
    assert page_of(contract, tmp_path).count('<span class="pill soon">deprecated</span>') == 5


def test_a_retired_feature_that_nobody_uses_needs_nobody(tmp_path: Path) -> None:
    def unused(data: dict[str, Any]) -> None:
        load_feature(data, 2)["deprecation"] = {"status": "retired"}
        data["feature_services"][0]["features"].remove("courier_load_6h:big_share_7d")

    said = summary(parcels(unused), Measured(), TODAY)
    assert said["unused"] == said["retired"] == ["courier_load_6h:big_share_7d"]
    assert said["notices"] == []
    assert "row retired unused" in page_of(parcels(unused), tmp_path)


@pytest.mark.parametrize(
    ("day", "notice"),
    [
        ("2026-11-24", "bad: courier_load_6h:fees_24h: the approval of its default ended"),
        ("2026-12-24", "warn: courier_load_6h:fees_24h: the approval of its default ends"),
        ("2026-12-25", None),
    ],
)
def test_an_approval_is_pointed_out_before_and_after_its_end(
    day: str, notice: str | None, tmp_path: Path
) -> None:
    contract = parcels(lambda data: load_feature(data, 1)["default"].update(expires=day))
    found = summary(contract, Measured(), TODAY)["notices"]
    assert [text.partition(" on ")[0] for text in found] == ([notice] if notice else [])
    assert f"approved by dispatch@parcels.example until {day}" in plain(page_of(contract, tmp_path))


def test_owners_answer_for_what_is_theirs(tmp_path: Path) -> None:
    contract = parcels(lambda data: load_feature(data, 3).update(owner="night-shift"))
    text = plain(page_of(contract, tmp_path))
    assert re.search(r"night-shift\s+feature\s+courier_load_6h:late_share_7d", text)


def statistics(contract: Contract) -> dict[str, ViewStatistics | None]:
    figures = FeatureStatistics(30, 0.0, 0.0, 2.0, 3.0, 977.5, (5, 40, 20, 5))
    return {
        view.name: ViewStatistics(
            12_345, 1_780_272_000_000_000, 100, {f.name: figures for f in view.features}
        )
        for view in contract.feature_views[:1]
    }


def test_figures_of_the_history_are_shown_where_there_are_some(tmp_path: Path) -> None:
    contract = load_contract(ROOT / "proviso/contracts/template")
    text = page_of(contract, tmp_path, Measured(statistics=statistics(contract)))
    words = " ".join(plain(text).split())
    assert "12,345 rows, last run 2026-06-01T00:00:00Z with 100 entities" in words
    assert "70 values, 30 null (30.00%); least 0" in words
    assert "greatest 977.5" in words
    assert "30.0% null" in words
    assert words.count("no rows") == 1
    assert text.count('class="chart shape"') == 4
    assert "Now" not in plain(page_of(contract, tmp_path)).split()


def test_rows_that_were_set_aside_are_shown_with_their_reasons(tmp_path: Path) -> None:
    contract = load_contract(ROOT / "proviso/contracts/template")
    reasons = (Reason("weight", "source_value_null", 9), Reason("at", "source_event_null", 3))
    measured = Measured(quarantined=(Quarantined("deliveries", 12, 4_800, 0, reasons),))
    words = " ".join(plain(page_of(contract, tmp_path, measured)).split())
    assert "12 of 4,800 rows of deliveries (0.25%): 9 weight source_value_null , 3 at" in words
    assert summary(contract, measured, TODAY)["quarantine"][0]["rows"] == 12


def test_a_bin_is_a_bar_and_an_empty_one_is_none() -> None:
    found = distribution(FeatureStatistics(0, 0.0, 0.0, 1.0, 3.0, 3.0, (10, 0, 5, 1)))
    assert [bar.title for bar in found] == ["0 and more: 10", "2 and more: 5", "3 and more: 1"]
    heights = [bar.height for bar in found]
    assert heights[0] == 30
    assert heights[1] == 15
    assert all(bar.y + bar.height == pytest.approx(30) for bar in found)
    assert distribution(FeatureStatistics(7)) == ()


def test_measured_freshness_is_shown_and_lateness_is_pointed_out(tmp_path: Path) -> None:
    contract = load_contract(ROOT / "proviso/contracts/template")
    late = {
        "fresh": False,
        "entities": 60,
        "age_median_s": 30_600.0,
        "age_p95_s": 30_600.0,
        "age_max_s": 30_600.0,
        "stale": 60,
        "missing": 0,
        "watermark": "2026-05-31T19:05:00Z",
        "watermark_lag_s": 26_700.0,
        "reasons": ["courier_load_6h: found it late"],
    }
    measured = Measured(freshness={"courier_load_6h": late}, as_of=1_780_272_000_000_000)
    text = " ".join(plain(page_of(contract, tmp_path, measured)).split())
    assert "not fresh age 8 h 30 min median" in text
    assert "watermark 2026-05-31T19:05:00Z, 7 h 25 min behind" in text
    assert "freshness as served at 2026-06-01T00:00:00Z" in text
    assert summary(contract, measured, TODAY)["notices"] == [
        "bad: Not fresh: courier_load_6h: found it late"
    ]


def test_releases_stand_with_their_service_and_say_when_the_contract_has_moved_on(
    tmp_path: Path,
) -> None:
    contract = load_contract(ROOT / "contracts")
    release = read_release(ROOT / "model_repository" / "2.5.0")
    measured = Measured(releases=(release,))
    assert release.id in page_of(contract, tmp_path, measured)
    assert summary(contract, measured, TODAY)["notices"] == []
    data = parse_yaml(CONTRACT_FILE, (ROOT / "contracts" / CONTRACT_FILE).read_text())
    for view in data["feature_views"]:
        view["population"] = "P400D"
    changed = parse_contract(CONTRACT_FILE, data)[0]
    found = summary(changed, measured, TODAY)["notices"]
    assert found == [
        f"bad: Release {release.id} knows another definition of {name}"
        for name in contract.view_by_name
    ]
    parcel = load_contract(ROOT / "proviso/contracts/template")
    assert "which the contract does not have" in page_of(parcel, tmp_path, measured)


def test_the_command_writes_the_page_and_says_what_is_on_it(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "catalog.html"
    done = call("--contracts", ROOT / "contracts", "catalog", "--out", out, "--json")
    assert done.code == 0, done.err
    assert (done.json["views"], done.json["features"], done.json["services"]) == (4, 34, 2)
    assert out.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--history", "nowhere"), "nowhere: found no view's file, wanted history"),
        (("--release", "nowhere"), "release.yml"),
        (("--store", "redis://127.0.0.1:1"), "online store 127.0.0.1:1"),
        (("--store", "redis://127.0.0.1:1", "--as-of", "later"), "--as-of"),
    ],
)
def test_what_cannot_be_read_is_wrong_use(
    options: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    out = tmp_path / "c.html"
    done = call("--contracts", ROOT / "contracts", "catalog", *options, "--out", out)
    assert done.code == 2
    assert said in done.err
    assert not out.exists()


def test_a_contract_whose_views_mean_nothing_is_refused_and_an_end_is_not(tmp_path: Path) -> None:
    contracts, out = tmp_path / "contracts", tmp_path / "c.html"
    contracts.mkdir()
    path, text = contracts / CONTRACT_FILE, project_text(CONTRACT_FILE)
    path.write_text(text.replace("entities: [courier]", "entities: [nobody]"))
    done = call("--contracts", contracts, "catalog", "--out", out)
    assert done.code == 1
    assert "feature_views[courier_load_6h].entities: found nobody" in done.err
    assert not out.exists()
    path.write_text(text.replace("deprecation: {status: active}", "deprecation: {status: retired}"))
    done = call("--contracts", contracts, "catalog", "--out", out)
    assert done.code == 0, done.err
    assert "is retired, and late_delivery_service_v1 consumes it" in done.out

"""The catalogue in a real browser: it loads nothing, complains about nothing, and can be read.

Two contracts: the example's 34 features, and the project of `proviso init` with its history and
what a store serves of it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from feature_runtime.core.moments import HOUR, SECOND, format_moment
from proviso.contracts.loading import load_contract
from tests.local.browser import Browser, needs_browser
from tests.parcel_data import make, running_store
from tests.program import call

pytestmark = needs_browser

ROOT = Path(__file__).parents[2]
LAST = 1_780_272_000 * SECOND
T = LAST - 5 * HOUR


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalog") / "example.html"
    release = ROOT / "model_repository" / "2.5.0"
    asked = ("catalog", "--release", release, "--out", path)
    assert call("--contracts", ROOT / "contracts", *asked).code == 0
    return path


@pytest.fixture(scope="module")
def parcels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With figures of a history, and as a store serves it at T."""
    directory = tmp_path_factory.mktemp("parcels")
    path, project = directory / "parcels.html", make(directory, LAST, couriers=25)
    with running_store(directory) as held:
        project.writer(held.store, T).bring_up(project.contract.feature_views)
        done = call(
            *("--contracts", project.contracts, "catalog", "--history", project.history),
            *("--store", held.url, "--store-password-file", held.password_file),
            *("--as-of", format_moment(T), "--out", path),
        )
    assert done.code == 0, done.err
    return path


def test_the_page_loads_nothing_and_the_browser_has_no_complaint(
    browser: Browser, example: Path, parcels: Path
) -> None:
    for page in (example, parcels):
        assert browser.loaded(page) == []
        assert browser.log("browser") == []


def test_the_first_screen_says_how_much_there_is_and_what_needs_somebody(
    browser: Browser, example: Path
) -> None:
    browser.show(example, 1280, "light")
    figures = browser.visible_text("#figures")
    for text in ("34", "in 4 views", "fraud_risk_xgboost:2.5.0", "nothing: no end is near"):
        assert text in figures
    bottom = browser.ask("document.querySelector('#figures').getBoundingClientRect().bottom")
    assert bottom <= 900


def test_the_drawing_shows_every_feature_and_every_edge(browser: Browser, example: Path) -> None:
    browser.show(example, 1280, "light")
    contract = load_contract(ROOT / "contracts")
    shown = browser.visible_text(".lineage svg")
    wanted = [f.name for view in contract.feature_views for f in view.features]
    wanted += [*contract.view_by_name, *(s.name for s in contract.feature_services)]
    assert [name for name in wanted if name not in shown] == []
    edges = sum(len(service.features) for service in contract.feature_services) + 4 + 2
    assert browser.ask("document.querySelectorAll('.lineage path.edge').length") == edges
    lengths = "[...document.querySelectorAll('path.edge')].map(p => p.getTotalLength())"
    assert min(browser.ask(lengths)) > 40


def test_no_label_of_the_drawing_leaves_its_box(browser: Browser, example: Path) -> None:
    browser.show(example, 1280, "light")
    over = (
        "[...document.querySelectorAll('.lineage .node')].flatMap(g => {"
        " const box = g.querySelector('rect').getBBox();"
        " return [...g.querySelectorAll('text')].filter(t => {"
        "  const b = t.getBBox();"
        "  return b.x < box.x || b.x + b.width > box.x + box.width"
        "   || b.y < box.y || b.y + b.height > box.y + box.height"
        " }).map(t => t.textContent)})"
    )
    assert browser.ask(over) == []


def test_a_link_of_the_drawing_leads_to_the_feature(browser: Browser, parcels: Path) -> None:
    browser.show(parcels, 1280, "light")
    feature = "document.getElementById('courier_load_6h:fees_24h')"
    assert browser.ask(f"{feature}.open") is False
    click = "dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    browser.ask(f"document.querySelector('.lineage a[href$=\":fees_24h\"]').{click}")
    assert browser.ask("location.hash") == "#courier_load_6h:fees_24h"
    browser.ask(f"{feature}.querySelector('summary').click()")
    assert browser.ask(f"{feature}.open") is True
    text = browser.visible_text("details[id='courier_load_6h:fees_24h']")
    for words in ("fees_24h_minor / 100", "sum of fee over the 1 d", "dispatch@parcels.example"):
        assert words in text


def test_history_and_store_are_on_the_page(browser: Browser, parcels: Path) -> None:
    browser.show(parcels, 1280, "light")
    text = browser.visible_text("#courier_load_6h")
    assert "last run 2026-05-31T18:00:00Z" in text
    assert "fresh age 1 h median" in " ".join(text.split())
    assert "median" in text
    assert browser.ask("document.querySelectorAll('svg.shape rect').length") > 30


@pytest.mark.parametrize("width", [400, 800])
def test_a_narrow_screen_needs_no_sideways_scrolling(
    browser: Browser, example: Path, parcels: Path, width: int
) -> None:
    for page in (example, parcels):
        browser.show(page, width, "light")
        assert browser.ask("document.documentElement.scrollWidth") <= width
        assert browser.smallest_text() >= 11


def test_the_drawing_follows_the_readers_colour_scheme(browser: Browser, example: Path) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        browser.show(example, 1280, scheme)
        style = "getComputedStyle(document.querySelector('{}')).{}"
        seen[scheme] = [
            browser.ask(style.format("body", "backgroundColor")),
            browser.ask(style.format(".lineage text", "fill")),
            browser.ask(style.format(".lineage rect", "fill")),
            browser.ask(style.format(".edge.consumes", "stroke")),
        ]
    pairs = zip(seen["light"], seen["dark"], strict=True)
    assert all(light != dark for light, dark in pairs)

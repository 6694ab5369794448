"""The report in a real browser: it loads nothing, complains about nothing, and can be read."""

from __future__ import annotations

from pathlib import Path

import pytest

from proviso.demo.report import write_report
from tests.local.browser import Browser, needs_browser
from tests.report_data import example_report

pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "index.html"
    write_report(example_report(), path)
    return path


def test_the_page_loads_nothing_and_the_browser_has_no_complaint(
    browser: Browser, page: Path
) -> None:
    assert browser.loaded(page) == []
    assert browser.log("browser") == []


def test_the_first_screen_says_what_was_decided_and_how_good_it_is(
    browser: Browser, page: Path
) -> None:
    browser.show(page, 1280, "light")
    verdicts = browser.visible_text("#verdicts")
    assert verdicts.count("PASS") == 2
    assert verdicts.count("REFUSED") == 1
    assert verdicts.count("as intended") == 3
    figures = browser.visible_text("#figures")
    for text in ("0.612", "0.287", "0.871", "0.294", "500", "6.0e-08", "p95"):
        assert text in figures
    bottom = browser.ask("document.querySelector('#figures').getBoundingClientRect().bottom")
    assert bottom <= 900


def test_every_section_can_be_read_in_the_browser(browser: Browser, page: Path) -> None:
    browser.show(page, 1280, "light")
    wanted = {
        "#quality": ("Precision and recall", "threshold 0.5", "known_bad = 1", "HOLD"),
        "#serving": ("grpc", "p50", "velocity", "SLO", "TTL", "MISSING_KEY"),
        "#refusals": ("far from the clock", "400"),
        "#sample": ("before_created", "enough", "Left out on purpose"),
        "#steps": ("replay", "48.8 s", "Together"),
        "#repeat": ("make demo",),
    }
    for section, texts in wanted.items():
        shown = browser.visible_text(section)
        assert [text for text in texts if text not in shown] == []


def test_a_narrow_screen_needs_no_sideways_scrolling(browser: Browser, page: Path) -> None:
    browser.show(page, 400, "light")
    assert browser.ask("document.documentElement.scrollWidth") <= 400
    assert browser.smallest_text() >= 11


def test_the_charts_follow_the_readers_colour_scheme(browser: Browser, page: Path) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        browser.show(page, 1280, scheme)
        body, axis = "getComputedStyle(document.body)", "document.querySelector('svg text')"
        seen[scheme] = [
            browser.ask(f"{body}.backgroundColor"),
            browser.ask(f"getComputedStyle({axis}).fill"),
            browser.ask("getComputedStyle(document.querySelector('.curve.tone-model')).stroke"),
        ]
    pairs = zip(seen["light"], seen["dark"], strict=True)
    assert all(light != dark for light, dark in pairs)

"""The report in a real browser: it loads nothing, complains about nothing, and can be read.

Chromium is driven through chromedriver's own HTTP interface (W3C WebDriver).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from proviso.local.report import write_report
from tests.report_data import example_report

MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not on PATH: {', '.join(MISSING)}")

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-dev-shm-usage",
)  # fmt: skip
_NETWORK = re.compile(r"^(https?|wss?|ftp):")


class Browser:
    """One headless browser session."""

    def __init__(self, client: httpx.Client, session: str) -> None:
        self._client, self._session = client, session

    def do(self, verb: str, **body: Any) -> Any:
        """A WebDriver command that is posted."""
        answer = self._client.post(f"/session/{self._session}/{verb}", json=body)
        return answer.raise_for_status().json()["value"]

    def devtools(self, command: str, **parameters: Any) -> Any:
        return self.do("goog/cdp/execute", cmd=command, params=parameters)

    def ask(self, script: str) -> Any:
        return self.do("execute/sync", script=f"return {script}", args=[])

    def visible_text(self, selector: str) -> str:
        found = self.do("element", using="css selector", value=selector)[_ELEMENT]
        answer = self._client.get(f"/session/{self._session}/element/{found}/text")
        return str(answer.raise_for_status().json()["value"])

    def log(self, kind: str) -> list[dict[str, Any]]:
        return list(self.do("se/log", type=kind))

    def show(self, page: Path, width: int, scheme: str) -> None:
        """Opens the page `width` pixels wide for a reader who prefers `scheme`."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.devtools("Emulation.setEmulatedMedia", features=[feature])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.devtools("Emulation.setDeviceMetricsOverride", **size)
        self.do("url", url=page.as_uri())


@contextmanager
def _driver(log: Path) -> Iterator[str]:
    """chromedriver on a port of its own choice."""
    command = [shutil.which("chromedriver") or "", "--port=0", f"--log-path={log}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            assert process.stdout is not None
            lines = (re.search(r"on port (\d+)\.", line) for line in process.stdout)
            port = next(match[1] for match in lines if match)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    home = tmp_path_factory.mktemp("browser")
    options = {
        "binary": shutil.which("chromium"),
        "args": [*_ARGUMENTS, f"--user-data-dir={home / 'profile'}"],
    }
    wanted = {
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
    }
    with (
        _driver(home / "driver.log") as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        body = {"capabilities": {"alwaysMatch": wanted}}
        session = client.post("/session", json=body).raise_for_status().json()["value"]["sessionId"]
        try:
            yield Browser(client, session)
        finally:
            client.delete(f"/session/{session}")


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "index.html"
    write_report(example_report(), path)
    return path


def test_the_page_loads_nothing_and_the_browser_has_no_complaint(
    browser: Browser, page: Path
) -> None:
    browser.log("performance")
    browser.show(page, 1280, "light")
    events = [json.loads(entry["message"])["message"] for entry in browser.log("performance")]
    sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
    urls = [request["request"]["url"] for request in sent]
    assert page.as_uri() in urls
    assert [url for url in urls if _NETWORK.match(url)] == []
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
    smallest = (
        "Math.min(...[...document.querySelectorAll('svg text')].filter(t => t.textContent)"
        ".map(t => t.getBoundingClientRect().height))"
    )
    assert browser.ask(smallest) >= 11


def test_the_charts_follow_the_readers_colour_scheme(browser: Browser, page: Path) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        browser.show(page, 1280, scheme)
        body, axis = "getComputedStyle(document.body)", "document.querySelector('svg text')"
        seen[scheme] = [
            browser.ask(f"{body}.backgroundColor"),
            browser.ask(f"getComputedStyle({axis}).fill"),
            browser.ask("getComputedStyle(document.querySelector('.curve.model')).stroke"),
        ]
    pairs = zip(seen["light"], seen["dark"], strict=True)
    assert all(light != dark for light, dark in pairs)

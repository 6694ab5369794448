"""A real browser for the tests of pages: chromium, driven through chromedriver's own HTTP
interface (W3C WebDriver). Tests that need it are skipped where it is not installed."""

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

MISSING = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
needs_browser = pytest.mark.skipif(bool(MISSING), reason=f"not on PATH: {', '.join(MISSING)}")

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--disable-dev-shm-usage",
)  # fmt: skip
_NETWORK = re.compile(r"^(https?|wss?|ftp):")
_SMALLEST = (
    "Math.min(...[...document.querySelectorAll('svg text')].filter(t => t.textContent)"
    ".map(t => t.getBoundingClientRect().height))"
)


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

    def loaded(self, page: Path) -> list[str]:
        """Opens the page; what it asked the network for, which must be nothing."""
        self.log("performance")
        self.show(page, 1280, "light")
        events = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        sent = [e["params"] for e in events if e["method"] == "Network.requestWillBeSent"]
        urls = [request["request"]["url"] for request in sent]
        assert page.as_uri() in urls
        return [url for url in urls if _NETWORK.match(url)]

    def smallest_text(self) -> float:
        """Height in pixels of the smallest text in any drawing."""
        return float(self.ask(_SMALLEST))


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


@contextmanager
def browsing(home: Path) -> Iterator[Browser]:
    """A browser with its profile and log under `home`."""
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

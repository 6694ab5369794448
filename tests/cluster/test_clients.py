"""Standard clients of the protocols through the gateway, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from feature_runtime.core.moments import format_moment, now
from tests import protocol_clients
from tests.cluster.place import ADDRESS, Place

pytestmark = pytest.mark.cluster
SCRIPT = Path(protocol_clients.__file__)
ROOT = SCRIPT.parents[1]
URL = f"http://{ADDRESS}"
ROWS = 3
WAYS = {
    "kserve-rest": ("v1", "json", "binary"),
    "kserve-grpc": ("typed", "raw"),
    "triton-http": ("json", "binary", "gzip", "deflate", "versioned"),
    "triton-http-aio": ("json", "binary", "gzip", "deflate", "versioned"),
    "triton-grpc": ("raw", "gzip", "versioned"),
    "triton-grpc-aio": ("raw", "gzip", "versioned"),
}
"""The forms in which each client asks for predictions."""

Row = dict[str, Any]
Ask = Callable[[str], dict[str, Any]]


@pytest.fixture
def rows(at_rest: Place) -> list[Row]:
    """The newest transactions, to be asked about now."""
    moment = format_moment(now())
    return [{**asked.ids, **asked.fields, "event_ts": moment} for asked in at_rest.asked[:ROWS]]


@pytest.fixture
def ask(at_rest: Place, rows: list[Row], tmp_path: Path) -> Ask:
    """Runs one client against the gateway; what its calls returned."""
    given = tmp_path / "rows.json"
    given.write_text(json.dumps(rows), encoding="utf-8")

    def run(client: str) -> dict[str, Any]:
        line = [
            *(sys.executable, "-W", "ignore", str(SCRIPT), client, "--http", URL),
            *("--model", at_rest.gateway.model, "--host", at_rest.gateway.host),
            *("--rows", str(given)),
        ]
        done = subprocess.run(line, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


def by_v1(place: Place, rows: list[Row]) -> list[float]:
    """The probabilities as V1 answers them."""
    path = f"/v1/models/{place.gateway.model}:predict"
    reply = httpx.post(
        URL + path,
        json={"instances": rows},
        headers={"host": place.gateway.host},
        trust_env=False,
    )
    reply.raise_for_status()
    return [row["probability"] for row in reply.json()["predictions"]]


@pytest.mark.parametrize("client", WAYS)
def test_a_standard_client_gets_what_v1_answers(
    client: str, ask: Ask, at_rest: Place, rows: list[Row]
) -> None:
    wanted = by_v1(at_rest, rows)
    found = ask(client)
    for way in WAYS[client]:
        assert found[way]["probability"] == pytest.approx(wanted, abs=1e-12), way
    for call in ("live", "ready", "model_ready"):
        assert found[call] is True, call
    if client == "kserve-rest":
        assert (found["v1_live"], found["v1_model_ready"]) == (True, True)
    if client.startswith("triton"):
        assert found["version_ready"] is True
        assert found["server"]["extensions"] == ["binary_tensor_data", "model_configuration"]
        assert set(found["inputs"]) == set(rows[0])


def test_curl_reaches_what_the_protocol_serves(ask: Ask) -> None:
    found = ask("curl")
    for call in ("server", "live", "ready", "metadata", "model_ready", "config", "v1", "v2"):
        assert found[call][0] == 200, call
    assert [found[coding][0] for coding in ("gzip", "deflate", "br")] == [200, 200, 415]
    refused = {"slash": "path_not_found", "unknown": "path_not_found"}
    assert {name: found[name][1]["code"] for name in refused} == refused


def test_health_answers_and_reflection_is_not_routed(ask: Ask) -> None:
    assert ask("grpc-health")["service"] == "SERVING"
    with pytest.raises(AssertionError, match="UNIMPLEMENTED"):
        ask("grpc-reflection")


@pytest.mark.parametrize("path", ["/metrics", "/v2/repository/index", "/docs", "/openapi.json"])
def test_what_is_for_operators_is_not_routed(path: str, at_rest: Place) -> None:
    reply = httpx.get(URL + path, headers={"host": at_rest.gateway.host}, trust_env=False)
    assert reply.status_code == httpx.codes.NOT_FOUND
    assert not reply.content


def test_perf_analyzer_measures_through_the_gateway(ask: Ask) -> None:
    subprocess.run([ROOT / "scripts" / "setup-perf"], check=True, timeout=600)
    found = ask("perf-http")
    assert (found["exit"], len(found["measured"])) == (0, 1), found["said"]

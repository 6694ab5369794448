"""Standard clients of the protocols against a real pod, each in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import protocol_clients
from tests.local.pod_stack import PodStack, predict_v1, rows

SCRIPT = Path(protocol_clients.__file__)
ROOT = SCRIPT.parents[1]
PAIRS = (("c1", "m1"), ("new", "m1"), ("c1", "nobody"))

Ask = Callable[[str], dict[str, Any]]


@pytest.fixture
def ask(pod_stack: PodStack, tmp_path: Path) -> Ask:
    """Runs one client against the pod whose moment is the request's; what its calls returned."""

    def run(client: str) -> dict[str, Any]:
        pod, given = pod_stack.pods["replay"], tmp_path / "rows.json"
        given.write_text(json.dumps(rows(*PAIRS)), encoding="utf-8")
        line = [
            *(sys.executable, "-W", "ignore", str(SCRIPT), client, "--http", pod.url),
            *("--grpc", pod.grpc_address, "--model", "risk", "--rows", str(given)),
        ]
        done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return run


@pytest.fixture
def wanted(pod_stack: PodStack) -> dict[str, Any]:
    """What every client must get, as V1 answers it."""
    predictions = predict_v1(pod_stack.pods["replay"], rows(*PAIRS)).json()["predictions"]
    return {name: [p[name] for p in predictions] for name in ("probability", "decision")}


def check(found: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert {name: found[name] for name in wanted} == wanted


def test_kserve_rest_client(ask: Ask, wanted: dict[str, Any]) -> None:
    found = ask("kserve-rest")
    for way in ("v1", "json", "binary"):
        check(found[way], wanted)
    assert (found["json"]["id"], found["json"]["model"]) == ("kserve-rest", "risk")
    for call in ("v1_live", "v1_model_ready", "live", "ready", "model_ready"):
        assert found[call] is True, call
    assert found["other_model_ready"] is False


def test_kserve_grpc_client(ask: Ask, wanted: dict[str, Any]) -> None:
    found = ask("kserve-grpc")
    for way in ("typed", "raw"):
        check(found[way], wanted)
    assert (found["live"], found["ready"], found["model_ready"]) == (True, True, True)


@pytest.mark.parametrize("client", ["triton-http", "triton-http-aio"])
def test_triton_http_clients(client: str, ask: Ask, wanted: dict[str, Any]) -> None:
    found = ask(client)
    for way in ("json", "binary", "gzip", "deflate", "versioned"):
        check(found[way], wanted)
    assert found["other_version"] == "404"
    check_described(found)


@pytest.mark.parametrize("client", ["triton-grpc", "triton-grpc-aio"])
def test_triton_grpc_clients(client: str, ask: Ask, wanted: dict[str, Any]) -> None:
    found = ask(client)
    for way in ("raw", "gzip", "versioned"):
        check(found[way], wanted)
    assert found["other_version"] == "StatusCode.NOT_FOUND"
    check_described(found)


def check_described(found: dict[str, Any]) -> None:
    for call in ("live", "ready", "model_ready", "version_ready"):
        assert found[call] is True, call
    assert found["server"]["extensions"] == ["binary_tensor_data", "model_configuration"]
    assert found["inputs"] == ["customer_id", "merchant_id", "amount", "event_ts"]
    assert found["config"]["max_batch_size"] == 64
    types = {one["name"]: one["data_type"] for one in found["config"]["input"]}
    assert (types["customer_id"], types["amount"]) == ("TYPE_STRING", "TYPE_FP64")


def test_health_service(ask: Ask) -> None:
    assert ask("grpc-health") == {
        "server": "SERVING",
        "service": "SERVING",
        "watched": "SERVING",
        "unknown": "NOT_FOUND",
    }


def test_reflection_describes_what_is_served(ask: Ask) -> None:
    found = ask("grpc-reflection")
    assert {"grpc.health.v1.Health", "inference.GRPCInferenceService"} <= set(found["services"])
    assert found["model_ready"] is True


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
def test_curl(ask: Ask, wanted: dict[str, Any]) -> None:
    found = ask("curl")
    for call in ("server", "live", "ready", "metadata", "model_ready", "config"):
        assert found[call][0] == 200, call
    for call in ("v2", "gzip", "deflate"):
        code, answer = found[call]
        outputs = {one["name"]: one["data"] for one in answer["outputs"]}
        assert code == 200
        check(outputs, wanted)
    refused = {
        "slash": (404, "path_not_found"),
        "unknown": (404, "path_not_found"),
        "get_infer": (405, "method_not_allowed"),
        "br": (415, "content_encoding_unsupported"),
    }
    assert {name: (found[name][0], found[name][1]["code"]) for name in refused} == refused


@pytest.fixture(scope="module")
def perf() -> None:
    """perf_analyzer is here."""
    subprocess.run([ROOT / "scripts" / "setup-perf"], check=True, timeout=300)


@pytest.mark.parametrize("client", ["perf-http", "perf-grpc"])
@pytest.mark.usefixtures("perf")
def test_perf_analyzer(client: str, ask: Ask) -> None:
    found = ask(client)
    assert (found["exit"], len(found["measured"])) == (0, 1), found["said"]

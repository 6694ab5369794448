"""A pod that is not its release, other plans, passwords, and how a pod starts and stops."""

from __future__ import annotations

import hashlib
import hmac
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.local.pod_calls import grpc_inputs
from tests.local.pod_stack import (
    PodStack,
    make_release,
    predict_v1,
    predict_v2,
    records,
    release_id,
    rows,
    section,
    v2_body,
)


def test_a_pod_that_is_not_its_release_answers_nothing(pod_stack: PodStack, tmp_path: Path) -> None:
    release = make_release(tmp_path / "release")
    parsed = yaml.safe_load((release / "release.yml").read_text())
    parsed["service"]["decision"]["threshold"] = 0.9
    (release / "release.yml").write_text(yaml.safe_dump(parsed))
    with pod_stack.pod("changed", release) as pod:
        assert not pod.ready()
        answer = predict_v1(pod, rows(("c1", "m1")))
        health = pod_stack.rpc("health", pod.grpc_address, model="risk")
        rpc = pod_stack.rpc("raw", pod.grpc_address, model="risk", inputs=grpc_inputs())
        assert httpx.get(f"{pod.url}/v1/models/risk").status_code == 503
    assert (answer.status_code, answer.json()["reason"]) == (503, "identity")
    assert answer.json()["code"] == "pod_release_mismatch"
    assert "digests.service: found sha256:" in answer.json()["error"]
    assert answer.headers["retry-after"] == "1"
    assert (health["live"], health["ready"], health["model_ready"]) == (True, False, False)
    assert rpc["code"] == "StatusCode.UNAVAILABLE"


def test_the_plan_may_answer_rejections_with_503_and_hash_entities(
    pod_stack: PodStack, tmp_path: Path
) -> None:
    decision = {**section()["decision"], "fallback_http": 503}
    release = make_release(tmp_path / "release", decision=decision, hash_entity_keys=True)
    # The store and the model are those of the other release: only the decision differs here.
    key = tmp_path / "key"
    key.write_text("a key of at least sixteen bytes\n")
    arguments = ["--hash-key-file", key, "--record-fsync", "--traffic", "shadow"]
    with pod_stack.pod("strict", release, arguments=arguments) as pod:
        rejected = predict_v1(pod, rows(("c1", "nobody")), x_request_id="gone")
        rpc = pod_stack.rpc("infer", pod.grpc_address, model="risk", tensors=_nobody())
        found = records(pod)
    assert (rejected.status_code, rejected.json()["reason"]) == (503, "fallback")
    assert "risk_daily:share is MISSING_KEY" in rejected.json()["error"]
    assert rpc["code"] == "StatusCode.UNAVAILABLE"
    assert (found[0]["request_id"], found[0]["decision"]) == ("gone", "MANUAL")
    assert found[0]["traffic"] == "shadow"
    secret = b"a key of at least sixteen bytes"
    wanted = hmac.new(secret, b"customer:c1", hashlib.sha256).hexdigest()
    assert found[0]["entities"]["customer"] == wanted


def _nobody() -> list[list[Any]]:
    kinds = {"customer_id": "BYTES", "merchant_id": "BYTES", "amount": "FP64", "event_ts": "BYTES"}
    row = rows(("c1", "nobody"))[0]
    return [[n, d, [row[n]]] for n, d in kinds.items()]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The pod's program, expected to refuse."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "feature_runtime", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_pod_that_cannot_start_says_why_in_one_line(tmp_path: Path) -> None:
    common: list[str | Path] = ["--store", "redis://127.0.0.1:1"]
    common += ["--record", tmp_path / "r.jsonl"]
    predictor = ["--predictor_host", "127.0.0.1:1"]
    shadow = ["--shadow-http-port", "1", "--shadow-grpc-port", "2"]
    former = ["--traffic", "live", "--arm", "serve"]
    broken = tmp_path / "broken.yml"
    broken.write_text("- a list")
    hashed = make_release(tmp_path / "hashed", hash_entity_keys=True) / "release.yml"
    cases: list[tuple[list[str | Path], str]] = [
        (["--release", tmp_path / "none.yml", *predictor], "none.yml: found"),
        (["--release", broken, *predictor], "found a list, wanted a mapping"),
        (["--release", hashed], "--predictor: found nothing, wanted host:port"),
        (["--release", hashed, "--predictor_host", "nobody"], "--predictor_host: found 'nobody'"),
        (["--release", hashed, *predictor, "--predictor", "x:0"], "--predictor: found 'x:0', want"),
        (["--release", hashed, *predictor, "--shadow-http-port", "1"], "found it alone, wanted"),
        (["--release", hashed, *predictor, *shadow, "--traffic", "shadow"], "beside shadow ports"),
        (["--release", hashed, *predictor, "--record-sink", "tape"], "found 'tape', wanted one of"),
        (["--release", hashed, *predictor, *former], "found beside --traffic, wanted --traffic"),
        (["--release", hashed, *predictor], "[hash_key_missing]"),
    ]
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda case: run(*case[0], *common), cases))
    for (_, message), done in zip(cases, runs, strict=True):
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert "Traceback" not in done.stderr


def test_a_rotated_password_needs_no_restart(pod_stack: PodStack) -> None:
    pod, store = pod_stack.pods["replay"], pod_stack.store
    file, old = pod_stack.valkey.password_file, pod_stack.valkey.password_file.read_text()
    assert predict_v1(pod, rows(("c1", "m1"))).status_code == 200
    try:
        store.config_set("requirepass", "another-password-0123")
        # Connections that exist stay; these are cut, so that the pod has to log in again.
        store.client_kill_filter(_type="normal", skipme=True)
        answer = predict_v1(pod, rows(("c1", "m1")))
        assert (answer.status_code, answer.json()["reason"]) == (503, "store")
        assert answer.json()["code"] == "store_password_rejected"
        assert pod.ready()
        file.write_text("another-password-0123\n")
        assert predict_v1(pod, rows(("c1", "m1"))).status_code == 200
    finally:
        store.config_set("requirepass", old.strip())
        file.write_text(old)


def series(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Samples of Prometheus text by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_have_their_names(pod_stack: PodStack) -> None:
    pod = pod_stack.pods["replay"]
    predict_v1(pod, rows(("c1", "m1"), ("new", "nobody")))
    predict_v2(pod, v2_body(rows(("c1", "m1")), id=7))
    text = httpx.get(f"{pod.url}/metrics").text
    found = series(text)
    common = {"release": release_id(pod_stack.release), "arm": "serve", "traffic": "live"}
    parts = ("total", "parse", "store", "encode", "infer", "log")
    default = {"feature": "velocity_1h:count", "status": "MISSING_KEY", "reason": "MISSING_KEY"}
    velocity = {"view": "velocity_1h"}
    wanted: list[tuple[str, dict[str, str]]] = [
        ("proviso_requests_total", {"protocol": "v1", "code": "200", "reason": "ok"}),
        ("proviso_requests_total", {"protocol": "v2", "code": "400", "reason": "bad_input"}),
        *(("proviso_request_duration_seconds_count", {"part": part}) for part in parts),
        ("proviso_feature_status_total", {**velocity, "feature": "count", "status": "OK"}),
        ("proviso_feature_age_seconds_bucket", {**velocity, "le": "3600.0"}),
        ("proviso_default_used_total", default),
        ("proviso_decisions_total", {"decision": "MANUAL"}),
        ("proviso_score_count", {}),
    ]
    for name, own in wanted:
        assert (name, frozenset({**common, **own}.items())) in found, (name, own)
    for dependency in ("store", "predictor"):
        up = frozenset({("dependency", dependency)})
        assert found["proviso_dependency_up", up] == 1
    info = {name: dict(labels) for name, labels in found}["proviso_release_info"]
    assert info["service_digest"] == info["contract_digest"]
    assert "request_preprocess_seconds" not in text


def test_a_former_metric_name_repeats_the_present_one(pod_stack: PodStack) -> None:
    pod = pod_stack.pods["replay"]
    predict_v1(pod, rows(("c1", "m1")))
    text = httpx.get(f"{pod.url}/metrics").text
    found, present, former = series(text), "request_duration_seconds", "request_seconds"
    assert f"# HELP proviso_{former} Deprecated, goes with the next release: use" in text
    for (name, labels), value in found.items():
        if name.startswith(f"proviso_{present}"):
            assert found[name.replace(present, former), labels] == value


def test_the_former_name_of_traffic_still_works(pod_stack: PodStack) -> None:
    with pod_stack.pod("former", arguments=["--arm", "shadow"]) as pod:
        predict_v1(pod, rows(("c1", "m1")))
        assert [(r["traffic"], r["arm"]) for r in records(pod)] == [("shadow", "shadow")]


def test_a_graceful_stop_answers_what_it_accepted(pod_stack: PodStack) -> None:
    with pod_stack.pod("stopped") as pod:
        assert predict_v1(pod, rows(("c1", "m1"))).status_code == 200
        pod.process.stop(20)
        assert pod.process.returncode == 0

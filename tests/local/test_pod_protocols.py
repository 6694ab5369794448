"""V1, V2 REST and V2 gRPC against a real stack: one answer, three forms."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

import httpx
import pytest

from feature_runtime.core import moments
from tests.local.pod_calls import tensors
from tests.local.pod_stack import (
    RISK,
    VELOCITY,
    PodStack,
    T,
    mgets,
    predict_v1,
    predict_v2,
    probability,
    records,
    release_id,
    rows,
    v2_body,
)

PAIRS = (("c1", "m1"), ("new", "m1"), ("c1", "nobody"), ("old", "null"), ("mixed", "m1"))


def v2_outputs(answer: dict[str, Any]) -> dict[str, list[Any]]:
    return {o["name"]: o["data"] for o in answer["outputs"]}


def test_all_protocols_give_the_same_answer(pod_stack: PodStack) -> None:
    pod, asked = pod_stack.pods["replay"], rows(*PAIRS)
    v1 = predict_v1(pod, asked).json()["predictions"]
    v2 = v2_outputs(predict_v2(pod, v2_body(asked)).json())
    rpc = pod_stack.rpc("infer", pod.grpc_address, model="risk", tensors=tensors(asked))["outputs"]
    assert [p["probability"] for p in v1] == v2["probability"] == rpc["probability"]
    assert [p["decision"] for p in v1] == v2["decision"] == rpc["decision"]
    assert [p["status"] for p in v1] == [json.loads(s) for s in v2["status"]]
    assert v2["status"] == rpc["status"]


def test_the_answer_is_the_models_for_the_stored_features(pod_stack: PodStack) -> None:
    found = predict_v1(pod_stack.pods["replay"], rows(*PAIRS)).json()["predictions"]
    risk = (0.25, 4)
    wanted = [
        probability(10, T, (3, 25.5, *risk)),
        probability(10, T, (0, None, *risk)),
        None,
        probability(10, T, (0, None, 0.25, 1)),
        probability(10, T, (0, None, *risk)),
    ]
    assert [p["probability"] for p in found] == pytest.approx(wanted, abs=1e-6)
    assert [p["decision"] for p in found][2] == "MANUAL"


def test_statuses_tell_why_a_value_was_not_used(pod_stack: PodStack) -> None:
    found = predict_v1(pod_stack.pods["replay"], rows(*PAIRS, ("torn", "m1"))).json()
    status = [p["status"]["features"] for p in found["predictions"]]
    count, total, rank = f"{VELOCITY}:count", f"{VELOCITY}:total", f"{RISK}:rank"
    assert [s[count] for s in status] == ["OK", "MISSING_KEY", "OK", "STALE", "TYPE", "TYPE"]
    assert [s[total] for s in status] == ["OK", "MISSING_KEY", "OK", "STALE", "NULL", "TYPE"]
    assert [s[rank] for s in status] == ["OK", "OK", "MISSING_KEY", "NULL", "OK", "OK"]
    defaults = [p["status"]["defaults"] for p in found["predictions"]]
    assert defaults[0] == {}
    assert defaults[1] == {count: 0.0, total: None}
    reason = found["predictions"][2]["status"]["reason"]
    assert reason == f"{RISK}:share is MISSING_KEY and the contract allows no default"


def test_an_expired_approval_rejects(pod_stack: PodStack) -> None:
    last = moments.parse_moment("2018-06-24T23:59:59Z")
    first = moments.parse_moment("2018-06-25T00:00:00Z")
    found = predict_v1(
        pod_stack.pods["replay"],
        [*rows(("c1", "null"), at=last - 4 * moments.DAY), *rows(("c1", "nobody"), at=first)],
    ).json()["predictions"]
    assert found[0]["decision"] != "MANUAL"
    assert "approval of its default expired at 2018-06-25T00:00:00Z" in found[1]["status"]["reason"]


def test_a_batch_is_one_mget_and_one_inference(pod_stack: PodStack) -> None:
    pod = pod_stack.pods["replay"]
    asked = rows(*((f"b{n % 40}", "m1") for n in range(64)))

    def triton() -> dict[str, int]:
        return pod_stack.rpc("statistics", pod_stack.triton.grpc_address, model="risk_model")

    before, reads = triton(), mgets(pod_stack)
    assert predict_v2(pod, v2_body(asked)).status_code == 200
    after = triton()
    assert mgets(pod_stack) - reads == 1
    assert after["requests"] - before["requests"] == 1
    assert after["rows"] - before["rows"] == 64


def test_rejected_rows_are_not_sent_to_the_model(pod_stack: PodStack) -> None:
    address = pod_stack.triton.grpc_address
    before = pod_stack.rpc("statistics", address, model="risk_model")
    answer = predict_v1(pod_stack.pods["replay"], rows(("c1", "nobody"))).json()
    after = pod_stack.rpc("statistics", address, model="risk_model")
    assert answer["predictions"][0]["probability"] is None
    assert after == before


def test_request_id_release_and_moment_come_back(pod_stack: PodStack) -> None:
    pod, identifier = pod_stack.pods["replay"], release_id(pod_stack.release)
    v1 = predict_v1(pod, rows(("c1", "m1")), x_request_id="mine-1")
    v2 = predict_v2(pod, v2_body(rows(("c1", "m1")), id="their-id"), x_request_id="mine-2")
    rpc = pod_stack.rpc(
        "infer",
        pod.grpc_address,
        model="risk",
        tensors=tensors(rows(("c1", "m1"))),
        headers={"x-request-id": "mine-3"},
    )
    facts = {"release": identifier, "scored_at": "2018-06-20T12:00:00Z"}
    assert {k: v1.json()[k] for k in ("request_id", *facts)} == {"request_id": "mine-1", **facts}
    assert v2.json()["parameters"] == {"request_id": "mine-2", **facts}
    assert v2.json()["id"] == "their-id"
    assert rpc["parameters"] == {"request_id": "mine-3", **facts}
    for answer, named in ((v1, "mine-1"), (v2, "mine-2")):
        assert answer.headers["x-request-id"] == named
        assert answer.headers["x-release"] == identifier


def test_v2_without_an_id_gets_one_and_with_one_keeps_it(pod_stack: PodStack) -> None:
    pod = pod_stack.pods["replay"]
    without = predict_v2(pod, v2_body(rows(("c1", "m1")))).json()
    assert len(without["id"]) == 32
    assert without["id"] == without["parameters"]["request_id"]
    with_id = predict_v2(pod, v2_body(rows(("c1", "m1")), id="abc")).json()
    assert with_id["id"] == with_id["parameters"]["request_id"] == "abc"


def test_the_record_has_the_clients_id_beside_the_gateways(pod_stack: PodStack) -> None:
    pod, asked = pod_stack.pods["replay"], rows(("c1", "m1"))
    odd = "caf\u00e9 \u2028" + "x" * 300
    predict_v1(pod, asked, x_request_id="gateway-v1")
    answers = {
        named: predict_v2(pod, v2_body(asked, id=named), x_request_id=f"gateway-{n}").json()
        for n, named in enumerate(("theirs", odd))
    }
    rpc = pod_stack.rpc(
        "infer",
        pod.grpc_address,
        model="risk",
        tensors=tensors(asked),
        id="rpc-id",
        headers={"x-request-id": "gateway-rpc"},
    )
    found = {r["request_id"]: r for r in records(pod)}
    wanted = {
        "gateway-v1": ("v1", None),
        "gateway-0": ("v2", "theirs"),
        "gateway-1": ("v2", odd),
        "gateway-rpc": ("grpc", "rpc-id"),
    }
    for named, (protocol, client_id) in wanted.items():
        record = found[named]
        assert (record["protocol"], record["client_request_id"]) == (protocol, client_id)
        assert (record["pod"], record["threshold"]) == (socket.gethostname(), 0.5)
    assert {named: answer["id"] for named, answer in answers.items()} == {n: n for n in answers}
    assert rpc["id"] == "rpc-id"


def test_v2_takes_nested_data_and_answers_only_what_is_asked(pod_stack: PodStack) -> None:
    body = v2_body(rows(("c1", "m1"), ("c1", "m1")), outputs=[{"name": "decision"}])
    for tensor in body["inputs"]:
        tensor["data"] = [[value] for value in tensor["data"]]
    answer = predict_v2(pod_stack.pods["replay"], body).json()
    assert [o["name"] for o in answer["outputs"]] == ["decision"]


def test_v2_binary_tensors_agree_with_json(pod_stack: PodStack) -> None:
    pod, asked = pod_stack.pods["replay"], rows(*PAIRS)
    body, tail = v2_body(asked, parameters={"binary_data_output": True}), b""
    for tensor in body["inputs"]:
        data = tensor.pop("data")
        raw = b"".join(
            struct.pack("<d", v) if tensor["datatype"] == "FP64"
            else struct.pack("<I", len(v)) + v.encode()
            for v in data
        )  # fmt: skip
        tensor["parameters"] = {"binary_data_size": len(raw)}
        tail += raw
    head = json.dumps(body).encode()
    answer = httpx.post(
        f"{pod.url}/v2/models/risk/infer",
        content=head + tail,
        headers={"inference-header-content-length": str(len(head))},
    )
    assert answer.headers["content-type"] == "application/octet-stream"
    length = int(answer.headers["inference-header-content-length"])
    found = json.loads(answer.content[:length])["outputs"][0]
    size = found["parameters"]["binary_data_size"]
    values = struct.unpack(f"<{len(asked)}d", answer.content[length : length + size])
    plain = v2_outputs(predict_v2(pod, v2_body(asked)).json())["probability"]
    assert [None if v != v else v for v in values] == plain


def test_grpc_answers_typed_contents_with_typed_contents(pod_stack: PodStack) -> None:
    pod = pod_stack.pods["replay"]
    inputs = [
        {
            "name": name,
            "datatype": datatype,
            "shape": [1, 1],
            "contents": {"fp64_contents" if datatype == "FP64" else "bytes_contents": values},
        }
        for name, datatype, values in tensors(rows(("c1", "m1")))
    ]
    headers = {"x-request-id": "typed"}
    answer = pod_stack.rpc("raw", pod.grpc_address, model="risk", inputs=inputs, headers=headers)
    wanted = predict_v1(pod, rows(("c1", "m1"))).json()["predictions"][0]["probability"]
    assert answer["probability"] == [wanted]
    assert answer["trailing"]["x-request-id"] == "typed"
    assert answer["trailing"]["x-release"] == release_id(pod_stack.release)


def test_v1_needs_no_content_type(pod_stack: PodStack) -> None:
    pod = pod_stack.pods["replay"]
    body = json.dumps({"instances": rows(("c1", "m1"))})
    answer = httpx.post(f"{pod.url}/v1/models/risk:predict", content=body.encode())
    assert answer.status_code == 200


def test_health_and_metadata_on_every_protocol(pod_stack: PodStack) -> None:
    pod = pod_stack.pods["live"]
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/risk/ready", "/v1/models/risk"):
        assert httpx.get(pod.url + path).status_code == 200, path
    metadata = httpx.get(f"{pod.url}/v2/models/risk").json()
    assert [i["name"] for i in metadata["inputs"]] == [
        "customer_id", "merchant_id", "amount", "event_ts",
    ]  # fmt: skip
    rpc = pod_stack.rpc("health", pod.grpc_address, model="risk")
    assert (rpc["live"], rpc["ready"], rpc["model_ready"]) == (True, True, True)
    assert rpc["inputs"]["amount"] == ["FP64", [-1, 1]]


def test_nobody_can_unload_the_model(pod_stack: PodStack) -> None:
    pod = pod_stack.pods["live"]
    for verb in ("load", "unload"):
        answer = httpx.post(f"{pod.url}/v2/repository/models/risk/{verb}")
        assert answer.status_code == 404
    assert pod_stack.rpc("load", pod.grpc_address, model="risk")["code"] == (
        "StatusCode.UNIMPLEMENTED"
    )
    assert pod.ready()


def test_the_live_clock_scores_at_its_own_moment(pod_stack: PodStack) -> None:
    pod, before = pod_stack.pods["live"], moments.now()
    answer = predict_v1(pod, rows(("c1", "m1"), at=before - moments.MINUTE)).json()
    assert before <= moments.parse_moment(answer["scored_at"]) <= moments.now()
    # Rows of 2018 are far behind the lookback of a pod that lives now.
    assert answer["predictions"][0]["decision"] == "MANUAL"


def test_the_record_holds_what_the_prediction_saw(pod_stack: PodStack) -> None:
    pod = pod_stack.pods["replay"]
    predict_v1(pod, rows(("c1", "m1"), ("old", "nobody")), x_request_id="seen")
    first, second = (r for r in records(pod) if r["request_id"] == "seen")
    assert (first["index"], second["index"], first["traffic"]) == (0, 1, "live")
    assert (first["schema"], first["arm"]) == ("proviso.prediction.v2", "serve")
    assert first["service_digest"] == first["contract_digest"]
    assert first["entities"] == {"customer": "c1", "merchant": "m1"}
    assert first["views"][VELOCITY] == {
        "status": "OK",
        "event_ts": "2018-06-20T11:00:00Z",
        "created_ts": "2018-06-20T11:15:00Z",
        "run_id": 7,
    }
    assert first["vector"] == [10.0, 12.0, 3.0, 25.5, 0.25, 4.0]
    assert set(first["latency_us"]) == {"parse", "store", "encode", "infer", "total"}
    assert second["features"][f"{VELOCITY}:count"] == {
        "value": 3, "status": "STALE", "default": 0.0, "reason": "Nobody seen has none.",
    }  # fmt: skip
    assert second["probability"] is None
    assert second["decision"] == "MANUAL"
    assert "MISSING_KEY" in second["fallback_reason"]

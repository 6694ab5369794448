"""Wrong requests, on every protocol: the stated error, naming field, found and wanted."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from feature_runtime.core import moments
from tests.local.pod_calls import grpc_inputs
from tests.local.pod_stack import (
    PodStack,
    mgets,
    predict_v1,
    predict_v2,
    records,
    rows,
    v2_body,
)

Change = Callable[[dict[str, Any]], object]

FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "amount is text": ({"amount": "12"}, "amount[0]: found a string '12', wanted a number"),
    "amount is a boolean": ({"amount": True}, "amount[0]: found a boolean True, wanted a number"),
    "amount is null": ({"amount": None}, "amount[0]: found nothing None, wanted a number"),
    "amount is a list": ({"amount": [1.0, 2.0]}, "wanted"),
    "id is a number": ({"customer_id": 7}, "customer_id[0]: found an integer 7, wanted a string"),
    "id is empty": ({"customer_id": ""}, "customer_id[0]: found '', wanted 1 to 256 bytes of"),
    "id is too long": ({"merchant_id": "m" * 257}, "merchant_id[0]: found 'mmm"),
    "moment is a date": ({"event_ts": "2018-06-20"}, "event_ts[0]: found '2018-06-20', wanted an"),
    "moment is a number": ({"event_ts": 1529496000}, "event_ts[0]: found an integer 1529496000"),
    "moment is nonsense": ({"event_ts": "2018-13-41T99:00:00Z"}, "event_ts[0]: found '2018-13"),
    "moment is endless": ({"event_ts": "2" * 10_000}, "event_ts[0]: found '222"),
}


@pytest.mark.parametrize(("change", "message"), FIELDS.values(), ids=FIELDS.keys())
@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_wrong_values_are_named(
    pod_stack: PodStack, protocol: str, change: dict[str, Any], message: str
) -> None:
    instances = [rows(("c1", "m1"))[0] | change]
    pod = pod_stack.pods["replay"]
    answer = predict_v1(pod, instances) if protocol == "v1" else predict_v2(pod, v2_body(instances))
    assert answer.status_code == 400
    assert message in answer.json()["error"]
    assert answer.json()["reason"] == "bad_input"
    assert {"code", "field", "found", "wanted", "request_id"} <= answer.json().keys()
    assert "Traceback" not in answer.text


NOT_JSON = "body: found invalid JSON"
BODIES: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"amount=1", NOT_JSON),
    "not UTF-8": (b'{"instances": [{"amount": "\xff"}]}', NOT_JSON),
    "NaN": (b'{"instances": [{"amount": NaN}]}', NOT_JSON),
    "infinity": (b'{"instances": [{"amount": 1e999}]}', NOT_JSON),
    "a lone surrogate": (
        b'{"instances": [{"customer_id": "\\ud800"}]}',
        "body: found invalid JSON",
    ),
    "deep nesting": (b"[" * 5000 + b"]" * 5000, NOT_JSON),
    "empty": (b"", NOT_JSON),
    "a list": (b"[]", "body: found a list, wanted a JSON object"),
}


@pytest.mark.parametrize(("body", "message"), BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("path", ["/v1/models/risk:predict", "/v2/models/risk/infer"])
def test_bodies_that_are_no_request(
    pod_stack: PodStack, path: str, body: bytes, message: str
) -> None:
    answer = httpx.post(pod_stack.pods["replay"].url + path, content=body)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


def test_v1_shapes(pod_stack: PodStack) -> None:
    pod, good = pod_stack.pods["replay"], rows(("c1", "m1"))[0]
    without = {k: v for k, v in good.items() if k != "amount"}
    cases: list[tuple[Any, int, str]] = [
        ([], 400, "batch: found no rows, wanted at least one"),
        ([good] * 65, 413, "batch: found 65 rows, wanted at most 64"),
        ([3], 400, "instances[0]: found an integer, wanted an object"),
        ({}, 400, "instances: found an object, wanted a list of objects"),
        ([good, without], 400, "instances[1].amount: found nothing, wanted FP64"),
        ([good | {"iban": "x"}], 400, "instances[0].iban: found an unknown input, wanted one of"),
    ]
    for instances, code, message in cases:
        answer = predict_v1(pod, instances)
        assert (answer.status_code, message in answer.json()["error"]) == (code, True), message
    answer = httpx.post(
        f"{pod.url}/v1/models/risk:predict", json={"instances": [good], "signature": "x"}
    )
    assert "'signature': found an unknown key, wanted instances alone" in answer.json()["error"]


def tensor(body: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(t for t in body["inputs"] if t["name"] == name)
    return found


SHAPES: dict[str, tuple[Change, int, str]] = {
    "no inputs": (lambda b: b.pop("inputs"), 400, "inputs: found nothing, wanted a list"),
    "inputs are text": (lambda b: b.update(inputs="x"), 400, "inputs: found a string"),
    "a tensor is missing": (lambda b: b["inputs"].pop(), 400, "inputs.event_ts: found nothing"),
    "a tensor twice": (lambda b: b["inputs"].append(b["inputs"][0]), 400, "found it twice"),
    "an unknown tensor": (
        lambda b: b["inputs"].append({**b["inputs"][0], "name": "iban"}),
        400,
        "inputs.iban: found an unknown input",
    ),
    "a tensor without name": (lambda b: b["inputs"][0].pop("name"), 400, "inputs.name: found noth"),
    "another datatype": (
        lambda b: tensor(b, "amount").update(datatype="FP32"),
        400,
        "amount.datatype: found 'FP32', wanted FP64",
    ),
    "a flat shape": (
        lambda b: tensor(b, "customer_id").update(shape=[1]),
        400,
        "customer_id.shape: found [1], wanted",
    ),
    "unequal shapes": (
        lambda b: tensor(b, "amount").update(shape=[2, 1], data=[1.0, 2.0]),
        400,
        "amount.shape: found [2, 1], wanted [1, 1] like customer_id",
    ),
    "a shape of text": (lambda b: tensor(b, "amount").update(shape="x"), 400, "amount.shape"),
    "a huge shape": (
        lambda b: [t.update(shape=[10**12, 1]) for t in b["inputs"]],
        413,
        "batch: found 1000000000000 rows, wanted at most 64",
    ),
    "a negative shape": (
        lambda b: [t.update(shape=[-1, 1]) for t in b["inputs"]],
        400,
        "batch: found no rows",
    ),
    "too little data": (
        lambda b: tensor(b, "amount").update(data=[]),
        400,
        "amount.data: found 0 values, wanted 1 for its shape",
    ),
    "no data": (lambda b: tensor(b, "amount").pop("data"), 400, "amount.data: found nothing"),
    "an unknown output": (
        lambda b: b.update(outputs=[{"name": "shap"}]),
        400,
        "outputs: found 'shap', wanted one of",
    ),
    "an output of no name": (lambda b: b.update(outputs=[{}]), 400, "outputs: found None"),
    "an unknown key": (lambda b: b.update(model="x"), 400, "'model': found an unknown key"),
    "an id that is a number": (lambda b: b.update(id=7), 400, "id: found an integer"),
    "parameters of text": (lambda b: b.update(parameters="x"), 400, "parameters: found a string"),
    "binary data that is not there": (
        lambda b: tensor(b, "amount").update(parameters={"binary_data_size": 8}),
        400,
        "amount: found 0 bytes, wanted binary_data_size 8",
    ),
}


@pytest.mark.parametrize(("change", "code", "message"), SHAPES.values(), ids=SHAPES.keys())
def test_v2_shapes(pod_stack: PodStack, change: Change, code: int, message: str) -> None:
    body = v2_body(rows(("c1", "m1")))
    change(body)
    answer = predict_v2(pod_stack.pods["replay"], body)
    assert answer.status_code == code
    assert message in answer.json()["error"]


NAN, INFINITY = "000000000000f87f", "000000000000f07f"
BAD = "StatusCode.INVALID_ARGUMENT"
FULL = "StatusCode.RESOURCE_EXHAUSTED"
RAW: dict[str, tuple[list[dict[str, Any]], str, str]] = {
    "NaN": (grpc_inputs(amount={"raw": NAN}), BAD, "amount[0]: found nan, wanted"),
    "infinity": (grpc_inputs(amount={"raw": INFINITY}), BAD, "amount[0]: found inf, wanted"),
    "not UTF-8": (grpc_inputs(customer_id={"raw": "01000000ff"}), BAD, "customer_id: found b'"),
    "a torn string": (grpc_inputs(customer_id={"raw": "ff000000"}), BAD, "do not split up"),
    "no length": (grpc_inputs(customer_id={"raw": "00"}), BAD, "do not split up"),
    "too few bytes": (grpc_inputs(amount={"raw": "00"}), BAD, "amount: found 1 bytes, wanted 8"),
    "datatype": (grpc_inputs(amount={"datatype": "FP32"}), BAD, "amount.datatype: found 'FP32'"),
    "shape": (grpc_inputs(amount={"shape": [1]}), BAD, "amount.shape: found [1], wanted [1, 1]"),
    "missing": (grpc_inputs()[:3], BAD, "inputs.event_ts: found nothing, wanted BYTES"),
    "twice": (grpc_inputs() + grpc_inputs()[:1], BAD, "inputs.customer_id: found it twice"),
    "unknown": (grpc_inputs(amount={"name": "iban"}), BAD, "inputs.iban: found an unknown input"),
    "moment": (grpc_inputs(event_ts={"raw": "0100000078"}), BAD, "event_ts[0]: found 'x'"),
    "no tensors": ([], BAD, "found nothing"),
    "empty batch": ([t | {"shape": [0, 1], "raw": ""} for t in grpc_inputs()], BAD, "no rows"),
    "large batch": (
        [t | {"shape": [65, 1]} for t in grpc_inputs()],
        FULL,
        "batch: found 65 rows, wanted at most 64",
    ),
    "raw and typed": (
        grpc_inputs(amount={"contents": {"fp64_contents": [1.0]}}),
        BAD,
        "amount.contents: found raw and typed contents",
    ),
    "typed, wrong kind": (
        [
            {k: v for k, v in t.items() if k != "raw"} | {"contents": {"int64_contents": [1]}}
            for t in grpc_inputs()
        ],
        BAD,
        "found 0 values, wanted 1",
    ),
}


@pytest.mark.parametrize(("inputs", "code", "message"), RAW.values(), ids=RAW.keys())
def test_grpc_requests(
    pod_stack: PodStack, inputs: list[dict[str, Any]], code: str, message: str
) -> None:
    pod = pod_stack.pods["replay"]
    answer = pod_stack.rpc("raw", pod.grpc_address, model="risk", inputs=inputs)
    assert answer["code"] == code
    assert message in answer["error"]
    assert answer["trailing"]["x-request-id"]


def test_grpc_unknown_model_and_output(pod_stack: PodStack) -> None:
    address = pod_stack.pods["replay"].grpc_address
    unknown = pod_stack.rpc("raw", address, model="other", inputs=grpc_inputs())
    assert unknown["code"] == "StatusCode.NOT_FOUND"
    output = pod_stack.rpc("raw", address, model="risk", inputs=grpc_inputs(), outputs=["shap"])
    assert output["code"] == BAD


def test_rest_unknown_model_and_path(pod_stack: PodStack) -> None:
    url = pod_stack.pods["replay"].url
    for path in ("/v1/models/other:predict", "/v2/models/other/infer"):
        answer = httpx.post(url + path, json={})
        assert answer.status_code == 404
    assert httpx.post(url + "/v2/models/risk/explain", json={}).status_code == 404


def test_a_large_body_is_refused_before_it_is_parsed(pod_stack: PodStack) -> None:
    url = f"{pod_stack.pods['replay'].url}/v2/models/risk/infer"
    told = httpx.post(url, content=b"x" * 70_000)

    def chunks() -> Any:
        for _ in range(70):
            yield b"x" * 1_000

    counted = httpx.post(url, content=chunks())
    for answer in (told, counted):
        assert answer.status_code == 413
        assert answer.json()["reason"] == "too_large"
        assert "wanted at most 65536" in answer.json()["error"]


def test_a_large_grpc_message_is_refused(pod_stack: PodStack) -> None:
    inputs = grpc_inputs(customer_id={"raw": "00" * 300_000})
    address = pod_stack.pods["replay"].grpc_address
    assert pod_stack.rpc("raw", address, model="risk", inputs=inputs)["code"] == FULL


def received(connection: socket.socket, until: bytes) -> bytes:
    """What came before the end, or up to some text: head and body may come apart."""
    got = b""
    while until not in got and (some := connection.recv(65_536)):
        got += some
    return got


def test_a_body_that_never_comes_is_given_up_at_the_deadline(pod_stack: PodStack) -> None:
    pod = pod_stack.pods["replay"]
    with socket.create_connection(("127.0.0.1", pod.http_port), 10) as connection:
        connection.sendall(
            b"POST /v2/models/risk/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"
        )
        answer = received(connection, b"did not arrive in time").decode()
    assert answer.startswith("HTTP/1.1 408")
    assert '"code":"request_timeout"' in answer


@pytest.mark.parametrize("given", ["x" * 129, "a\tb"])
def test_a_strange_request_id_is_refused(pod_stack: PodStack, given: str) -> None:
    pod = pod_stack.pods["replay"]
    answer = predict_v1(pod, rows(("c1", "m1")), x_request_id=given)
    assert answer.status_code == 400
    assert answer.json()["field"] == "x-request-id"
    assert len(answer.headers["x-request-id"]) == 32


@pytest.mark.parametrize("skew", [-moments.MINUTE * 6, moments.MINUTE * 6])
def test_a_far_moment_is_refused_before_the_store_is_read(pod_stack: PodStack, skew: int) -> None:
    pod, reads = pod_stack.pods["live"], mgets(pod_stack)
    far = rows(("c1", "m1"), at=moments.now() + skew)
    answers = (predict_v1(pod, far), predict_v2(pod, v2_body(far)))
    for answer in answers:
        assert answer.status_code == 400
        assert answer.json()["field"] == "event_ts[0]"
        assert "wanted within PT5M of" in answer.json()["error"]
    rpc = pod_stack.rpc("raw", pod.grpc_address, model="risk", inputs=grpc_inputs())
    assert rpc["code"] == BAD
    assert mgets(pod_stack) == reads


def test_a_refused_request_leaves_no_record(pod_stack: PodStack) -> None:
    pod = pod_stack.pods["replay"]
    predict_v1(pod, [{"amount": 1}], x_request_id="refused-1")
    assert "refused-1" not in {r["request_id"] for r in records(pod)}


def test_load_beyond_the_bound_is_shed(pod_stack: PodStack) -> None:
    with pod_stack.pod("shed", arguments=["--max-in-flight", "0"]) as pod:
        answer = predict_v1(pod, rows(("c1", "m1")))
        rpc = pod_stack.rpc("raw", pod.grpc_address, model="risk", inputs=grpc_inputs())
    assert (answer.status_code, answer.json()["reason"]) == (429, "shed")
    assert answer.json()["code"] == rpc["trailing"]["x-code"] == "too_many_requests"
    assert answer.headers["retry-after"] == "1"
    assert (rpc["code"], rpc["trailing"]["x-reason"]) == (FULL, "shed")


def test_every_error_is_answered_within_the_deadline(pod_stack: PodStack) -> None:
    started = time.monotonic()
    answer = httpx.post(f"{pod_stack.pods['replay'].url}/v2/models/risk/infer", content=b"{")
    assert json.loads(answer.text)["reason"] == "bad_input"
    assert time.monotonic() - started < 5


def test_a_refusal_is_no_line_in_the_log(pod_stack: PodStack) -> None:
    """One traceback with the client's values was written for each refused gRPC call."""
    pod, odd = pod_stack.pods["replay"], "x\n2026-01-01 00:00:00 kserve INFO forged"
    before = pod.process.log.stat().st_size
    for name in (odd, "n" * 50_000):
        for inputs, model in ((grpc_inputs(amount={"name": name}), "risk"), (grpc_inputs(), name)):
            answer = pod_stack.rpc("raw", pod.grpc_address, model=model, inputs=inputs)
            assert answer["code"] in (BAD, "StatusCode.NOT_FOUND")
        assert predict_v1(pod, [rows(("c1", "m1"))[0] | {name: 1}]).status_code == 400
    assert httpx.get(f"{pod.url}/v2/models/a%0Ab/ready").status_code == 404
    assert pod.process.log.stat().st_size == before

"""The edge of a real pod: how much it answers, to what, and in which words it refuses."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import zlib
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from proviso.local.transformer import Transformer
from tests.local.pod_calls import grpc_inputs, tensors
from tests.local.pod_stack import PodStack, predict_v1, predict_v2, rows, v2_body

ROWS = 64
REFUSAL = 4_096
"""Bytes that the answer to a refused request may have, whatever it names."""
NOT_FOUND = "StatusCode.NOT_FOUND"
INVALID = "StatusCode.INVALID_ARGUMENT"


@pytest.fixture
def pod(pod_stack: PodStack) -> Transformer:
    return pod_stack.pods["replay"]


def infer(pod: Transformer, body: bytes, **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.post(f"{pod.url}/v2/models/risk/infer", content=body, headers=named, timeout=10)


# --- how large an answer may be --------------------------------------------------------------


@pytest.fixture
def largest(pod: Transformer) -> int:
    """Bytes of an answer about the largest batch, every row rejected, with the longest id."""
    body = v2_body(rows(*(("nobody", "nobody"),) * ROWS), id="x" * 1024)
    return len(predict_v2(pod, body).content)


GREEDY: dict[str, dict[str, Any]] = {
    "one output many times": {"outputs": [{"name": "status"}] * 3_000},
    "every output twice": {"outputs": [{"name": n} for n in ("status", "decision")] * 2},
    "large parameters": {"parameters": {f"p{n}": "x" * 50 for n in range(800)}},
    "large parameters of an output": {
        "outputs": [{"name": "status", "parameters": {"mine": "x" * 50_000}}]
    },
    "an id of 50 kB": {"id": "i" * 50_000},
    "an id of a kilobyte, escaped": {"id": "\x01" * 1024},
    "a long model name": {"model_name": "m" * 50_000},
    "a long version": {"model_version": "\u4e2d" * 15_000},
    "a long key": {"k" * 50_000: 1},
    "a long output": {"outputs": [{"name": "o" * 50_000}]},
}


@pytest.mark.parametrize("more", GREEDY.values(), ids=GREEDY.keys())
def test_no_answer_is_larger_than_batch_and_contract_allow(
    pod: Transformer, largest: int, more: dict[str, Any]
) -> None:
    answer = predict_v2(pod, v2_body(rows(*(("c1", "m1"),) * ROWS), **more))
    assert answer.status_code in {200, 400, 404}
    # An escaped id is six bytes for each that it counts.
    limit = largest + 5 * 1024 if answer.status_code == 200 else REFUSAL
    assert len(answer.content) <= limit


@pytest.mark.parametrize(
    "change",
    [
        {"n" * 50_000: 1},
        {"customer_id": "c" * 50_000},
        {"event_ts": "\u202e" * 15_000},
        {"amount": [1] * 20_000},
        {"amount": {"a" * 50_000: {}}},
    ],
)
def test_a_refusal_of_v1_is_short(pod: Transformer, change: dict[str, Any]) -> None:
    answer = predict_v1(pod, [rows(("c1", "m1"))[0] | change])
    assert answer.status_code == 400
    assert len(answer.content) <= REFUSAL
    assert answer.json()["error"].isprintable()


def test_grpc_answers_an_output_once(pod_stack: PodStack, pod: Transformer) -> None:
    for outputs in (["status"] * 5_000, ["decision", "status", "decision"]):
        refused = pod_stack.rpc(
            "raw", pod.grpc_address, model="risk", inputs=grpc_inputs(), outputs=outputs
        )
        assert (refused["code"], refused["trailing"]["x-code"]) == (INVALID, "output_repeated")
    once = pod_stack.rpc(
        "raw", pod.grpc_address, model="risk", inputs=grpc_inputs(), outputs=["status", "decision"]
    )
    assert once["outputs"] == ["status", "decision"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"inputs": [grpc_inputs()[0] | {"name": "n" * 20_000}]}, "unknown_input"),
        ({"inputs": [grpc_inputs()[0] | {"name": "\u4e2d" * 20_000}]}, "unknown_input"),
        ({"inputs": grpc_inputs(amount={"datatype": "D" * 20_000})}, "wrong_datatype"),
        ({"inputs": grpc_inputs(amount={"shape": [1] * 5_000})}, "wrong_shape"),
        ({"outputs": ["o" * 20_000]}, "unknown_output"),
        ({"model": "\u4e2d" * 20_000}, "model_not_found"),
        ({"version": "9" * 20_000}, "model_version_not_found"),
        ({"id": "i" * 20_000}, "client_id_too_long"),
    ],
)
def test_a_refusal_over_grpc_fits_into_a_status(
    pod_stack: PodStack, pod: Transformer, more: dict[str, Any], code: str
) -> None:
    """A status over 8 KiB reaches a client as RESOURCE_EXHAUSTED."""
    call = {"model": "risk", "inputs": grpc_inputs()} | more
    answer = pod_stack.rpc("raw", pod.grpc_address, **call)
    assert answer["trailing"]["x-code"] == code
    assert len(answer["error"].encode()) <= 2_048


# --- names, versions, paths ------------------------------------------------------------------


def test_a_version_is_the_releases_on_every_path(pod: Transformer) -> None:
    model = f"{pod.url}/v2/models/risk"
    [version] = httpx.get(model).json()["versions"]
    for verb in ("", "/ready", "/config"):
        assert httpx.get(f"{model}/versions/{version}{verb}").status_code == 200, verb
        other = httpx.get(f"{model}/versions/99{verb}")
        assert (other.status_code, other.json()["code"]) == (404, "model_version_not_found"), verb
    body = v2_body(rows(("c1", "m1")))
    answered = httpx.post(f"{model}/versions/{version}/infer", json=body)
    assert answered.json()["model_version"] == version
    assert httpx.post(f"{model}/versions/99/infer", json=body).json()["code"] == (
        "model_version_not_found"
    )


@pytest.mark.parametrize("version", ["99", "1", "1.0", "01.0.0"])
def test_another_version_is_refused_over_grpc(
    pod_stack: PodStack, pod: Transformer, version: str
) -> None:
    call = {"model": "risk", "inputs": grpc_inputs(), "version": version}
    answer = pod_stack.rpc("raw", pod.grpc_address, **call)
    assert (answer["code"], answer["trailing"]["x-code"]) == (NOT_FOUND, "model_version_not_found")


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/v2/", "path_not_found"),
        ("GET", "/v2/models/risk/", "path_not_found"),
        ("POST", "/v2/models/risk/infer/", "path_not_found"),
        ("POST", "/v1/models/risk:predict/", "path_not_found"),
        ("GET", "/v2/models/risk/stats", "path_not_found"),
        ("POST", "/v2/repository/index", "path_not_found"),
        ("GET", "/docs", "path_not_found"),
        ("GET", "//other.example/v2", "path_not_found"),
        ("GET", "/" + "p" * 5_000, "path_not_found"),
        ("GET", "/v2/models/other", "model_not_found"),
        ("GET", "/v2/models/other/config", "model_not_found"),
        ("GET", "/v1/models/a%0d%0ax", "model_not_found"),
        ("GET", "/v2/models/risk/infer", "method_not_allowed"),
        ("DELETE", "/v2/models/risk", "method_not_allowed"),
        ("POST", "/metrics", "method_not_allowed"),
    ],
)
def test_what_is_not_served_is_refused_in_the_protocols_form(
    pod: Transformer, method: str, path: str, code: str
) -> None:
    headers = {"host": "elsewhere.example", "x-request-id": "path-1"}
    answer = httpx.request(method, pod.url + path, headers=headers)
    assert answer.status_code == (405 if code == "method_not_allowed" else 404)
    assert "location" not in answer.headers
    refused = answer.json()
    assert (refused["code"], refused["request_id"]) == (code, "path-1")
    assert len(answer.content) <= REFUSAL
    assert "allow" in answer.headers or code != "method_not_allowed"


def test_the_shadow_port_refuses_in_the_same_form(pod_stack: PodStack) -> None:
    with pod_stack.pod("shadow-edge", shadow=True) as pod:
        found = [httpx.get(pod.shadow.url + path) for path in ("/v2/models/risk/", "/metrics")]
    assert [(one.status_code, one.json()["code"]) for one in found] == [(404, "path_not_found")] * 2


# --- bodies ----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["\u00e9t\u00e9", "line\nbreak", "x" * 1024, " ", "7"])
def test_any_id_of_a_v2_message_comes_back(
    pod_stack: PodStack, pod: Transformer, text: str
) -> None:
    answer = predict_v2(pod, v2_body(rows(("c1", "m1")), id=text))
    assert (answer.status_code, answer.json()["id"]) == (200, text)
    assert answer.headers["x-request-id"] == answer.json()["parameters"]["request_id"]
    call = {"model": "risk", "inputs": grpc_inputs(), "id": text}
    assert pod_stack.rpc("raw", pod.grpc_address, **call)["id"] == text


@pytest.mark.parametrize(
    "body",
    [
        b'{"inputs": [], "inputs": []}',
        json.dumps(v2_body(rows(("c1", "m1")))).replace('"datatype"', '"name": "x", "datatype"'),
        json.dumps(v2_body(rows(("\u00e9", "m1")), parameters={})).replace("{}", '{"a":1,"a":2}'),
    ],
)
def test_a_key_stands_once(pod: Transformer, body: bytes | str) -> None:
    answer = infer(pod, body.encode() if isinstance(body, str) else body)
    assert (answer.status_code, answer.json()["code"]) == (400, "json_key_repeated")


@pytest.mark.parametrize(
    ("coding", "make", "status", "code"),
    [
        ("gzip", lambda: gzip.compress(bytes(200_000_000), 1), 413, "body_too_large"),
        ("gzip", lambda: gzip.compress(bytes(40_000_000)), 413, "body_too_large"),
        ("deflate", lambda: zlib.compress(bytes(40_000_000)), 413, "body_too_large"),
        ("gzip", lambda: b"not gzip", 400, "invalid_compression"),
        ("gzip", lambda: gzip.compress(b"{}")[:-4], 400, "invalid_compression"),
        ("br", lambda: b"{}", 415, "content_encoding_unsupported"),
        ("gzip, gzip", lambda: gzip.compress(b"{}"), 415, "content_encoding_unsupported"),
    ],
)
def test_compressed_bodies_have_the_bound_of_plain_ones(
    pod: Transformer, coding: str, make: Callable[[], bytes], status: int, code: str
) -> None:
    answer = infer(pod, make(), content_encoding=coding)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (answer.headers.get("accept-encoding") == "gzip, deflate") is (status == 415)


@pytest.mark.parametrize("length", ["9" * 4_301, "\u00b2", "-1", "1e3", "0x10", ""])
def test_a_strange_length_of_the_json_is_refused(pod: Transformer, length: str) -> None:
    body = json.dumps(v2_body(rows(("c1", "m1")))).encode()
    headers = {b"inference-header-content-length": length.encode("latin-1")}
    answer = httpx.post(f"{pod.url}/v2/models/risk/infer", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "wrong_json_length")


@pytest.mark.parametrize(
    ("request_bytes", "code"),
    [
        (b"NOPE\r\n\r\n", "invalid_http"),
        (b"GET /v2 HTTP/1.1\r\ncontent-length: x\r\n\r\n", "invalid_http"),
        (b"\x16\x03\x01\x02\x00\x01\x00", "invalid_http"),  # a client that speaks TLS
        (b"GET /v2 HTTP/1.1\r\nx-long: " + b"h" * 2_000_000, "head_too_large"),
    ],
)
def test_what_is_no_http_request_is_refused_in_the_same_form(
    pod: Transformer, request_bytes: bytes, code: str
) -> None:
    with socket.create_connection(("127.0.0.1", pod.http_port), 10) as connection:
        with contextlib.suppress(ConnectionError):  # it need not take all before it answers
            connection.sendall(request_bytes)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while part := connection.recv(65_536):
                answer += part
    assert not answer or json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == code
    assert answer or code == "head_too_large"


# --- protobuf --------------------------------------------------------------------------------

INFERENCE = "/inference.GRPCInferenceService"
METHODS = [
    *(f"{INFERENCE}/{name}" for name in ("ModelInfer", "ModelReady", "ServerLive", "ServerReady")),
    *(f"{INFERENCE}/{name}" for name in ("ModelMetadata", "ServerMetadata", "ModelConfig")),
    *(f"{INFERENCE}/RepositoryModel{verb}" for verb in ("Load", "Unload")),
    *(f"/grpc.health.v1.Health/{name}" for name in ("Check", "Watch")),
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
]


WITHOUT_TEXT = {f"{INFERENCE}/Server{name}" for name in ("Live", "Ready", "Metadata")}
BROKEN = [
    *((method, message) for method in METHODS for message in ("ffffff", "0a05")),
    *((method, "0a02c328") for method in METHODS if method not in WITHOUT_TEXT),
]
"""A tag that is none, a text that ends early, a text that is not UTF-8."""


@pytest.mark.parametrize(("method", "message"), BROKEN)
def test_what_is_no_protobuf_is_refused_in_our_words(
    pod_stack: PodStack, pod: Transformer, method: str, message: str
) -> None:
    answer = pod_stack.rpc("bytes", pod.grpc_address, method=method, bytes=message)
    assert answer["code"] == INVALID
    assert answer["trailing"]["x-code"] == "invalid_protobuf"
    assert "Error" not in answer["error"]
    assert "<class" not in answer["error"]


@pytest.mark.parametrize("method", [one for one in METHODS if "ModelInfer" not in one])
def test_a_long_question_is_not_repeated(
    pod_stack: PodStack, pod: Transformer, method: str
) -> None:
    name = b"x" * 50_000
    message = b"\x1a\xd0\x86\x03" + name  # field 3, which reflection looks up
    answer = pod_stack.rpc("bytes", pod.grpc_address, method=method, bytes=message.hex())
    assert (answer["code"], answer["trailing"]["x-code"]) == (
        "StatusCode.RESOURCE_EXHAUSTED", "body_too_large",
    )  # fmt: skip


def test_a_compressed_message_is_inflated_to_the_limit_only(
    pod_stack: PodStack, pod: Transformer
) -> None:
    """grpc bounds it; this holds that it still does."""
    asked = tensors(rows(("c" * 40_000_000, "m1")))
    answer = pod_stack.rpc(
        "infer", pod.grpc_address, model="risk", tensors=asked, compression="gzip"
    )
    assert answer["code"] == "StatusCode.RESOURCE_EXHAUSTED"

"""Whatever a client sends is answered or refused: never a 5xx, a log line or a lost connection.

Right requests are damaged at random, from fixed seeds: their values, their structure, their bytes,
their headers.
"""

from __future__ import annotations

import json
import logging
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import orjson
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from proviso.records.reader import RecordReader
from tests.kserve_process.open_pod import Answer, Http, OpenPod, open_pod, request_bytes
from tests.local.pod_calls import grpc_inputs
from tests.local.pod_stack import rows, v2_body

V1, V2 = "/v1/models/risk:predict", "/v2/models/risk/infer"
LARGEST_REFUSAL = 4_096
REST_REQUESTS, RPC_REQUESTS = 400, 400  # a seed
SEEDS = (1, 2, 3)

NUMBERS = ["1e999", "-1e999", "NaN", "Infinity", "1" + "0" * 400, "1" + "0" * 4_301, "-0.0",
           "1e308", "3.4028235677973366e38", "3.4028235e38", "5e-324", "18446744073709551615",
           "18446744073709551616", "-9223372036854775809", "0x10", "1_000", "01", ".5"]  # fmt: skip
TEXTS = ["", "\0", "a\nb", "\u2028", "\U0010ffff", "\ufffe", "x" * 300, "x" * 20_000, "%00", "nan",
         "0001-01-01T00:00:00Z", "9999-12-31t23:59:59.999999z",
         "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+12:00", "2018-W25-3T12:00:00Z",
         "2018-06-20\x0012:00:00Z", "2018-06-20T12:00:00,5Z", "2018-06-20T12:00:00+00:00:01",
         "0000-00-00T00:00:00Z", "2018-06-20T12:00:00Z" + "0" * 5_000, "FP64", "BYTES", "risk",
         "probability", "status", "../..", "event_ts"]  # fmt: skip
LITERALS = [*NUMBERS, '"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', "true", "null", "[]", "{}",
            "[" * 900 + "]" * 900, "[" * 2_000 + "]" * 2_000, '{"a":' * 900 + "1" + "}" * 900,
            *map(json.dumps, TEXTS)]  # fmt: skip
LENGTHS = ["-1", "0", "1", "7", "99999999999999999999", "9" * 4_301, "\xb2", "1e3", " 12", "x"]
IDS = ["a", "x" * 127, "x" * 10_000, "\xff\xfe", "a\tb", "%0a", "\x7f"]
PATHS = [V1, V2, "/", "//", "/v2/models/%00/infer", "/v2/models/risk/versions/99/infer", "*",
         "/v2/models/" + "x" * 9_000, "/%ff", f"{V1}?a=%00", "/v2/models/risk/", "http://other/v2",
         "/v2/repository/index", "/metrics/", "/\xc3\xa9"]  # fmt: skip
METHODS = [b"POST", b"GET", b"HEAD", b"PUT", b"OPTIONS", b"DELETE", b"TRACE", b"X"]
ENCODINGS = ["gzip", "deflate", "br", "gzip, gzip", "identity", "x" * 5_000]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenPod]:
    with open_pod(tmp_path_factory.mktemp("pod")) as found:
        found.pod._deadline = 30_000_000  # noqa: SLF001
        yield found


@pytest.fixture
def silent() -> Iterator[None]:
    """The pod writes nothing; uvicorn may say that bytes were no HTTP."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Lines(logging.WARNING)
    heard = [logging.getLogger(name) for name in (None, "kserve", "uvicorn")]
    for one in heard:
        one.addHandler(handler)
    yield
    for one in heard:
        one.removeHandler(handler)
    assert set(lines) <= {"Invalid HTTP request received."}


class Literal:
    """JSON text that stands in a document as it is."""

    def __init__(self, text: str) -> None:
        self.text = text


def places(document: Any) -> list[tuple[Any, Any]]:
    """Every holder and key in a document."""
    keys = list(document) if isinstance(document, dict) else range(len(document))
    found: list[tuple[Any, Any]] = []
    for key in keys:
        found.append((document, key))
        if isinstance(document[key], dict | list):
            found += places(document[key])
    return found


def damaged(chance: random.Random, document: dict[str, Any]) -> str:
    """The JSON of a document after one to three changes."""
    for _ in range(chance.randint(1, 3)):
        spots = places(document)
        if not spots:
            break
        holder, key = chance.choice(spots)
        change = chance.random()
        if change < 0.6:
            holder[key] = Literal(chance.choice(LITERALS))
        elif change < 0.7:
            holder[key] = [holder[key]] * chance.choice([1, 2, 70])
        elif change < 0.8 and isinstance(holder, dict):
            holder[chance.choice(TEXTS)[:200]] = holder[key]
        elif change < 0.9:
            holder[key] = chance.choice([-1, 0, 2**53 + 1, 0.1, 1e-320, True, None, "1"])
        else:
            del holder[key]
    return text_of(document)


def text_of(value: Any) -> str:
    if isinstance(value, Literal):
        return value.text
    if isinstance(value, dict):
        pairs = (f"{json.dumps(k)}: {text_of(v)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(text_of, value)) + "]"
    return json.dumps(value)


def torn(chance: random.Random, body: bytes) -> bytes:
    """Bytes of a body changed, in one of four."""
    if chance.random() < 0.75 or not body:
        return body
    at = chance.randrange(len(body))
    some = chance.randbytes(chance.randint(1, 9))
    return chance.choice([body[:at], body[at:], body[:at] + some + body[at:], body + some])


def headers(chance: random.Random) -> dict[str, str]:
    found = {}
    if chance.random() < 0.15:
        found["x-request-id"] = chance.choice(IDS)
    if chance.random() < 0.05:
        found["content-encoding"] = chance.choice(ENCODINGS)
    if chance.random() < 0.05:
        found["upgrade"] = chance.choice(["websocket", "h2c"])
        found["connection"] = "upgrade"
    return found


def v1_request(chance: random.Random) -> bytes:
    document = {"instances": rows(*[("c1", "m1")] * chance.randint(1, 3))}
    body = damaged(chance, document).encode("utf-8", "surrogatepass")
    return request_bytes(V1, torn(chance, body), **headers(chance))


def v2_request(chance: random.Random) -> bytes:
    more = {"id": "own", "parameters": {"binary_data_output": chance.random() < 0.5},
            "outputs": [{"name": "probability", "parameters": {"binary_data": True}}]}  # fmt: skip
    document = v2_body(rows(*[("c1", "m1")] * chance.randint(1, 3)), **more)
    body = damaged(chance, document).encode("utf-8", "surrogatepass")
    return request_bytes(V2, torn(chance, body), **headers(chance))


def binary_request(chance: random.Random) -> bytes:
    """V2 with binary tensors; sizes, lengths and raw bytes may not fit each other."""
    document, tail = v2_body(rows(("c1", "m1"))), b""
    for tensor in document["inputs"]:
        data = tensor.pop("data")[0]
        text = data if isinstance(data, str) else ""
        wrong = chance.random() < 0.1
        number = chance.choice([float("nan"), float("inf"), 1e39, 5e-324]) if wrong else 1.0
        said = chance.choice([0, 3, 2**31, 2**32 - 1]) if wrong else len(text)
        fp64 = tensor["datatype"] == "FP64"
        raw = struct.pack("<d", number) if fp64 else struct.pack("<I", said) + text.encode()
        odd = chance.random() < 0.05
        size = chance.choice([0, 1, 2**31, 2**63, -1]) if odd else len(raw)
        tensor["parameters"] = {"binary_data_size": size}
        tail += raw
    whole = chance.random() < 0.6
    head = (text_of(document) if whole else damaged(chance, document)).encode(
        "utf-8", "surrogatepass"
    )
    length = chance.choice([str(len(head))] * 4 + LENGTHS)
    named = {"inference-header-content-length": length} | headers(chance)
    return request_bytes(V2, torn(chance, head + tail), **named)


def odd_request(chance: random.Random) -> bytes:
    """Another path, method, length or head."""
    body = orjson.dumps({"instances": rows(("c1", "m1"))})
    raw = request_bytes(chance.choice(PATHS), body, **headers(chance))
    raw = raw.replace(b"POST", chance.choice(METHODS), 1)
    if chance.random() < 0.3:
        wrong = chance.choice(LENGTHS).encode("latin-1")
        raw = raw.replace(str(len(body)).encode(), wrong, 1)
    if chance.random() < 0.2:
        raw = raw.replace(b"host: pod", b"transfer-encoding: chunked", 1)
    return torn(chance, raw)


async def sent(opened: OpenPod, http: Http, data: bytes) -> tuple[Http, Answer | None]:
    """The first answer to some bytes; None where the server waits for more of them.

    What is behind the first request, or has no end, must not change how the next one is read.
    """
    await http.send(data)
    try:
        answer = await http.answer(seconds=1)
    except TimeoutError:
        answer = None
    if answer is None or "connection" in answer.headers or len(data) > 60_000:
        await http.close()
        return await opened.connect(), answer
    return http, answer


REST: dict[str, Callable[[random.Random], bytes]] = {
    "v1": v1_request, "v2": v2_request, "binary": binary_request,
}  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", REST)
@pytest.mark.usefixtures("silent")
def test_no_rest_request_is_our_error(opened: OpenPod, kind: str, seed: int) -> None:
    chance = random.Random(f"{kind} {seed}")

    async def all_of_them() -> set[int]:
        codes, http = set(), await opened.connect()
        for _ in range(REST_REQUESTS):
            data = REST[kind](chance)
            http, answer = await sent(opened, http, data)
            assert answer is not None, data[:2_000]
            assert answer.code < 500, (answer, data[:2_000])
            if answer.code != 200:
                assert len(answer.body) <= LARGEST_REFUSAL, data[:2_000]
                if answer.headers["content-type"] == "application/json":
                    assert answer.json["code"], data[:2_000]
                    assert answer.json["field"], data[:2_000]
            codes.add(answer.code)
        await http.close()
        return codes

    assert {200, 400} <= opened.run(all_of_them())
    assert opened.total("500") == 0


@pytest.mark.usefixtures("silent")
def test_no_odd_head_is_our_error(opened: OpenPod) -> None:
    chance = random.Random("odd")

    async def all_of_them() -> set[int]:
        codes = set()
        for _ in range(150):
            http, data = await opened.connect(), odd_request(chance)
            http, answer = await sent(opened, http, data)
            await http.close()
            if answer is not None:
                assert answer.code < 500, data[:2_000]
                codes.add(answer.code)
        return codes

    assert {400, 404, 405} <= opened.run(all_of_them())
    assert opened.total("500") == 0


def reshape(chance: random.Random, tensor: Any) -> None:
    shapes: list[list[int]] = [[], [-1, 1], [2**62, 2], [0, 1], [1, 1, 1], [1, -1], [65, 1]]
    del tensor.shape[:]
    tensor.shape.extend(chance.choice(shapes))


def retype(chance: random.Random, tensor: Any) -> None:
    tensor.datatype = chance.choice([*TEXTS, "INT64", "FP32"])


def rename(chance: random.Random, tensor: Any) -> None:
    tensor.name = chance.choice(TEXTS)


def type_too(_: random.Random, tensor: Any) -> None:
    tensor.contents.fp64_contents.extend([1.0, float("nan")])


def share(_: random.Random, tensor: Any) -> None:
    tensor.parameters["shared_memory_region"].string_param = "x"


DAMAGE = (reshape, retype, rename, type_too, share)


def pieces(raw: bytes) -> list[bytes]:
    """What may stand for a tensor's raw bytes."""
    floats = [struct.pack("<d", value) for value in (1e39, float("-inf"), float("nan"), 5e-324)]
    return [b"", raw[:-1], raw + b"x", struct.pack("<I", 2**32 - 1) + raw, *floats]


def rpc_request(chance: random.Random) -> Any:
    """A ModelInferRequest, damaged as a message."""
    request = pb.ModelInferRequest(model_name="risk", id=chance.choice(TEXTS)[:200])
    for tensor in grpc_inputs():
        name, datatype, shape = tensor["name"], tensor["datatype"], tensor["shape"]
        made = request.inputs.add(name=name, datatype=datatype, shape=shape)
        raw = bytes.fromhex(tensor["raw"])
        request.raw_input_contents.append(raw)
        if chance.random() < 0.25:
            chance.choice(DAMAGE)(chance, made)
        elif chance.random() < 0.1:
            request.raw_input_contents[-1] = chance.choice(pieces(raw))
    whole = chance.random()
    if whole < 0.1:
        del request.raw_input_contents[:]
    elif whole < 0.2:
        request.raw_input_contents.append(b"x" * 100)
    elif whole < 0.3:
        request.outputs.add(name=chance.choice(TEXTS))
    elif whole < 0.35:
        request.model_version = chance.choice(TEXTS)
    return request


async def asked(call: Any, data: bytes, request_id: str) -> tuple[str, str]:
    """Code and details of one call."""
    try:
        await call(data, metadata=[("x-request-id", request_id)], timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or ""
    return "OK", ""


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.usefixtures("silent")
def test_no_grpc_request_is_our_error(opened: OpenPod, seed: int) -> None:
    chance = random.Random(f"grpc {seed}")
    client = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED"}

    async def all_of_them() -> set[str]:
        codes = set()
        async with opened.channel() as channel:
            call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
            for _ in range(RPC_REQUESTS):
                data = torn(chance, rpc_request(chance).SerializeToString())
                named = chance.choice(["a", "x" * 127, "x" * 2_000, " "])
                code, details = await asked(call, data, named)
                assert code in client, data
                assert len(details) < LARGEST_REFUSAL, data
                codes.add(code)
        return codes

    assert {"OK", "INVALID_ARGUMENT"} <= opened.run(all_of_them())
    assert opened.total("500") == 0


def test_what_was_answered_is_what_the_record_says(opened: OpenPod) -> None:
    """Every vector of the record is the one that the model got: nothing in it became null."""

    async def ask() -> list[int]:
        http, codes = await opened.connect(), []
        for amount in ("3.4028235e38", "-3.4028235e38", "1e-46", "16777217", "9007199254740993"):
            literal = json.dumps({"instances": rows(("c1", "m1"))}).replace("10.0", amount)
            answer = await http.ask(V1, literal.encode())
            codes.append(0 if answer is None else answer.code)
        await http.close()
        return codes

    assert set(opened.run(ask())) == {200}
    count = 0
    for record in RecordReader(opened.record, ("vector",)):
        vector = np.array(record["vector"], dtype=np.float64)
        assert np.isfinite(vector).all()
        assert (vector.astype(np.float32).astype(np.float64) == vector).all()
        count += 1
    assert count > 5

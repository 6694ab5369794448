"""A fault of the pod's own, a slow client, a client that gives up: what each answer keeps."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Iterator
from typing import Any

import grpc
import orjson
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from feature_runtime.serving import http_protocol, rest
from feature_runtime.serving.logs import LineFormatter
from tests.kserve_process.open_pod import Answer, OpenPod, open_pod, request_bytes
from tests.local.pod_calls import grpc_inputs
from tests.local.pod_stack import rows, v2_body

V1, V2 = "/v1/models/risk:predict", "/v2/models/risk/infer"
GOOD_V1 = orjson.dumps({"instances": rows(("c1", "m1"))})
SECRET = "customer-42\n2026-01-01 kserve INFO forged"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenPod]:
    with open_pod(tmp_path_factory.mktemp("pod")) as found:
        yield found


@pytest.fixture
def open_(opened: OpenPod) -> Iterator[OpenPod]:
    """The pod, whole again after the test."""
    deadline = opened.pod._deadline  # noqa: SLF001
    opened.pod._deadline = 30_000_000  # noqa: SLF001
    yield opened
    opened.store.fault = opened.predictor.fault = opened.predictor.wait = None
    opened.pod._deadline = deadline  # noqa: SLF001


class Lines(logging.Handler):
    """Keeps what a handler of the pod would write."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(LineFormatter(logging.Formatter(), hide_values=False))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The lines that the pod writes."""
    handler = Lines()
    loggers = [logging.getLogger(name) for name in (None, "kserve", "uvicorn")]
    heard = [one for one in loggers if one.parent is None or not one.propagate]
    for one in heard:
        one.addHandler(handler)
    yield handler.lines
    for one in heard:
        one.removeHandler(handler)


def infer_request(**changes: Any) -> Any:
    """A right ModelInferRequest."""
    request = pb.ModelInferRequest(model_name="risk", **changes)
    for tensor in grpc_inputs():
        request.inputs.add(name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"])
        request.raw_input_contents.append(bytes.fromhex(tensor["raw"]))
    return request


async def rpc(open_: OpenPod, request: Any, **how: Any) -> tuple[str, dict[str, str]]:
    """The status of one call and its trailing metadata."""
    async with open_.channel() as channel:
        call = open_.stub(channel).ModelInfer(request, **how)
        try:
            await call
        except grpc.aio.AioRpcError as error:
            found = {k: v for k, v in error.trailing_metadata() if isinstance(v, str)}
            return error.code().name, found
        return "OK", dict(await call.trailing_metadata())


def broken() -> Exception:
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        return error


@pytest.mark.parametrize(
    ("path", "body", "headers", "named"),
    [
        (V1, GOOD_V1, {"x_request_id": "mine"}, "mine"),
        (V2, orjson.dumps(v2_body(rows(("c1", "m1")))), {"x_request_id": "mine"}, "mine"),
        (V2, orjson.dumps(v2_body(rows(("c1", "m1")), id="own")), {}, "own"),
        (V1, GOOD_V1, {}, None),
    ],
    ids=["v1", "v2", "the id of a V2 body", "no id"],
)
@pytest.mark.parametrize("part", ["store", "predictor"])
def test_an_internal_error_keeps_id_release_code_and_connection(
    open_: OpenPod,
    logged: list[str],
    path: str,
    body: bytes,
    headers: dict[str, str],
    named: str | None,
    part: str,
) -> None:
    protocol = path[1:3]
    before = open_.counted(protocol, 500, "internal")

    async def two_behind_each_other() -> tuple[Answer | None, Answer | None]:
        getattr(open_, part).fault = broken()
        http = await open_.connect()
        await http.send(request_bytes(path, body, **headers) + request_bytes("/v2/nothing", b""))
        first = await http.answer()
        getattr(open_, part).fault = None
        await http.answer()
        second = await http.ask(path, body, **headers)
        await http.close()
        return first, second

    first, second = open_.run(two_behind_each_other())
    assert first is not None
    assert second is not None
    assert (first.code, first.json["code"], second.code) == (500, "internal_error", 200)
    assert first.headers["x-release"] == open_.pod.release.id
    assert first.headers["x-request-id"] == first.json["request_id"]
    if named is not None:
        assert first.json["request_id"] == named
    assert open_.counted(protocol, 500, "internal") == before + 1
    assert b"customer-42" not in first.body
    [line] = logged
    assert f"request {first.json['request_id']}" in line
    assert line.isprintable()


def test_an_internal_error_over_grpc_keeps_id_release_and_code(
    open_: OpenPod, logged: list[str]
) -> None:
    open_.predictor.fault = broken()
    metadata = [("x-request-id", "mine")]
    for request, how, named in (
        (infer_request(), {"metadata": metadata}, "mine"),
        (infer_request(id="own"), {}, "own"),
    ):
        status, trailing = open_.run(rpc(open_, request, **how))
        assert (status, trailing["x-code"]) == ("INTERNAL", "internal_error")
        assert (trailing["x-request-id"], trailing["x-release"]) == (named, open_.pod.release.id)
    assert open_.counted("grpc", 500, "internal") == 2
    assert [line.isprintable() for line in logged] == [True, True]
    open_.predictor.fault = None
    assert open_.run(rpc(open_, infer_request()))[0] == "OK"


def test_a_fault_outside_predictions_ends_alike(
    open_: OpenPod, logged: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> bytes:
        raise broken()

    async def both() -> tuple[Answer | None, Answer | None]:
        http = await open_.connect()
        get = b"GET /metrics HTTP/1.1\r\nhost: pod\r\nx-request-id: mine\r\n\r\n"
        with monkeypatch.context() as patch:
            patch.setattr(rest, "generate_latest", fail)
            await http.send(get)
            first = await http.answer()
        await http.send(get)
        second = await http.answer()
        await http.close()
        return first, second

    first, second = open_.run(both())
    assert first is not None
    assert second is not None
    assert (first.code, second.code) == (500, 200)
    assert (first.json["code"], first.headers["x-request-id"]) == ("internal_error", "mine")
    assert len(logged) == 1


def test_a_slowly_sent_body_is_the_clients(open_: OpenPod, logged: list[str]) -> None:
    open_.pod._deadline = 200_000  # noqa: SLF001
    before = open_.counted("v1", 408, "slow_request")

    async def slow() -> tuple[Answer | None, Answer | None]:
        http = await open_.connect()
        whole = request_bytes(V1, GOOD_V1, x_request_id="mine")
        await http.send(whole[:-5])
        found = await http.answer()
        after = await http.answer()
        await http.close()
        return found, after

    found, after = open_.run(slow())
    assert found is not None
    assert (found.code, found.json["code"], found.json["field"]) == (
        408, "request_timeout", "request",
    )  # fmt: skip
    assert (found.headers["x-request-id"], found.headers["connection"]) == ("mine", "close")
    assert after is None, "the connection has ended"
    assert open_.counted("v1", 408, "slow_request") == before + 1
    assert logged == []


def test_a_client_that_leaves_amid_its_body_is_counted_as_such(
    open_: OpenPod, logged: list[str]
) -> None:
    async def leave() -> None:
        http = await open_.connect()
        await http.send(request_bytes(V2, b"{" * 100)[:-5])
        await asyncio.sleep(0.1)
        await http.close()
        await asyncio.sleep(0.1)

    open_.run(leave())
    assert open_.counted("v2", 499, "disconnect") == 1
    assert logged == []


@pytest.mark.parametrize("seconds", [1.0, None], ids=["deadline", "cancelled"])
def test_a_grpc_call_that_is_given_up_is_counted_as_such(
    open_: OpenPod, logged: list[str], seconds: float | None
) -> None:
    open_.predictor.wait = asyncio.Event()
    before, ours = open_.counted("grpc", 499, "cancelled"), open_.total("500") + open_.total("504")

    async def until_in_flight(count: int) -> None:
        async with asyncio.timeout(20):
            while open_.pod._in_flight["live"] != count:  # noqa: SLF001
                await asyncio.sleep(0.01)

    async def give_up() -> None:
        async with open_.channel() as channel:
            await channel.channel_ready()
            infer = open_.stub(channel).ModelInfer
            calls = [infer(infer_request(), timeout=seconds) for _ in range(20)]
            asked = asyncio.gather(*calls, return_exceptions=True)
            await until_in_flight(20)
            if seconds is None:
                for call in calls:
                    call.cancel()
            await asked
            await until_in_flight(0)

    open_.run(give_up())
    assert open_.counted("grpc", 499, "cancelled") == before + 20
    assert open_.total("500") + open_.total("504") == ours
    assert logged == []


def test_a_head_that_is_too_slow_or_too_large_ends_its_connection(
    open_: OpenPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.1)

    async def send(*parts: bytes) -> tuple[Answer | None, Answer | None]:
        http = await open_.connect()
        for part in parts:
            await http.send(part)
        found = await http.answer()
        after = None if found is None else await http.answer()
        await http.close()
        return found, after

    slow, ended = open_.run(send(b"POST / HTTP/1.1\r\nhost: x\r\nx-slow: "))
    assert slow is not None
    assert (slow.code, ended) == (408, None)

    async def endless() -> int:
        _, writer = await asyncio.open_connection("127.0.0.1", open_.http_port)
        sent = 0
        try:
            writer.write(b"POST / HTTP/1.1\r\n")
            while sent < 50 * http_protocol.HEAD_BYTES:
                writer.write(b"x-%d: " % sent + b"x" * 8_000 + b"\r\n")
                sent += 8_000
                await writer.drain()
                await asyncio.sleep(0)
        except OSError:
            pass
        writer.close()
        await asyncio.gather(writer.wait_closed(), return_exceptions=True)
        return sent

    assert open_.run(endless()) < 49 * http_protocol.HEAD_BYTES
    good, _ = open_.run(send(request_bytes(V1, GOOD_V1, connection="close")))
    assert good is not None
    assert good.code == 200


@pytest.mark.parametrize("behind", [b"no HTTP at all\r\n\r\n", b"GET / HTTP/1.1\r\nx: "])
def test_what_is_behind_a_request_does_not_cost_its_answer(
    open_: OpenPod, monkeypatch: pytest.MonkeyPatch, behind: bytes
) -> None:
    monkeypatch.setattr(http_protocol, "HEAD_SECONDS", 0.1)

    async def both() -> list[int]:
        open_.predictor.wait = asyncio.Event()
        http = await open_.connect()
        await http.send(request_bytes(V1, GOOD_V1) + behind)
        await asyncio.sleep(0.3)
        await http.send(behind)
        open_.predictor.wait.set()
        codes = []
        while (answer := await http.answer()) is not None:
            codes.append(answer.code)
        await http.close()
        return codes

    assert open_.run(both()) == [200]


OFFERS = {
    "Java's": {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c",
               "http2-settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA"},
    "a web socket": {"connection": "upgrade", "upgrade": "websocket"},
    "TLS, kept alive": {"connection": "keep-alive, Upgrade", "upgrade": "TLS/1.2, HTTP/1.1"},
}  # fmt: skip


@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
def test_a_request_that_offers_another_protocol_is_answered(
    open_: OpenPod, logged: list[str], offer: dict[str, str]
) -> None:
    """Its body may come with the head, behind it or in chunks, and others may follow."""
    whole = request_bytes(V1, GOOD_V1, x_request_id="mine", **offer)
    at = len(whole) - len(GOOD_V1)
    length = f"content-length: {len(GOOD_V1)}".encode()
    chunked = whole[:at].replace(length, b"transfer-encoding: chunked")
    chunked += b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD_V1), GOOD_V1)
    get = b"GET /v2/health/live HTTP/1.1\r\nhost: pod\r\n\r\n"

    async def all_of_them(*parts: bytes) -> list[Answer | None]:
        http = await open_.connect()
        for part in parts:
            await http.send(part)
            await asyncio.sleep(0.02)
        answers = [await http.answer() for _ in range(3)]
        await http.close()
        return answers

    for parts in (
        (whole + get + whole,),
        (whole[:at], GOOD_V1 + get + whole[:at], GOOD_V1),
        (whole[:30], whole[30 : at + 9], whole[at + 9 :], get + whole),
        (chunked + get, whole[: at - 3], whole[at - 3 :]),
    ):
        answers = open_.run(all_of_them(*parts))
        found = [(a.code, a.headers.get("x-request-id")) for a in answers if a is not None]
        assert found == [(200, "mine"), (200, None), (200, "mine")]
    assert logged == []


def test_a_tunnel_is_refused(open_: OpenPod) -> None:
    async def connect() -> Answer | None:
        http = await open_.connect()
        await http.send(b"CONNECT other:443 HTTP/1.1\r\nhost: other:443\r\n\r\n")
        found = await http.answer()
        await http.close()
        return found

    found = open_.run(connect())
    assert found is not None
    assert (found.code, found.json["code"]) == (400, "invalid_http")


def test_a_damaged_body_is_refused_at_once(open_: OpenPod) -> None:
    async def damaged() -> tuple[Answer | None, Answer | None]:
        http = await open_.connect()
        head = f"POST {V1} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
        await http.send(head.encode() + b"5\r\n{}   \r\n")
        await asyncio.sleep(0.05)
        await http.send(b"zz\r\n")
        answers = await http.answer(), await http.answer()
        await http.close()
        return answers

    first, second = open_.run(damaged())
    assert first is not None
    assert (first.code, first.json["code"], second) == (400, "invalid_http", None)


def test_a_large_body_before_a_split_head_is_no_large_head(open_: OpenPod) -> None:
    async def both() -> list[int]:
        http = await open_.connect()
        large = request_bytes(V1, GOOD_V1 + b" " * 40_000)
        await http.send(large * 2 + large[:20])
        codes = [found.code for _ in range(2) if (found := await http.answer()) is not None]
        await http.send(large[20:])
        last = await http.answer()
        await http.close()
        return [*codes, 0 if last is None else last.code]

    assert open_.run(both()) == [200, 200, 200]


def test_refusals_are_counted_and_not_logged(open_: OpenPod, logged: list[str]) -> None:
    """None of them writes a line, whatever the client put into it."""
    odd = "x\n2026-01-01 kserve INFO forged"
    before = open_.total("400") + open_.total("404")

    async def refused() -> list[str]:
        found = []
        for request in (
            infer_request(), pb.ModelInferRequest(model_name=odd),
            pb.ModelInferRequest(model_name="n" * 30_000),
        ):  # fmt: skip
            if request.model_name == "risk":
                request.inputs[0].name = odd
            found.append((await rpc(open_, request))[0])
        async with open_.channel() as channel:
            for ask in (
                open_.stub(channel).ModelReady(pb.ModelReadyRequest(name=odd)),
                open_.stub(channel).ModelMetadata(pb.ModelMetadataRequest(name="n" * 30_000)),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as error:
                    await ask
                found.append(error.value.code().name)
        http = await open_.connect()
        for path in (
            "/v2/models/a%0Ab",
            "/v1/models/" + "n" * 9_000,
            "/nothing",
            "/v2/models/x/ready",
        ):
            await http.send(f"GET {path} HTTP/1.1\r\nhost: pod\r\n\r\n".encode())
            answer = await http.answer()
            assert answer is not None
            found.append(str(answer.code))
        await http.close()
        return found

    codes = open_.run(refused())
    assert set(codes) == {"INVALID_ARGUMENT", "NOT_FOUND", "RESOURCE_EXHAUSTED", "404"}, codes
    assert open_.total("400") + open_.total("404") == before + 3
    assert logged == []


def test_a_connection_that_is_reset_is_no_line(open_: OpenPod, logged: list[str]) -> None:
    async def reset() -> None:
        for data in (b"", request_bytes(V1, GOOD_V1)[:-3], request_bytes(V1, GOOD_V1)):
            one = socket.create_connection(("127.0.0.1", open_.http_port))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            one.sendall(data)
            one.close()
            await asyncio.sleep(0.1)

    open_.run(reset())
    assert logged == []

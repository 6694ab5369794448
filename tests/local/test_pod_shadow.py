"""The shadow ports of a pod: where a mirrored request lands is what tells it apart."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest

from proviso.local.processes import LOOPBACK
from proviso.local.transformer import Transformer
from tests.local.pod_calls import metric, tensors
from tests.local.pod_stack import (
    PodStack,
    predict_v1,
    predict_v2,
    records,
    release_id,
    rows,
    v2_body,
)

GOOD = rows(("c1", "m1"))


@pytest.fixture(scope="module")
def pod(pod_stack: PodStack) -> Iterator[Transformer]:
    """One with shadow ports and room for one request of each traffic; its predictor has a name."""
    predictor = f"localhost:{pod_stack.triton.grpc_port}"
    arguments = ["--max-in-flight", "1"]
    with pod_stack.pod("both", predictor=predictor, shadow=True, arguments=arguments) as both:
        yield both


def requests(stack: PodStack, pod: Transformer, traffic: str, protocol: str) -> float:
    arm, release = {"live": "serve", "shadow": "shadow"}[traffic], release_id(stack.release)
    by = f'arm="{arm}",code="200",protocol="{protocol}",reason="ok",release="{release}"'
    by += f',traffic="{traffic}"'
    return metric(pod, f"proviso_requests_total{{{by}}}") or 0.0


def test_the_port_is_the_arm(pod_stack: PodStack, pod: Transformer) -> None:
    for one, named in ((pod, "client"), (pod.shadow, "mirror")):
        v1 = predict_v1(one, GOOD, x_request_id=f"{named}-v1", x_arm="live")
        v2 = predict_v2(one, v2_body(GOOD), x_request_id=f"{named}-v2")
        asked = {"model": "risk", "tensors": tensors(GOOD), "request_id": f"{named}-grpc"}
        rpc = pod_stack.rpc("infer", one.grpc_address, **asked)
        assert (v1.status_code, v2.status_code) == (200, 200)
        assert rpc["outputs"]["decision"] == [v1.json()["predictions"][0]["decision"]]
    recorded = {(line["request_id"], line["traffic"]) for line in records(pod)}
    assert {("client-v1", "live"), ("client-v2", "live")} <= recorded
    assert {("mirror-v1", "shadow"), ("mirror-v2", "shadow")} <= recorded
    assert [line["traffic"] for line in records(pod)] == ["live"] * 3 + ["shadow"] * 3
    for protocol in ("v1", "v2", "grpc"):
        for traffic in ("live", "shadow"):
            assert requests(pod_stack, pod, traffic, protocol) == 1


def test_one_request_id_may_stand_once_for_each_arm(pod: Transformer) -> None:
    for one in (pod, pod.shadow):
        assert predict_v1(one, GOOD, x_request_id="mirrored").status_code == 200
    found = [line for line in records(pod) if line["request_id"] == "mirrored"]
    assert [line["traffic"] for line in found] == ["live", "shadow"]
    assert found[0]["probability"] == found[1]["probability"]


def test_the_shadow_port_has_predictions_and_health_alone(
    pod_stack: PodStack, pod: Transformer
) -> None:
    assert pod.shadow.live()
    assert pod.shadow.ready()
    for path in ("/metrics", "/", "/v2", "/v1/models/risk", "/docs", "/openapi.json"):
        assert httpx.get(f"{pod.shadow.url}{path}").status_code == 404
    wrong = predict_v1(pod.shadow, [])
    assert (wrong.status_code, wrong.json()["reason"]) == (400, "bad_input")
    health = pod_stack.rpc("health", pod.shadow.grpc_address, model="risk")
    assert (health["live"], health["ready"], health["model_ready"]) == (True, True, True)


def test_mirrored_requests_shed_no_clients_request(pod: Transformer) -> None:
    head = b"POST /v1/models/risk:predict HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n"
    with closing(socket.create_connection((LOOPBACK, pod.shadow.http_port))) as unfinished:
        unfinished.sendall(head)
        answers = [(predict_v1(pod.shadow, GOOD), predict_v1(pod, GOOD)) for _ in range(5)]
        assert {mirrored.status_code for mirrored, _ in answers} == {429}
        assert {client.status_code for _, client in answers} == {200}
        unfinished.sendall(b"{}       ")
        assert unfinished.recv(12) == b"HTTP/1.1 400"
    assert predict_v1(pod.shadow, GOOD).status_code == 200

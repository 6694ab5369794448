"""Standard clients of the Open Inference Protocol against one endpoint: a plain script.

    python tests/protocol_clients.py triton-http --http http://127.0.0.1:8080 --model fraud-risk \\
        --rows rows.json [--host NAME] [--grpc 127.0.0.1:8081] [--perf DIR]

rows.json has V1 instances; every client sends them. A client is a process of its own, because
kserve and tritonclient.grpc register the same protobuf symbols. --host is the host name by which a
gateway routes. Prints one JSON object: what the client's calls returned, by name of the call.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

Found = dict[str, Any]

PERF = Path(__file__).parents[1] / ".venv/perf"
OUTPUTS = ("probability", "decision", "status")
_NUMPY = {"BYTES": np.object_, "FP64": np.float64, "INT64": np.int64}
_DATATYPES = {str: "BYTES", float: "FP64", int: "INT64"}


class Target:
    """Where to ask, what, and with which rows."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.url: str = options.http
        self.address: str = urlsplit(options.http).netloc
        self.grpc: str = options.grpc or self.address
        self.model: str = options.model
        self.host: str | None = options.host
        self.perf: Path = options.perf
        self.rows: list[dict[str, Any]] = json.loads(options.rows.read_text(encoding="utf-8"))

    @property
    def headers(self) -> dict[str, str]:
        return {"Host": self.host} if self.host else {}

    @property
    def channel(self) -> list[tuple[str, Any]]:
        return [("grpc.default_authority", self.host)] if self.host else []

    def columns(self) -> list[tuple[str, str, Any]]:
        """Name, datatype and array [n, 1] of each input."""
        first = self.rows[0]
        return [
            (name, kind, np.array([row[name] for row in self.rows], _NUMPY[kind]).reshape(-1, 1))
            for name, kind in ((name, _DATATYPES[type(value)]) for name, value in first.items())
        ]


def kserve_rest(target: Target) -> Found:
    """kserve.InferenceRESTClient, V1 and V2, tensors as JSON and as bytes."""
    from kserve import InferenceRESTClient, RESTConfig

    async def ask() -> Found:
        v1 = InferenceRESTClient(RESTConfig(protocol="v1"))
        v2 = InferenceRESTClient(RESTConfig(protocol="v2"))
        where = (target.url, target.model)
        headers = target.headers
        found = {
            "v1_live": await v1.is_server_live(target.url, headers),
            "v1_model_ready": await v1.is_model_ready(*where, headers=headers),
            "live": await v2.is_server_live(target.url, headers),
            "ready": await v2.is_server_ready(target.url, headers),
            "model_ready": await v2.is_model_ready(*where, headers=headers),
            "other_model_ready": await v2.is_model_ready(target.url, "other", headers=headers),
        }
        predicted = await v1.infer(target.url, {"instances": target.rows}, target.model, headers)
        found["v1"] = {
            "probability": [row["probability"] for row in predicted["predictions"]],
            "decision": [row["decision"] for row in predicted["predictions"]],
        }
        for name, binary in (("json", False), ("binary", True)):
            data = _kserve_request(target, "kserve-rest", binary=binary)
            answer = await v2.infer(target.url, data, target.model, dict(headers))
            found[name] = _of_kserve(answer)
        return found

    return asyncio.run(ask())


def kserve_grpc(target: Target) -> Found:
    """kserve.InferenceGRPCClient, tensors typed and raw."""
    from kserve import InferenceGRPCClient

    async def ask() -> Found:
        async with InferenceGRPCClient(target.grpc, channel_args=target.channel) as client:
            found: Found = {
                "live": await client.is_server_live(),
                "ready": await client.is_server_ready(),
                "model_ready": await client.is_model_ready(target.model),
            }
            for name, binary in (("typed", False), ("raw", True)):
                request = _kserve_request(target, "kserve-grpc", binary=binary)
                found[name] = _of_kserve(await client.infer(request))
        return found

    return asyncio.run(ask())


def triton_http(target: Target) -> Found:
    """tritonclient.http."""
    import tritonclient.http as client

    with client.InferenceServerClient(target.address) as server:
        return _of_triton(target, client, server, lambda value: value, http=True)


def triton_http_aio(target: Target) -> Found:
    """tritonclient.http.aio."""
    import tritonclient.http as messages
    import tritonclient.http.aio as client

    with asyncio.Runner() as runner:

        async def opened() -> Any:
            return client.InferenceServerClient(target.address)

        server = runner.run(opened())
        found = _of_triton(target, messages, server, runner.run, http=True)
        runner.run(server.close())
        return found


def triton_grpc(target: Target) -> Found:
    """tritonclient.grpc."""
    import tritonclient.grpc as client

    with client.InferenceServerClient(target.grpc, channel_args=target.channel) as server:
        return _of_triton(target, client, server, lambda value: value, http=False)


def triton_grpc_aio(target: Target) -> Found:
    """tritonclient.grpc.aio."""
    import tritonclient.grpc as messages
    import tritonclient.grpc.aio as client

    with asyncio.Runner() as runner:

        async def opened() -> Any:
            return client.InferenceServerClient(target.grpc, channel_args=target.channel)

        server = runner.run(opened())
        found = _of_triton(target, messages, server, runner.run, http=False)
        runner.run(server.close())
        return found


def grpc_health(target: Target) -> Found:
    """grpc.health.v1, as Kubernetes' gRPC probe and grpc_health_probe ask."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    with grpc.insecure_channel(target.grpc, options=target.channel) as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        def status(service: str) -> str:
            answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
            return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

        watched = stub.Watch(health_pb2.HealthCheckRequest(), timeout=10)
        found: Found = {
            "server": status(""),
            "service": status("inference.GRPCInferenceService"),
            "watched": health_pb2.HealthCheckResponse.ServingStatus.Name(next(watched).status),
        }
        watched.cancel()
        try:
            status("unknown")
        except grpc.RpcError as error:
            found["unknown"] = error.code().name
    return found


def grpc_reflection(target: Target) -> Found:
    """Server reflection, as grpcurl uses it: services, and a call made from what they describe."""
    import grpc
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message_factory import GetMessageClass
    from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
        ProtoReflectionDescriptorDatabase,
    )

    with grpc.insecure_channel(target.grpc, options=target.channel) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)
        service = pool.FindServiceByName("inference.GRPCInferenceService")
        method = service.FindMethodByName("ModelReady")
        ask, answer = GetMessageClass(method.input_type), GetMessageClass(method.output_type)
        ready = channel.unary_unary(
            f"/{service.full_name}/{method.name}",
            request_serializer=ask.SerializeToString,
            response_deserializer=answer.FromString,
        )
        return {
            "services": sorted(database.get_services()),
            "model_ready": ready(ask(name=target.model), timeout=10).ready,
        }


def curl(target: Target) -> Found:
    """curl: V1 and V2 by hand, plain, gzip and deflate."""
    host = ["-H", f"Host: {target.host}"] if target.host else []

    def asked(path: str, *more: str, body: bytes | None = None) -> tuple[int, Any]:
        data = [] if body is None else ["--data-binary", "@-"]
        line = ["curl", "-sS", "-w", "\n%{http_code}", *host, *more, *data, target.url + path]
        done = subprocess.run(line, input=body, capture_output=True, check=True)
        text, _, code = done.stdout.decode().rpartition("\n")
        return int(code), json.loads(text)

    v1 = json.dumps({"instances": target.rows}).encode()
    v2 = json.dumps({"inputs": _json_tensors(target), "parameters": None}).encode()
    gzip = zlib.compressobj(wbits=31)
    path = f"/v2/models/{target.model}"
    found: Found = {
        name: asked(where)
        for name, where in {
            "server": "/v2",
            "live": "/v2/health/live",
            "ready": "/v2/health/ready",
            "metadata": path,
            "model_ready": f"{path}/ready",
            "config": f"{path}/config",
            "slash": f"{path}/",
            "unknown": f"{path}/explanation",
            "get_infer": f"{path}/infer",
        }.items()
    }
    found["v1"] = asked(f"/v1/models/{target.model}:predict", body=v1)
    found["v2"] = asked(f"{path}/infer", body=v2)
    found["gzip"] = asked(
        f"{path}/infer", "-H", "Content-Encoding: gzip", body=gzip.compress(v2) + gzip.flush()
    )
    found["deflate"] = asked(
        f"{path}/infer", "-H", "Content-Encoding: deflate", body=zlib.compress(v2)
    )
    found["br"] = asked(f"{path}/infer", "-H", "Content-Encoding: br", body=v2)
    return found


def perf_http(target: Target) -> Found:
    """perf_analyzer over HTTP."""
    return _perf(target, "http", target.address)


def perf_grpc(target: Target) -> Found:
    """perf_analyzer over gRPC; it cannot name a host other than the address."""
    return _perf(target, "grpc", target.grpc)


def _kserve_request(target: Target, request_id: str, *, binary: bool) -> Any:
    from kserve import InferInput, InferRequest

    inputs = []
    for name, datatype, array in target.columns():
        tensor = InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=binary)
        inputs.append(tensor)
    return InferRequest(target.model, inputs, request_id=request_id)


def _of_kserve(answer: Any) -> Found:
    outputs = {one.name: one.as_numpy().reshape(-1).tolist() for one in answer.outputs}
    found: Found = {name: [_plain(v) for v in values] for name, values in outputs.items()}
    return {**found, "id": answer.id, "model": answer.model_name}


def _of_triton(
    target: Target, messages: Any, server: Any, wait: Callable[[Any], Any], *, http: bool
) -> Found:
    """The calls that all four clients of tritonclient have. wait: gives the result of a call."""
    headers = {"headers": target.headers} if http and target.host else {}
    plain = {} if http else {"as_json": True}
    model = wait(server.get_model_metadata(target.model, **headers, **plain))
    [version] = model["versions"]
    config = wait(server.get_model_config(target.model, **headers, **plain))
    found: Found = {
        "live": wait(server.is_server_live(**headers)),
        "ready": wait(server.is_server_ready(**headers)),
        "model_ready": wait(server.is_model_ready(target.model, **headers)),
        "version_ready": wait(server.is_model_ready(target.model, version, **headers)),
        "server": wait(server.get_server_metadata(**headers, **plain)),
        "inputs": [one["name"] for one in model["inputs"]],
        "config": config if http else config["config"],
        "other_version": _refused(
            lambda: wait(server.get_model_metadata(target.model, "99", **headers))
        ),
    }
    ways: dict[str, dict[str, Any]] = (
        {
            "json": {},
            "binary": {},
            "gzip": {"request_compression_algorithm": "gzip"},
            "deflate": {"request_compression_algorithm": "deflate"},
            "versioned": {"model_version": version, "response_compression_algorithm": "gzip"},
        }
        if http
        else {
            "raw": {},
            "gzip": {"compression_algorithm": "gzip"},
            "versioned": {"model_version": version, "parameters": {"mine": 1}},
        }
    )
    for name, how in ways.items():
        binary = {"binary_data": name != "json"} if http else {}
        inputs = _triton_inputs(target, messages, binary)
        outputs = [messages.InferRequestedOutput(output, **binary) for output in OUTPUTS]
        given = {"request_id": f"triton-{name}", "outputs": outputs, **how}
        if headers:
            given["headers"] = target.headers  # new ones: the client adds to those that it is given
        result = wait(server.infer(target.model, inputs, **given))
        arrays = {output: result.as_numpy(output).reshape(-1).tolist() for output in OUTPUTS}
        found[name] = {output: [_plain(v) for v in values] for output, values in arrays.items()}
    return found


def _triton_inputs(target: Target, messages: Any, binary: Mapping[str, bool]) -> list[Any]:
    inputs = []
    for name, datatype, array in target.columns():
        tensor = messages.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, **binary)
        inputs.append(tensor)
    return inputs


def _refused(call: Callable[[], Any]) -> str:
    from tritonclient.utils import InferenceServerException

    try:
        call()
    except InferenceServerException as error:
        return str(error.status())
    return "answered"


def _json_tensors(target: Target) -> list[Found]:
    return [
        {"name": name, "datatype": kind, "shape": list(array.shape), "data": array.tolist()}
        for name, kind, array in target.columns()
    ]


def _perf(target: Target, protocol: str, address: str) -> Found:
    host = ["-H", f"Host: {target.host}"] if target.host else []
    libraries = os.pathsep.join(str(target.perf / "libs" / name) for name in ("cuda", "system"))
    with tempfile.TemporaryDirectory() as folder:
        rows = [{name: [value] for name, value in row.items()} for row in target.rows]
        data, report = Path(folder, "data.json"), Path(folder, "report.csv")
        data.write_text(json.dumps({"data": rows}), encoding="utf-8")
        line = [
            str(target.perf / "bin" / "perf_analyzer"),
            *("-m", target.model, "-u", address, "-i", protocol, *host),
            *("--input-data", str(data), "--concurrency-range", "2", "-f", str(report)),
            *("--measurement-mode", "count_windows", "--measurement-request-count", "40"),
            *("-r", "3", "-s", "999"),
        ]
        environment = {**os.environ, "LD_LIBRARY_PATH": libraries}
        done = subprocess.run(
            line, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        measured = report.read_text(encoding="utf-8") if report.exists() else ""
    lines = (done.stdout + done.stderr).splitlines()
    return {"exit": done.returncode, "said": lines[-5:], "measured": measured.splitlines()[1:]}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return None if value is None or value != value else value


CLIENTS: Mapping[str, Callable[[Target], Found]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        kserve_rest,
        kserve_grpc,
        triton_http,
        triton_http_aio,
        triton_grpc,
        triton_grpc_aio,
        grpc_health,
        grpc_reflection,
        curl,
        perf_http,
        perf_grpc,
    )
}


def main(arguments: Sequence[str]) -> None:
    """Runs one client."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("--http", required=True, help="base URL, http://HOST:PORT")
    parser.add_argument("--grpc", help="HOST:PORT; that of --http where none is given")
    parser.add_argument("--model", required=True)
    parser.add_argument("--rows", type=Path, required=True, help="JSON list of V1 instances")
    parser.add_argument("--host", help="host name that a gateway routes by")
    parser.add_argument("--perf", type=Path, default=PERF, help="scripts/setup-perf")
    options = parser.parse_args(arguments)
    sys.argv[1:] = []  # importing kserve reads the process's arguments
    print(json.dumps(CLIENTS[options.client](Target(options))))


if __name__ == "__main__":
    main(sys.argv[1:])

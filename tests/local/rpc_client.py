"""tritonclient in a process of its own: JSON lines in, JSON lines out.

tritonclient.grpc and kserve register the same protobuf symbols, so no process may import both.

Actions: `infer` (tritonclient's own API), `raw` (its generated messages, for requests that the
API would not send), `bytes` (a message as it is), `health`, `statistics`, `load`, `flood`.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import grpc
import numpy as np
import tritonclient.grpc as client
from tritonclient.grpc import service_pb2, service_pb2_grpc
from tritonclient.utils import InferenceServerException

_NUMPY = {"BYTES": np.object_, "FP64": np.float64, "INT64": np.int64, "FP32": np.float32}
_clients: dict[str, client.InferenceServerClient] = {}
_channels: dict[str, grpc.Channel] = {}


def client_of(address: str) -> client.InferenceServerClient:
    """One client an address, kept open."""
    if address not in _clients:
        _clients[address] = client.InferenceServerClient(address)
    return _clients[address]


def stub_of(address: str) -> service_pb2_grpc.GRPCInferenceServiceStub:
    """One channel an address, kept open."""
    if address not in _channels:
        _channels[address] = grpc.insecure_channel(address)
    return service_pb2_grpc.GRPCInferenceServiceStub(_channels[address])


def infer(job: dict[str, Any]) -> dict[str, Any]:
    """tensors: [[name, datatype, values], ...]; the answer's outputs, parameters and id."""
    inputs = []
    for name, datatype, values in job["tensors"]:
        array: Any = np.array(values, dtype=_NUMPY[datatype]).reshape(-1, 1)
        tensor = client.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array)
        inputs.append(tensor)
    result = client_of(job["address"]).infer(
        job["model"],
        inputs,
        headers=job.get("headers"),
        request_id=job.get("id", ""),
        client_timeout=job.get("timeout"),
        compression_algorithm=job.get("compression"),
    )
    response = result.get_response()
    outputs = {o.name: result.as_numpy(o.name).reshape(-1).tolist() for o in response.outputs}
    return {
        "outputs": {name: [_plain(v) for v in values] for name, values in outputs.items()},
        "parameters": {k: v.string_param for k, v in response.parameters.items()},
        "id": response.id,
        "model": response.model_name,
    }


def raw(job: dict[str, Any]) -> dict[str, Any]:
    """A hand-made request: inputs [{name, datatype, shape, raw (hex) | contents}]."""
    request = service_pb2.ModelInferRequest(
        model_name=job["model"], model_version=job.get("version", ""), id=job.get("id", "")
    )
    for tensor in job["inputs"]:
        made = request.inputs.add(
            name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"]
        )
        for kind, values in tensor.get("contents", {}).items():
            plain = [v.encode() if isinstance(v, str) else v for v in values]
            getattr(made.contents, kind).extend(plain)
        if "raw" in tensor:
            request.raw_input_contents.append(bytes.fromhex(tensor["raw"]))
    for name in job.get("outputs", []):
        request.outputs.add(name=name)
    headers = [(k, v) for k, v in job.get("headers", {}).items()]
    response, call = stub_of(job["address"]).ModelInfer.with_call(
        request, metadata=headers, timeout=10
    )
    named = {o.name: o for o in response.outputs}
    return {
        "id": response.id,
        "size": response.ByteSize(),
        "probability": [_plain(v) for v in named["probability"].contents.fp64_contents]
        if "probability" in named
        else None,
        "outputs": list(named),
        "trailing": {k: v for k, v in call.trailing_metadata() if isinstance(v, str)},
    }


def bytes_(job: dict[str, Any]) -> dict[str, Any]:
    """Bytes (hex) as the message of a method, `/package.Service/Method`; sizes of the answers."""
    stub_of(job["address"])
    call = _channels[job["address"]].stream_stream(job["method"])
    return {"sizes": [len(one) for one in call(iter([bytes.fromhex(job["bytes"])]), timeout=10)]}


def health(job: dict[str, Any]) -> dict[str, Any]:
    """What gRPC says of server and model."""
    found = client_of(job["address"])
    metadata = found.get_model_metadata(job["model"])
    return {
        "live": found.is_server_live(),
        "ready": found.is_server_ready(),
        "model_ready": found.is_model_ready(job["model"]),
        "inputs": {i.name: [i.datatype, list(i.shape)] for i in metadata.inputs},
    }


def statistics(job: dict[str, Any]) -> dict[str, Any]:
    """Triton's counts of a model: inferences (rows) and requests."""
    found = client_of(job["address"]).get_inference_statistics(job["model"]).model_stats[0]
    return {"rows": found.inference_count, "requests": found.inference_stats.success.count}


def load(job: dict[str, Any]) -> dict[str, Any]:
    """The repository calls that a pod must not offer."""
    client_of(job["address"]).unload_model(job["model"])
    return {}


def flood(job: dict[str, Any]) -> dict[str, Any]:
    """Calls from several threads until the server is gone; ids that were answered."""
    answered: list[str] = []

    def work(number: int) -> None:
        count = 0
        while True:
            named = f"{job['prefix']}-{number}-{count}"
            try:
                infer({**job, "headers": {"x-request-id": named}, "timeout": 5})
            except InferenceServerException:
                return
            answered.append(named)
            count += 1

    threads = [threading.Thread(target=work, args=(n,)) for n in range(job["threads"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"answered": answered}


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return None if value != value else value


ACTIONS = {f.__name__.rstrip("_"): f for f in (infer, raw, bytes_, health, statistics, load, flood)}


def main() -> None:
    """Serves stdin until it ends; errors are answers too."""
    for line in sys.stdin:
        job = json.loads(line)
        try:
            answer = ACTIONS[job["action"]](job)
        except InferenceServerException as error:
            answer = {"code": str(error.status()), "error": error.message()}
        except grpc.RpcError as error:
            trailing = {k: v for k, v in error.trailing_metadata() or () if isinstance(v, str)}
            code = f"StatusCode.{error.code().name}"
            answer = {"code": code, "error": error.details(), "trailing": trailing}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

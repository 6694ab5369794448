"""The stack that the pod's tests share: a real Valkey, a real Triton, real transformers.

The release here is made by hand around a tiny ONNX model, so that these tests need neither a
contract nor training: sigmoid of a weighted sum, a missing feature counts as zero.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import onnx
import redis
import yaml
from onnx import TensorProto, helper

from feature_runtime.core import identity, keys, moments, timeline
from feature_runtime.core.availability import Row
from feature_runtime.core.service import Service, parse_service
from proviso.local import transformer, triton, valkey
from proviso.local.processes import Stack
from proviso.local.transformer import Transformer
from proviso.local.triton import Triton
from proviso.local.valkey import Valkey
from proviso.records.reader import RecordReader

CLIENT = Path(__file__).with_name("rpc_client.py")
START = 90.0  # seconds that a transformer may take; importing kserve alone takes four here
T = moments.parse_moment("2018-06-20T12:00:00Z")
"""The moment that replayed requests ask about."""

VELOCITY = "velocity_1h"
RISK = "risk_daily"
APPROVED = {"approved_by": "owner@example", "reason": "Nobody seen has none.", "expires": None}
REJECT = {"kind": "reject", "value": None, "approved_by": None, "reason": None, "expires": None}


def section(**changes: Any) -> dict[str, Any]:
    """A service section; `changes` replace its top-level parts."""
    expired = {**APPROVED, "kind": "default", "value": 1.0, "expires": "2018-06-25T00:00:00Z"}
    return {
        "name": "risk_v1",
        "entities": [
            {"name": "customer", "join_key": "customer_id", "dtype": "string"},
            {"name": "merchant", "join_key": "merchant_id", "dtype": "string"},
        ],
        "fields": ["amount"],
        "views": [
            {
                "name": VELOCITY,
                "entities": ["customer"],
                "schema": "00112233445566aa",
                "source_delay": "PT10M",
                "temporal_join_lookback": "P7D",
                "online_ttl": "PT2H",
                "features": [
                    {
                        "name": "count",
                        "dtype": "int64",
                        "policy": {**APPROVED, "kind": "default", "value": 0.0},
                    },
                    {
                        "name": "total",
                        "dtype": "float64",
                        "policy": {**APPROVED, "kind": "nan"} | {"value": None},
                    },
                    {"name": "unused", "dtype": "bool", "policy": None},
                ],
            },
            {
                "name": RISK,
                "entities": ["merchant"],
                "schema": "00112233445566bb",
                "source_delay": "PT10M",
                "temporal_join_lookback": "P30D",
                "online_ttl": "PT26H",
                "features": [
                    {"name": "share", "dtype": "float64", "policy": REJECT},
                    {"name": "rank", "dtype": "int64", "policy": expired},
                ],
            },
        ],
        "features": [f"{VELOCITY}:count", f"{VELOCITY}:total", f"{RISK}:share", f"{RISK}:rank"],
        "request_features": [
            {"name": "amount", "function": "field", "inputs": ["amount"]},
            {"name": "hour_of_day", "function": "hour_of_day", "inputs": []},
        ],
        "derived_features": [],
        "decision": {
            "threshold": 0.5,
            "at_or_above": "REVIEW",
            "below": "APPROVE",
            "fallback": "MANUAL",
            "fallback_http": 200,
        },
        "limits": {
            "max_batch": 64,
            "max_body_bytes": 65_536,
            "deadline_ms": 1_000,
            "clock_margin": "PT1M",
            "max_client_skew": "PT5M",
        },
        "hash_entity_keys": False,
    } | changes


WEIGHTS = np.array([0.01, 0.02, 0.1, -0.01, 2.0, 0.05], dtype=np.float32)
"""amount, hour_of_day, count, total, share, rank."""


def model_bytes(bias: float) -> bytes:
    """sigmoid(features . WEIGHTS + bias) as probabilities [n, 2]; NaN counts as zero."""
    node = helper.make_node
    nodes = [
        node("IsNaN", ["features"], ["missing"]),
        node("Where", ["missing", "zero", "features"], ["known"]),
        node("MatMul", ["known", "weights"], ["sum"]),
        node("Add", ["sum", "bias"], ["logit"]),
        node("Sigmoid", ["logit"], ["one"]),
        node("Sub", ["whole", "one"], ["other"]),
        node("Concat", ["other", "one"], ["probabilities"], axis=1),
    ]
    constants = [
        helper.make_tensor("zero", TensorProto.FLOAT, [1], [0.0]),
        helper.make_tensor("whole", TensorProto.FLOAT, [1], [1.0]),
        helper.make_tensor("bias", TensorProto.FLOAT, [1], [bias]),
        helper.make_tensor("weights", TensorProto.FLOAT, [len(WEIGHTS), 1], WEIGHTS),
    ]
    value = helper.make_tensor_value_info
    inputs = [value("features", TensorProto.FLOAT, [None, len(WEIGHTS)])]
    outputs = [value("probabilities", TensorProto.FLOAT, [None, 2])]
    graph = helper.make_graph(nodes, "risk", inputs, outputs, constants)
    opset = [helper.make_opsetid("", 17)]
    encoded: bytes = helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()
    onnx.checker.check_model(encoded)
    return encoded


CONFIG = f"""name: "risk_model"
backend: "onnxruntime"
max_batch_size: 128
input [ {{ name: "features" data_type: TYPE_FP32 dims: [ {len(WEIGHTS)} ] }} ]
output [ {{ name: "probabilities" data_type: TYPE_FP32 dims: [ 2 ] }} ]
instance_group [ {{ count: 2 kind: KIND_CPU }} ]
dynamic_batching {{ max_queue_delay_microseconds: 0 }}
parameters {{ key: "intra_op_thread_count" value {{ string_value: "1" }} }}
"""


def make_release(directory: Path, *, bias: float = -1.0, **changes: Any) -> Path:
    """A release directory that both sides accept; `changes` go to its service section."""
    service = section(**changes)
    model, base_images = model_bytes(bias), {"transformer": "python", "predictor": "triton"}
    digests = {
        "base_images": identity.digest_of(base_images),
        "config": identity.digest(CONFIG.encode()),
        "decision": identity.digest_of(service["decision"]),
        "model": identity.digest(model),
        "service": identity.digest_of(service),
        "transformer": identity.source_digest(),
    }
    release = {
        "id": identity.release_id(digests),
        "model": "risk_model:1.0.0",
        "model_name": "risk",
        "triton_model": "risk_model",
        "input": {"name": "features", "width": len(WEIGHTS)},
        "output": {"name": "probabilities"},
        "digests": digests,
        "base_images": base_images,
        "service": service,
        "certificate": None,
    }
    version = directory / "risk_model" / "1"
    version.mkdir(parents=True)
    (version / "model.onnx").write_bytes(model)
    line = identity.id_line(identity.release_id(digests))
    (version.parent / "config.pbtxt").write_text(f"{CONFIG}{line}\n")
    (directory / "release.yml").write_text(yaml.safe_dump(release, sort_keys=False))
    return directory


def release_id(directory: Path) -> str:
    """The id that a release directory claims."""
    return str(yaml.safe_load((directory / "release.yml").read_text())["id"])


def probability(amount: float, at: int, features: Sequence[float | None]) -> float:
    """What the model says: features in the order count, total, share, rank; None is missing."""
    hour = at // moments.HOUR % 24
    vector = [amount, hour, *(0.0 if v is None else v for v in features)]
    logit = float(np.dot(np.array(vector, dtype=np.float32), WEIGHTS)) - 1.0
    return 1 / (1 + math.exp(-logit))


class Rpc:
    """Talks gRPC through tritonclient in a process of its own (rpc_client.py)."""

    def __init__(self) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-W", "ignore", CLIENT],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, action: str, address: str, **arguments: Any) -> dict[str, Any]:
        """One call; see rpc_client.py for actions and answers."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        line = json.dumps({"action": action, "address": address, **arguments})
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()
        answer: dict[str, Any] = json.loads(self._child.stdout.readline())
        return answer

    def close(self) -> None:
        """Ends the process."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(10)
        self._child.stdout.close()


@dataclass
class PodStack:
    """Everything up. `pods`: transformers by name; see `pod_stack` for what each is."""

    directory: Path
    running: Stack
    valkey: Valkey
    release: Path
    triton: Triton
    store: redis.Redis
    rpc: Rpc
    pods: dict[str, Transformer] = field(default_factory=dict)

    @property
    def service(self) -> Service:
        return parse_service(section())

    def put(self, view: str, entity: str, *rows: Row, clock: int = T) -> None:
        """Rows into the store by the real merge, as of `clock`."""
        found = self.service.view_by_name[view]
        key = keys.timeline_key(keys.entity_key(found.entities, [entity]), view, found.schema)
        times = found.times
        arguments = (times.source_delay, times.lookback, moments.MINUTE, clock)
        blob = timeline.pack(found.schema, rows)
        self.store.eval(timeline.MERGE_LUA, 1, key, blob, *arguments)

    def key(self, view: str, entity: str) -> bytes:
        """The timeline key of an entity."""
        found = self.service.view_by_name[view]
        return keys.timeline_key(keys.entity_key(found.entities, [entity]), view, found.schema)

    def start(
        self,
        name: str,
        release: Path | None = None,
        *,
        predictor: str | None = None,
        shadow: bool = False,
        replay_clock: bool = True,
        arguments: Sequence[str | Path] = (),
    ) -> Transformer:
        """A configured transformer whose process is started, not yet waited for."""
        pod = transformer.configure(
            release or self.release,
            self.directory / name,
            store=self.valkey.url,
            password_file=self.valkey.password_file,
            predictor=predictor or self.triton.grpc_address,
            shadow=shadow,
            replay_clock=replay_clock,
            arguments=arguments,
        )
        pod.process.start()
        return pod

    @contextmanager
    def pod(self, name: str, release: Path | None = None, **how: Any) -> Iterator[Transformer]:
        """A transformer of the test's own, live and stopped again."""
        pod = self.start(name, release, **how)
        try:
            pod.process.wait_ready(pod.live, START)
            yield pod
        finally:
            pod.process.stop()


def records(pod: Transformer) -> list[dict[str, Any]]:
    """All prediction records of a pod, parsed."""
    return cast("list[dict[str, Any]]", list(RecordReader(pod.record, ("request_id", "traffic"))))


def rows(*entities: tuple[str, str], amount: float = 10.0, at: int = T) -> list[dict[str, Any]]:
    """V1 instances for (customer, merchant) pairs."""
    moment = moments.format_moment(at)
    return [
        {"customer_id": c, "merchant_id": m, "amount": amount, "event_ts": moment}
        for c, m in entities
    ]


def v2_body(instances: Sequence[Mapping[str, Any]], **more: Any) -> dict[str, Any]:
    """The V2 request of V1 instances."""
    kinds = {"customer_id": "BYTES", "merchant_id": "BYTES", "amount": "FP64", "event_ts": "BYTES"}
    shape = [len(instances), 1]
    inputs = [
        {"name": n, "datatype": d, "shape": shape, "data": [i[n] for i in instances]}
        for n, d in kinds.items()
    ]
    return {"inputs": inputs, **more}


def predict_v1(pod: Transformer, instances: Any, **headers: str) -> httpx.Response:
    """One V1 call."""
    return httpx.post(
        f"{pod.url}/v1/models/risk:predict",
        json={"instances": instances},
        headers={k.replace("_", "-"): v for k, v in headers.items()},
        timeout=10,
    )


def predict_v2(pod: Transformer, body: Any, **headers: str) -> httpx.Response:
    """One V2 REST call."""
    return httpx.post(
        f"{pod.url}/v2/models/risk/infer",
        json=body,
        headers={k.replace("_", "-"): v for k, v in headers.items()},
        timeout=10,
    )


def mgets(stack: PodStack) -> int:
    """How many MGETs the store has served."""
    stats: Any = stack.store.info("commandstats")
    return int(stats.get("cmdstat_mget", {"calls": 0})["calls"])


@contextmanager
def made(directory: Path) -> Iterator[PodStack]:
    """The whole stack under `directory`.

    pods: `replay` (moment of the request), `live` (own clock).
    """
    release = make_release(directory / "release")
    with Stack() as running:
        store = valkey.configure(directory / "valkey")
        running.start(store.process, store.ready)
        predictor = triton.configure(release, directory / "triton.log")
        password = store.password_file.read_text().strip()
        client = redis.Redis(port=store.port, password=password)
        rpc = Rpc()
        stack = PodStack(directory, running, store, release, predictor, client, rpc)
        stack.pods["replay"] = stack.start("replay")
        stack.pods["live"] = stack.start("live", replay_clock=False)
        try:
            running.start(predictor.process, predictor.ready)
            for pod in stack.pods.values():
                pod.process.wait_ready(pod.ready, START)
            fill(stack)
            yield stack
        finally:
            for pod in stack.pods.values():
                pod.process.stop()
            rpc.close()
            client.close()


def fill(stack: PodStack) -> None:
    """Entities that the tests share: c1 and m1 have everything, old ones are STALE."""
    hour = T - moments.HOUR
    fresh = Row(hour, hour + 15 * moments.MINUTE, (3, 25.5, True), 7)
    stack.put(VELOCITY, "c1", fresh)
    stack.put(VELOCITY, "old", fresh._replace(event_ts=hour - 5 * moments.HOUR))
    stack.put(VELOCITY, "mixed", fresh._replace(values=("three", None, True)))
    stack.put(RISK, "m1", fresh._replace(values=(0.25, 4)))
    stack.put(RISK, "null", fresh._replace(values=(0.25, None)))
    stack.store.set(stack.key(VELOCITY, "torn"), b"pv1\x00\x11\x22\x33\x44\x55\x66\xaa\xff\x00")

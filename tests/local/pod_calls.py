"""Requests to a pod and readings of it that several test modules share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from proviso.local.transformer import Transformer


def grpc_inputs(**changes: dict[str, Any]) -> list[dict[str, Any]]:
    """A right raw request, its tensors changed by name; None leaves one out."""
    text = "2018-06-20T12:00:00Z"
    good = {
        "customer_id": ("BYTES", b"\x02\0\0\0c1"),
        "merchant_id": ("BYTES", b"\x02\0\0\0m1"),
        "amount": ("FP64", b"\0" * 8),
        "event_ts": ("BYTES", b"\x14\0\0\0" + text.encode()),
    }
    return [
        {"name": name, "datatype": datatype, "shape": [1, 1], "raw": raw.hex()}
        | changes.get(name, {})
        for name, (datatype, raw) in good.items()
    ]


def tensors(instances: list[dict[str, Any]]) -> list[list[Any]]:
    """V1 instances as tritonclient tensors."""
    kinds = {"customer_id": "BYTES", "merchant_id": "BYTES", "amount": "FP64", "event_ts": "BYTES"}
    return [[n, d, [i[n] for i in instances]] for n, d in kinds.items()]


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Waits; what it waits for has to come, when is not asserted."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)


def metric(pod: Transformer, line: str) -> float | None:
    """The value of one series, by its exact name and labels."""
    text = httpx.get(f"{pod.url}/metrics").text
    found = [one for one in text.splitlines() if one.startswith(f"{line} ")]
    return float(found[0].split()[-1]) if found else None

"""The prediction record: what each prediction saw, written before its answer is sent.

One JSON object a line, one line a prediction; the key is (request_id, traffic, index). A sink is a
port: a file now. An answer without its record must not exist, so a sink that fails refuses.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson

from feature_runtime.core.availability import Status
from feature_runtime.core.encode import Encoded
from feature_runtime.core.moments import format_moment
from feature_runtime.core.policy import policy_table
from feature_runtime.core.release import Release
from feature_runtime.core.traffic import former_arm
from feature_runtime.serving.errors import unavailable
from feature_runtime.serving.lookup import Lookup, Winner
from feature_runtime.serving.outcome import Outcome
from feature_runtime.serving.request import ScoringRequest

SCHEMA = "proviso.prediction.v2"
SCHEMAS = ("proviso.prediction.v1", SCHEMA)
"""Readers take both for one release; v1 has `arm` and `contract_digest` alone."""
_MIN_KEY = 16


class FileSink:
    """Appends to a file: one write(2) for the lines of a request.

    Without `fsync` the kernel has the lines when `write` returns: they survive SIGKILL. A write
    into the page cache takes some microseconds, less than a hop to a thread, so it runs in the
    event loop. With `fsync` they also survive power loss, and a thread waits for the disk.
    """

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._torn = False
        self._disk = ThreadPoolExecutor(1, "record") if fsync else None

    async def write(self, lines: bytes) -> None:
        try:
            if self._disk is None:
                self._append(lines)
            else:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._disk, self._append_and_sync, lines)
        except OSError as error:
            raise unavailable("record", "a record that cannot be written", "it written") from error

    def _append(self, lines: bytes) -> None:
        data = b"\n" + lines if self._torn else lines
        written = os.write(self._fd, data)
        self._torn = written not in (0, len(data))
        if written != len(data):
            raise OSError(f"wrote {written} of {len(data)} bytes")

    def _append_and_sync(self, lines: bytes) -> None:
        self._append(lines)
        os.fsync(self._fd)

    def close(self) -> None:
        if self._disk is not None:
            self._disk.shutdown()
        os.close(self._fd)


class NoRecordError(ValueError):
    """The record cannot be kept as the plan asks."""


class Recorder:
    """Makes the lines of a request. hash_key: needed where the plan hashes entity keys."""

    def __init__(self, release: Release, hash_key: bytes | None) -> None:
        service = release.service
        if service.hash_entity_keys and (hash_key is None or len(hash_key) < _MIN_KEY):
            raise NoRecordError(
                f"hash key: found none of {_MIN_KEY} bytes or more, wanted one (the plan's "
                "prediction_log.hash_entity_keys)"
            )
        self._hash_key = hash_key if service.hash_entity_keys else None
        self._service = service
        self._policies = policy_table(service).policies
        self._names = tuple(map(str, service.consumed))
        self._positions = tuple(
            (
                [v.name for v in service.views].index(view),
                [f.name for f in service.view_by_name[view].features].index(feature),
            )
            for view, feature in service.consumed
        )
        self._release = {
            "release": release.id,
            "model": release.model,
            "service_digest": release.digests["service"],
            "model_digest": release.digests["model"],
            "contract_digest": release.digests["service"],
        }

    def lines(
        self,
        request: ScoringRequest,
        lookup: Lookup,
        encoded: Encoded,
        outcome: Outcome,
        latency_us: Mapping[str, int],
    ) -> bytes:
        """One line a row, in order."""
        rows = (
            self._row(i, request, lookup, encoded, outcome, latency_us) for i in range(request.size)
        )
        return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)

    def _row(
        self,
        i: int,
        request: ScoringRequest,
        lookup: Lookup,
        encoded: Encoded,
        outcome: Outcome,
        latency_us: Mapping[str, int],
    ) -> dict[str, Any]:
        views = zip(self._service.views, lookup.winners[i], strict=True)
        return {
            "schema": SCHEMA,
            "request_id": request.request_id,
            "traffic": request.traffic,
            "arm": former_arm(request.traffic),
            "index": i,
            "scored_at": format_moment(int(outcome.at[i])),
            "event_ts": format_moment(int(request.event_ts[i])),
            **self._release,
            "entities": {name: self._entity(name, ids[i]) for name, ids in request.ids.items()},
            "request": {name: float(column[i]) for name, column in request.fields.items()},
            "views": {view.name: _view(winner) for view, winner in views},
            "features": self._features(i, lookup, encoded),
            "vector": encoded.vector[i].tolist(),
            "probability": outcome.probability_of(i),
            "decision": outcome.decisions[i],
            "fallback_reason": outcome.reasons[i],
            "latency_us": latency_us,
        }

    def _entity(self, name: str, value: int | str) -> int | str:
        if self._hash_key is None:
            return value
        return hmac.new(self._hash_key, f"{name}:{value}".encode(), hashlib.sha256).hexdigest()

    def _features(self, i: int, lookup: Lookup, encoded: Encoded) -> dict[str, Any]:
        winners, features = lookup.winners[i], {}
        replaced, status = encoded.applied.replaced[i].tolist(), lookup.status[i].tolist()
        for k, name in enumerate(self._names):
            view, position = self._positions[k]
            row = winners[view].row
            one: dict[str, Any] = {
                "value": None if row is None else row.values[position],
                "status": Status(status[k]).name,
            }
            if replaced[k]:
                one["default"] = self._policies[k].value
                one["reason"] = self._policies[k].reason
            features[name] = one
        return features


def _view(winner: Winner) -> dict[str, Any]:
    row = winner.row
    return {
        "status": winner.status.name,
        "event_ts": None if row is None else format_moment(row.event_ts),
        "created_ts": None if row is None else format_moment(row.created_ts),
        "run_id": None if row is None else row.run_id,
    }

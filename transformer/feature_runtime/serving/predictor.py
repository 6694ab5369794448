"""The predictor pool of a release: one checked connection to each address of its name.

Requests take the usable connections in turn. A call that is lost (its predictor stops, or its
connection ends) is made again on another one, since inference has no side effect; the request's
deadline covers all attempts. Connecting and checking happen before requests need them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import numpy as np
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from numpy.typing import NDArray

from feature_runtime.core.release import Release
from feature_runtime.serving.addresses import Lookup
from feature_runtime.serving.connection import Connection, LostCall
from feature_runtime.serving.errors import ServingError, invalid_answer, unavailable

_ATTEMPTS = 4
_LOOK_EVERY = 1.0  # seconds
_LOOK_PAUSE = 0.1  # seconds between two looks, however many calls fail


class PredictorPool:
    """The predictor of one release. Must be made inside a running event loop.

    place: one address, or the name of several. timeout: microseconds for one call.
    """

    def __init__(self, place: str | Lookup, release: Release, timeout: int) -> None:
        self._release = release
        self._deadline = timeout
        self._connections: dict[str, Connection] = {}
        self._ring: tuple[Connection, ...] = ()
        self._turn = 0
        self._resolved = True
        self._changed = asyncio.Event()
        self._look = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        if isinstance(place, str):
            self._connect(frozenset([place]))
        else:
            self._keeper = asyncio.get_running_loop().create_task(self._keep_resolved(place))

    async def infer(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        request, attempts = self._request(vector), 0
        while True:
            connection = self._next() or await self._usable()
            try:
                return _probabilities(await connection.infer(request), len(vector))
            except LostCall as lost:
                self._look.set()
                attempts += 1
                if attempts == _ATTEMPTS:
                    raise _after_retries(lost.error, attempts - 1) from lost

    async def check(self) -> None:
        """Checks every connection; returns as soon as one has passed."""
        passed = {connection: connection.proofs for connection in self._ring}
        for connection in self._ring:
            connection.doubt()
        while not any(c.usable and c.proofs > passed.get(c, 0) for c in self._ring):
            self._raise_if_hopeless()
            await self._changed.wait()

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await asyncio.gather(*(connection.close() for connection in self._ring))

    def _next(self) -> Connection | None:
        """The usable connection whose turn it is."""
        ring = self._ring
        for _ in ring:
            self._turn = (self._turn + 1) % len(ring)
            if ring[self._turn].usable:
                return ring[self._turn]
        return None

    async def _usable(self) -> Connection:
        """Waits for a connection while one may still come."""
        while (connection := self._next()) is None:
            self._raise_if_hopeless()
            await self._changed.wait()
        return connection

    def _raise_if_hopeless(self) -> None:
        """Raises when no connection can become usable by waiting."""
        if not self._resolved:
            raise unavailable("predictor", "predictor_name_unresolved", "DNS name has no addresses")
        faults = [connection.fault for connection in self._ring]
        known = [fault for fault in faults if fault is not None]
        if known and len(known) == len(faults):
            # Another release's predictor explains more than an address that does not answer.
            raise max(known, key=lambda fault: fault.reason == "identity").copy()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _keep_resolved(self, name: Lookup) -> None:
        """Follows the name; where it does not resolve, what is known stays."""
        while True:
            try:
                gone = self._connect(await name.look_up())
            except OSError:
                gone = []
                self._resolved = bool(self._ring)
            self._notify()
            self._look.clear()
            await asyncio.gather(*(connection.close() for connection in gone))
            await asyncio.sleep(_LOOK_PAUSE)
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY):
                    await self._look.wait()

    def _connect(self, targets: frozenset[str]) -> list[Connection]:
        """One connection for each target; the others, now out of use, are returned."""
        gone = [self._connections.pop(t) for t in self._connections.keys() - targets]
        for target in sorted(targets - self._connections.keys()):
            self._connections[target] = Connection(
                target, self._release, self._deadline, self._notify
            )
        self._ring = tuple(self._connections.values())
        self._resolved = True
        return gone

    def _request(self, vector: NDArray[np.float32]) -> Any:
        request = pb.ModelInferRequest(model_name=self._release.triton_model)
        request.inputs.add(name=self._release.input_name, datatype="FP32", shape=list(vector.shape))
        request.outputs.add(name=self._release.output_name)
        request.raw_input_contents.append(np.ascontiguousarray(vector, dtype="<f4").tobytes())
        return request


def _after_retries(error: ServingError, retries: int) -> ServingError:
    """The error of the last attempt, with how often it was retried."""
    message = f"{error.message or error}; retried {retries} times"
    return unavailable(error.reason, error.code, message)


def _probabilities(response: Any, size: int) -> NDArray[np.float64]:
    """The second column of FP32 [n, 2]; refuses other tensors and values outside [0, 1]."""
    if len(response.outputs) != 1 or len(response.raw_output_contents) != 1:
        found = f"{len(response.outputs)} tensors, {len(response.raw_output_contents)} of them raw"
        raise invalid_answer(found, "one raw tensor")
    tensor, raw = response.outputs[0], response.raw_output_contents[0]
    if tensor.datatype != "FP32" or list(tensor.shape) != [size, 2] or len(raw) != 8 * size:
        found = f"{tensor.datatype} {list(tensor.shape)}"
        raise invalid_answer(found, f"FP32 [{size}, 2]")
    scores = np.frombuffer(raw, dtype="<f4").reshape(size, 2)[:, 1].astype(np.float64)
    if not bool(((scores >= 0) & (scores <= 1)).all()):
        raise invalid_answer("scores outside [0, 1]", "probabilities")
    return scores

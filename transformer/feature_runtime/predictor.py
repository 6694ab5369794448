"""Triton as the pod calls it: V2 over gRPC, and only while it is this release's predictor.

The identity check belongs to a connection: a watcher counts connections (`_epoch`), a check is
good for the epoch in which it began and ended, and an answer that arrives in another epoch than
its check is thrown away. So a predictor that is replaced between check and call never answers
(docs/adr/0032).
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
import numpy as np
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from numpy.typing import NDArray

from feature_runtime import triton_config
from feature_runtime.identity import ID_PARAMETER
from feature_runtime.refusal import Refusal, too_late, unavailable
from feature_runtime.release import Release

_INFER = "/inference.GRPCInferenceService/ModelInfer"
_ATTEMPTS = 3
_READY = grpc.ChannelConnectivity.READY
_FAILED = grpc.ChannelConnectivity.TRANSIENT_FAILURE
# Reconnecting must not outlast an outage by much; gRPC's own backoff grows to two minutes.
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)


class TritonPredictor:
    """The predictor of one release. Must be made inside a running event loop.

    address: host:port. timeout: microseconds for one call.
    """

    def __init__(self, address: str, release: Release, timeout: int) -> None:
        self._address = address
        self._release = release
        self._deadline = timeout
        self._epoch = 0
        self._verified: int | None = None
        self._checking = asyncio.Lock()
        self._open()

    def _open(self) -> None:
        self._channel = grpc.aio.insecure_channel(self._address, options=_OPTIONS)
        self._infer_call = self._channel.unary_unary(
            _INFER, pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString
        )
        self._config_call = self._channel.unary_unary(triton_config.METHOD)
        self._epoch += 1
        self._changed = asyncio.Event()
        self._state = self._channel.get_state(try_to_connect=True)
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        """Counts connections. Every change of state begins an epoch: see the module's text."""
        while True:
            await self._channel.wait_for_state_change(self._state)
            self._state = self._channel.get_state(try_to_connect=True)
            self._epoch += 1
            self._changed.set()
            self._changed = asyncio.Event()

    async def infer(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        request = self._request(vector)
        for attempt in range(1, _ATTEMPTS + 1):
            epoch = await self._verified_epoch()
            try:
                response = await self._infer_call(request, timeout=self._deadline / 1e6)
            except grpc.aio.AioRpcError as error:
                self._verified = None
                if error.code() is not grpc.StatusCode.UNAVAILABLE or attempt == _ATTEMPTS:
                    raise self._refusal(error) from error
                continue
            if epoch == self._epoch:
                return self._probabilities(response, len(vector))
        raise unavailable("predictor", "connections that do not last", "a steady predictor")

    async def check(self) -> None:
        async with self._checking:
            await self._verify_connection()

    async def close(self) -> None:
        self._watcher.cancel()
        await asyncio.gather(self._watcher, return_exceptions=True)
        await self._channel.close()

    async def _verified_epoch(self) -> int:
        """The epoch of a connection whose predictor has proved to be this release's."""
        while self._verified != self._epoch:
            async with self._checking:
                if self._verified != self._epoch:
                    await self._verify_connection()
        return self._epoch

    async def _verify_connection(self) -> None:
        await self._connected()
        epoch = self._epoch
        await self._verify()
        self._verified = epoch

    async def _connected(self) -> None:
        while self._state is not _READY:
            if self._state is _FAILED:
                raise unavailable("predictor", "no connection", "this release's predictor")
            self._channel.get_state(try_to_connect=True)
            await self._changed.wait()

    async def _verify(self) -> None:
        asked = triton_config.request_bytes(self._release.triton_model)
        try:
            answer = await self._config_call(asked, timeout=self._deadline / 1e6)
        except grpc.aio.AioRpcError as error:
            await self._reopen_if_silent(error)
            raise self._refusal(error) from error
        found = triton_config.parameter_of(answer, ID_PARAMETER)
        if found != self._release.id:
            self._epoch += 1  # what is under way now must not be believed either
            named = "a predictor without a release id" if found is None else f"predictor of {found}"
            raise unavailable("identity", named, f"predictor of {self._release.id}")

    async def _reopen_if_silent(self, error: grpc.aio.AioRpcError) -> None:
        """A connection that no longer answers is replaced: its host may have vanished."""
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            await self.close()
            self._open()

    def _request(self, vector: NDArray[np.float32]) -> Any:
        request = pb.ModelInferRequest(model_name=self._release.triton_model)
        request.inputs.add(name=self._release.input_name, datatype="FP32", shape=list(vector.shape))
        request.outputs.add(name=self._release.output_name)
        request.raw_input_contents.append(np.ascontiguousarray(vector, dtype="<f4").tobytes())
        return request

    def _probabilities(self, response: Any, size: int) -> NDArray[np.float64]:
        """The second column of FP32 [n, 2]: refuses anything that is no probability."""
        tensor, raw = response.outputs[0], response.raw_output_contents[0]
        if tensor.datatype != "FP32" or list(tensor.shape) != [size, 2] or len(raw) != 8 * size:
            found = f"{tensor.datatype} {list(tensor.shape)}"
            raise unavailable("predictor", found, f"FP32 [{size}, 2]")
        scores = np.frombuffer(raw, dtype="<f4").reshape(size, 2)[:, 1].astype(np.float64)
        if not bool(((scores >= 0) & (scores <= 1)).all()):
            raise unavailable("predictor", "scores outside [0, 1]", "probabilities")
        return scores

    def _refusal(self, error: grpc.aio.AioRpcError) -> Refusal:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return too_late("predictor", self._deadline)
        found = error.code().name.lower().replace("_", " ")
        return unavailable("predictor", found, "this release's predictor")

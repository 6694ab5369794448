"""One connection to one Triton, with a check that it is this release's predictor.

The check belongs to a connection: a watcher counts connections (`_epoch`), a check is good for
the epoch in which it began and ended, and an answer that arrives in another epoch than its
check is thrown away. So a predictor that is replaced between check and call never answers
(docs/adr/0032). A task makes the checks; calls only look whether the last one still holds.

A call that times out is not cancelled: a cancelled call can crash Triton (docs/adr/0064).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
import grpc.aio
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from feature_runtime.core.identity import ID_PARAMETER
from feature_runtime.core.release import Release
from feature_runtime.serving import triton_config
from feature_runtime.serving.errors import (
    ServingError,
    deadline_exceeded,
    unavailable,
    wrong_release,
)
from feature_runtime.serving.logs import log

_INFER = "/inference.GRPCInferenceService/ModelInfer"
_READY = grpc.ChannelConnectivity.READY
_FAILED = grpc.ChannelConnectivity.TRANSIENT_FAILURE
_SHUT = grpc.ChannelConnectivity.SHUTDOWN
# A predictor that stops unloads its model first, and says NOT_FOUND until its port closes; what
# it then leaves unfinished ends as CANCELLED.
_LOST = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND, grpc.StatusCode.CANCELLED)
_SILENT = grpc.StatusCode.DEADLINE_EXCEEDED
_AGAIN = 0.25  # seconds until a predictor that did not pass is asked again
_MOST = 1_024  # calls under way, those whose request has timed out included
_PATIENCE = 30.0  # seconds for the calls of a connection that does not answer
# Reconnecting must not outlast an outage by much; gRPC's own backoff grows to two minutes.
_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
)


class LostCall(Exception):
    """A call that got no valid answer and may be retried, here or on another connection.

    error: what the client gets when no retry succeeds.
    """

    def __init__(self, error: ServingError) -> None:
        super().__init__(str(error))
        self.error = error


class Connection:
    """Keeps one address connected and checked. Must be made inside a running event loop.

    target: the address as gRPC writes it. timeout: microseconds for one call. changed: called
    when `usable` or `fault` may be new. fault: why it is not usable; None while that is open.
    proofs: how often the check was passed.
    """

    def __init__(
        self, target: str, release: Release, timeout: int, changed: Callable[[], None]
    ) -> None:
        self.fault: ServingError | None = None
        self.proofs = 0
        self._target = target
        self._release = release
        self._deadline = timeout
        self._grace = 2 * timeout / 1e6  # longer than anybody waits for a call
        self._changed = changed
        self._epoch = 0
        self._verified: int | None = None
        self._warned_of: str | None = release.id
        self._doubted = asyncio.Event()
        self._under_way = set[Any]()  # gRPC cancels a call that nobody holds
        self._left = set[asyncio.Task[None]]()  # channels that wait for their calls to end
        self._open()
        self._verifier = asyncio.get_running_loop().create_task(self._keep_verified())

    @property
    def usable(self) -> bool:
        """Whether the predictor at the other end has proved to be this release's."""
        return self._verified == self._epoch

    async def infer(self, request: Any) -> Any:
        """ModelInfer, to be called only while `usable`. Raises LostCall, or a ServingError."""
        if len(self._under_way) == _MOST:
            message = f"{_MOST} calls wait for an answer ({self._target})"
            raise LostCall(unavailable("predictor", "predictor_overloaded", message))
        epoch = self._epoch
        try:
            response = await self._answer(self._infer_call(request))
        except asyncio.CancelledError:
            self.doubt()  # most requests that stop waiting have reached their deadline
            raise
        except TimeoutError as error:
            self.doubt()
            raise deadline_exceeded("predictor", self._deadline) from error
        except grpc.aio.AioRpcError as error:
            raise self._failed(error) from error
        if epoch != self._epoch:
            message = f"connection reset during the call ({self._target})"
            raise LostCall(unavailable("predictor", "predictor_connection_reset", message))
        return response

    async def _answer(self, call: Any) -> Any:
        """The answer of a call, if it is in time; a gRPC deadline would cancel the call."""
        ended = asyncio.get_running_loop().create_future()

        def end(call: Any) -> None:
            self._under_way.discard(call)
            if not ended.done():
                ended.set_result(None)

        self._under_way.add(call)
        call.add_done_callback(end)
        async with asyncio.timeout(self._deadline / 1e6):
            await ended
        return await call

    def doubt(self) -> None:
        """Makes the check again now. A usable connection stays usable until the check fails."""
        if self._state is _READY and not self.usable:
            self.fault = None
        self._doubted.set()

    async def close(self) -> None:
        """Returns when the calls that are waited for have ended; there must be no new ones."""
        self._verifier.cancel()
        await asyncio.gather(self._verifier, return_exceptions=True)
        await self._channel.close(self._grace)
        for task in (self._watcher, *self._left):
            task.cancel()
        await asyncio.gather(self._watcher, *self._left, return_exceptions=True)

    def _open(self) -> None:
        self._channel = grpc.aio.insecure_channel(self._target, options=_OPTIONS)
        self._infer_call = self._channel.unary_unary(
            _INFER, pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString
        )
        self._config_call = self._channel.unary_unary(triton_config.METHOD)
        self._epoch += 1
        self._state = self._channel.get_state(try_to_connect=True)
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        """Counts connections. Every change of state begins an epoch: see the module's text."""
        while self._state is not _SHUT:
            await self._channel.wait_for_state_change(self._state)
            self._state = self._channel.get_state(try_to_connect=True)
            self._epoch += 1
            if self._state is _READY:
                self.doubt()
            elif self._state is _FAILED:
                message = f"no connection to the predictor ({self._target})"
                self.fault = unavailable("predictor", "predictor_unreachable", message)
            self._changed()

    async def _keep_verified(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(None if self.usable else _AGAIN):
                    await self._doubted.wait()
            self._doubted.clear()
            await self._verify()
            self._changed()

    async def _verify(self) -> None:
        """A connection that ends during the check is not a predictor that fails it."""
        error = None
        for _ in range(2):
            if self._state is not _READY:
                return
            error = await self._check()
            if error is None or error.reason != "predictor":
                break
        if not self._doubted.is_set():  # or else this check is older than the doubt
            self.fault = error

    async def _check(self) -> ServingError | None:
        """One check: None if it was passed."""
        epoch = self._epoch
        asked = triton_config.request_bytes(self._release.triton_model)
        try:
            answer = await self._config_call(asked, timeout=self._deadline / 1e6)
        except grpc.aio.AioRpcError as error:
            self._verified = None
            if error.code() is _SILENT:
                await self._reopen()
            return self._error(error)
        release_id = triton_config.parameter_of(answer, ID_PARAMETER)
        if release_id != self._release.id:
            return self._foreign(release_id)
        self._verified = epoch
        self.proofs += 1
        return None

    def _foreign(self, release_id: str | None) -> ServingError:
        """The error of another release's predictor, logged once for each release."""
        self._epoch += 1  # answers of calls under way now must not be used either
        found = f"predictor of {release_id}" if release_id else "a predictor without a release id"
        wanted = f"predictor of {self._release.id}"
        error = wrong_release("predictor_release_mismatch", found, wanted)
        if release_id != self._warned_of:
            self._warned_of = release_id
            log.warning("%s is not used: %s [%s]", self._target, error, error.code)
        return error

    async def _reopen(self) -> None:
        """A connection that no longer answers is replaced: its host may have vanished."""
        self._watcher.cancel()
        await asyncio.gather(self._watcher, return_exceptions=True)
        left = asyncio.get_running_loop().create_task(self._channel.close(_PATIENCE))
        self._left.add(left)
        left.add_done_callback(self._left.discard)
        self._open()

    def _failed(self, error: grpc.aio.AioRpcError) -> LostCall | ServingError:
        lost = error.code() in _LOST
        if lost:
            self._verified = None
        self.doubt()
        serving_error = self._error(error)
        return LostCall(serving_error) if lost else serving_error

    def _error(self, error: grpc.aio.AioRpcError) -> ServingError:
        if error.code() is _SILENT:
            return deadline_exceeded("predictor", self._deadline)
        code = error.code()
        reset = code is grpc.StatusCode.UNAVAILABLE
        what = "connection reset during the call" if reset else f"the call failed with {code.name}"
        stable = "predictor_connection_reset" if reset else "predictor_call_failed"
        return unavailable("predictor", stable, f"{what} ({self._target})")

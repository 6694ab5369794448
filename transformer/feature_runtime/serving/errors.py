"""Errors of a request, the same for all protocols.

Every layer below the transports raises `ServingError`; rest.py and rpc.py translate it. An error
is about a value (field, found, wanted) or an event (what happened, to what), has a stable code
(docs/errors.md), and shows a client nothing internal.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal

_SHOWN = 80
_FIELD = 120
_TEXT = 500

_short = reprlib.Repr()
_short.maxstring = _short.maxother = _short.maxlong = _SHOWN
_short.maxlist = _short.maxdict = 8

WaitedFor = Literal["store", "predictor", "function", "answer"]

_TIMEOUTS: Mapping[WaitedFor, str] = {
    "store": "store_timeout",
    "predictor": "predictor_timeout",
    "function": "function_timeout",
    "answer": "answer_timeout",
}


class ErrorStatus(Enum):
    """HTTP status and gRPC status name of an error."""

    BAD_INPUT = (400, "INVALID_ARGUMENT")
    NOT_FOUND = (404, "NOT_FOUND")
    NOT_ALLOWED = (405, "UNIMPLEMENTED")
    TIMEOUT = (408, "DEADLINE_EXCEEDED")
    TOO_LARGE = (413, "RESOURCE_EXHAUSTED")
    UNSUPPORTED = (415, "UNIMPLEMENTED")
    HEAD_TOO_LARGE = (431, "RESOURCE_EXHAUSTED")
    SHED = (429, "RESOURCE_EXHAUSTED")
    DISCONNECTED = (499, "CANCELLED")
    INTERNAL = (500, "INTERNAL")
    UNAVAILABLE = (503, "UNAVAILABLE")
    DEADLINE = (504, "DEADLINE_EXCEEDED")

    @property
    def http(self) -> int:
        return self.value[0]

    @property
    def grpc(self) -> str:
        return self.value[1]


class ServingError(Exception):
    """A request that is not answered.

    reason: the broad class, one word, a label of metrics. code: what exactly, stable. field: the
    input or the dependency that it is about. A value has found and wanted; an event has a message.
    retry_after: seconds after which trying again makes sense, None where it does not. request_id:
    of the request that is not answered, set where the request ends. All texts are bounded and
    escaped here, because any of them may hold what a client sent.
    """

    def __init__(
        self,
        status: ErrorStatus,
        reason: str,
        code: str,
        field: str,
        *,
        found: str = "",
        wanted: str = "",
        message: str = "",
        retry_after: int | None = None,
    ) -> None:
        field, message = bounded(field, _FIELD), bounded(message, _TEXT)
        found, wanted = bounded(found, _TEXT), bounded(wanted, _TEXT)
        super().__init__(f"{field}: {message or f'found {found}, wanted {wanted}'}")
        self.request_id: str | None = None
        self.status = status
        self.reason = reason
        self.code = code
        self.field = field
        self.found = found
        self.wanted = wanted
        self.message = message
        self.retry_after = retry_after

    def copy(self) -> ServingError:
        """The same error, not yet raised: one that is kept must not collect tracebacks."""
        return ServingError(
            self.status,
            self.reason,
            self.code,
            self.field,
            found=self.found,
            wanted=self.wanted,
            message=self.message,
            retry_after=self.retry_after,
        )

    def body(self, request_id: str) -> dict[str, Any]:
        """The error as a client reads it: found is the message of an event, wanted then empty."""
        return {
            "error": str(self),
            "code": self.code,
            "reason": self.reason,
            "field": self.field,
            "found": self.found or self.message,
            "wanted": self.wanted,
            "request_id": request_id,
        }


def shown(value: object) -> str:
    """A client's value as it may appear in an error: short, printable."""
    return bounded(_short.repr(value), _SHOWN)


def bounded(text: str, limit: int) -> str:
    """One printable line of at most `limit` characters: the rest is cut off, the others escaped."""
    line = text[: limit + 1]
    if not line.isprintable():
        line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
    return line if len(line) <= limit else f"{line[: limit - 3]}..."


def bad_input(code: str, field: str, found: str, wanted: str) -> ServingError:
    """The client's request is wrong; sending it again does not help."""
    return ServingError(ErrorStatus.BAD_INPUT, "bad_input", code, field, found=found, wanted=wanted)


def invalid_protobuf() -> ServingError:
    """The bytes of a gRPC message are not the message of its method."""
    found = "bytes that are not this method's message"
    return bad_input("invalid_protobuf", "message", found, "a protobuf message")


def too_large(code: str, field: str, found: str, wanted: str) -> ServingError:
    """The request is over a limit of the plan."""
    return ServingError(ErrorStatus.TOO_LARGE, "too_large", code, field, found=found, wanted=wanted)


def message_too_large(size: int, limit: int) -> ServingError:
    """A gRPC message that needs few bytes has many."""
    return too_large("body_too_large", "message", f"{size} bytes", f"at most {limit}")


def model_not_found(name: str, served: str) -> ServingError:
    """The request names another model than the one that this pod serves."""
    return _not_found("model_not_found", "model", name, served)


def version_not_found(version: str, served: str) -> ServingError:
    """The request names a version of the model that this pod does not serve."""
    return _not_found("model_version_not_found", "model_version", version, served)


def service_not_found(name: str, served: str) -> ServingError:
    """A health call asks about a gRPC service that this pod does not have."""
    return _not_found("service_not_found", "service", name, served)


def path_not_found(path: str) -> ServingError:
    """No route has the path of the request."""
    return _not_found("path_not_found", "path", path, "a path of V1 or the Open Inference Protocol")


def method_not_allowed(method: str, allowed: str) -> ServingError:
    """A route has the path of the request, but not its method."""
    return ServingError(
        ErrorStatus.NOT_ALLOWED,
        "not_found",
        "method_not_allowed",
        "method",
        found=shown(method),
        wanted=allowed,
    )


def _not_found(code: str, field: str, found: str, served: str) -> ServingError:
    return ServingError(
        ErrorStatus.NOT_FOUND, "not_found", code, field, found=shown(found), wanted=served
    )


def unavailable(reason: str, code: str, message: str) -> ServingError:
    """An event: something that the answer needs failed: store, predictor, record or fallback."""
    return ServingError(
        ErrorStatus.UNAVAILABLE, reason, code, reason, message=message, retry_after=1
    )


def wrong_release(code: str, found: str, wanted: str) -> ServingError:
    """This pod, or its predictor, is not the release that it must be."""
    return ServingError(
        ErrorStatus.UNAVAILABLE,
        "identity",
        code,
        "identity",
        found=found,
        wanted=wanted,
        retry_after=1,
    )


def invalid_answer(found: str, wanted: str) -> ServingError:
    """The predictor answered something that cannot be a prediction."""
    return ServingError(
        ErrorStatus.UNAVAILABLE,
        "predictor",
        "predictor_answer_invalid",
        "predictor",
        found=found,
        wanted=wanted,
        retry_after=1,
    )


def request_timeout(deadline: int) -> ServingError:
    """The client sent its request so slowly that the deadline, in microseconds, passed before."""
    return ServingError(
        ErrorStatus.TIMEOUT,
        "slow_request",
        "request_timeout",
        "request",
        message=f"the request did not arrive in time; the deadline is {deadline // 1_000} ms",
    )


def deadline_exceeded(waited_for: WaitedFor, deadline: int) -> ServingError:
    """The deadline, in microseconds, passed during that part of the work."""
    return ServingError(
        ErrorStatus.DEADLINE,
        "deadline",
        _TIMEOUTS[waited_for],
        waited_for,
        message=f"no answer in time; the deadline is {deadline // 1_000} ms",
        retry_after=1,
    )


def internal_error() -> ServingError:
    """A fault of the pod. The log has the details, the client does not."""
    return ServingError(
        ErrorStatus.INTERNAL,
        "internal",
        "internal_error",
        "server",
        message="internal server error",
        retry_after=1,
    )

"""Why a request gets no answer: one error for all protocols.

Every layer below the transports raises `ServingError`; rest.py and rpc.py translate it. The text
names the field, what was found and what was wanted, and never anything internal.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

_SHOWN = 80


class Code(Enum):
    """HTTP status and gRPC status name of a refusal."""

    BAD_INPUT = (400, "INVALID_ARGUMENT")
    NOT_FOUND = (404, "NOT_FOUND")
    TOO_LARGE = (413, "RESOURCE_EXHAUSTED")
    SHED = (429, "RESOURCE_EXHAUSTED")
    GONE = (499, "CANCELLED")
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

    reason: one short word for metrics and machines. field, found, wanted: what a person reads.
    retry_after: seconds after which trying again makes sense, None where it does not.
    """

    def __init__(
        self,
        code: Code,
        reason: str,
        field: str,
        found: str,
        wanted: str,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(f"{field}: found {found}, wanted {wanted}")
        self.code = code
        self.reason = reason
        self.field = field
        self.found = found
        self.wanted = wanted
        self.retry_after = retry_after

    def again(self) -> ServingError:
        """The same, not yet raised: a refusal that is kept must not gather tracebacks."""
        return ServingError(
            self.code, self.reason, self.field, self.found, self.wanted, self.retry_after
        )

    def body(self, request_id: str) -> dict[str, Any]:
        """What a client reads, as plain data."""
        return {
            "error": str(self),
            "reason": self.reason,
            "field": self.field,
            "found": self.found,
            "wanted": self.wanted,
            "request_id": request_id,
        }


def shown(value: object) -> str:
    """A client's value as it may appear in an error: short, printable."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def bad_input(field: str, found: str, wanted: str) -> ServingError:
    """The client's request is wrong; asking again will not help."""
    return ServingError(Code.BAD_INPUT, "bad_input", field, found, wanted)


def too_large(field: str, found: str, wanted: str) -> ServingError:
    """The request is over a limit of the plan."""
    return ServingError(Code.TOO_LARGE, "too_large", field, found, wanted)


def unavailable(reason: str, found: str, wanted: str) -> ServingError:
    """Something that the answer needs is not there: store, predictor, identity or record."""
    return ServingError(Code.UNAVAILABLE, reason, reason, found, wanted, retry_after=1)


def too_late(waited_for: str, deadline: int) -> ServingError:
    """The plan's deadline (microseconds) passed; `waited_for` is the part that took too long."""
    wanted = f"an answer within {deadline // 1_000} ms"
    return ServingError(Code.DEADLINE, "deadline", waited_for, "no answer in time", wanted, 1)

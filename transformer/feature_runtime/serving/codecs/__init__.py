"""A codec a protocol: decodes a message to a typed request, encodes a typed answer.

`Pod.infer` runs any of them. A codec knows bytes and names, and neither servers nor scoring.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from feature_runtime.core.record import Protocol as ProtocolName
from feature_runtime.serving.outcome import Answer
from feature_runtime.serving.request import ScoringRequest

Message = TypeVar("Message")
Call = TypeVar("Call", bound="Decoded")
Reply = TypeVar("Reply")
_In = TypeVar("_In", contravariant=True)
_Out = TypeVar("_Out", covariant=True)


class Decoded(Protocol):
    """A message in typed form: the request, beside what its answer must look like."""

    @property
    def request(self) -> ScoringRequest: ...


class Codec(Protocol[_In, Call, _Out]):
    """protocol: v1, v2 or grpc, a label of metrics."""

    protocol: ProtocolName

    def decode(self, message: _In) -> Call:
        """Raises a ServingError where the message is not a request of this service."""
        ...

    def encode(self, call: Call, answer: Answer) -> _Out: ...


class Source(Protocol[_Out]):
    """A message that is still arriving. given: the request id beside it, which a client chose."""

    @property
    def given(self) -> str | None: ...

    async def read(self) -> _Out:
        """The whole message. Raises a ServingError where it is too large or ends early."""
        ...

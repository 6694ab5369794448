"""uvicorn's HTTP protocol with bounds on the head of a request, which uvicorn's own has not.

The body is bounded by the plan's limits (rest.py). A head has a bound on its size and on the time
from its first byte to its last; a connection on which none begins is closed as an idle one is.

A request that offers another protocol (Java's client offers h2c in each) is read without the offer,
as RFC 9110 has it: the parser behind uvicorn ends at the head of such a request and loses its body.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from feature_runtime.serving.errors import (
    ErrorStatus,
    ServingError,
    bad_input,
    request_timeout,
)
from feature_runtime.serving.request import header_request_id

HEAD_SECONDS = 10.0
HEAD_BYTES = 64 * 1024
_OFFER = (b"upgrade", b"http2-settings")


class BoundedHeadProtocol(HttpToolsProtocol):
    """Refuses a head that is over a bound, or no HTTP, in the pod's form; closes the connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = False
        self._began = False  # a head, in the bytes just received: where among them is not known
        self._reading = self._unread = b""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._began, self._unread = False, data
        while self._unread:
            self._reading, self._unread = self._unread, b""
            super().data_received(self._reading)
        if not self._in_head or self.transport.is_closing():
            return
        self._head_bytes += 0 if self._began else len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(_head_too_large())
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self._too_late)

    def on_message_begin(self) -> None:
        self._in_head = self._began = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._end_head()
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def _unsupported_upgrade_warning(self) -> None:
        """Where uvicorn would log two lines: the same request once more, without the offer."""
        ended, method = sys.exception(), self.parser.get_method()
        if method == b"CONNECT" or ended is None:
            self._refuse(_no_http())
            return
        head = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        head += (b"%s: %s" % pair for pair in _without_offer(self.headers))
        self._unread = b"\r\n".join([*head, b"", self._reading[ended.args[0] :]])
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn's own

    def _end_head(self) -> None:
        self._in_head, self._head_bytes = False, 0
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        self._refuse(_no_http())

    def _too_late(self) -> None:
        self._refuse(request_timeout(int(HEAD_SECONDS * 1e6)))

    def _refuse(self, error: ServingError) -> None:
        """Says why and closes the connection, when a whole request before it is answered."""
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn says that it is never None
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            cycle.keep_alive = False
            return
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(_whole(error))
        self.transport.close()


def _without_offer(headers: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    for name, value in headers:
        if name == b"connection":
            options = [option.strip() for option in value.split(b",")]
            kept = [option for option in options if option.lower() not in _OFFER]
            if kept:
                yield name, b", ".join(kept)
        elif name not in _OFFER:
            yield name, value


def _no_http() -> ServingError:
    return bad_input("invalid_http", "request", "bytes that are none", "HTTP/1.1")


def _head_too_large() -> ServingError:
    found = f"more than {HEAD_BYTES} bytes of request line and headers"
    return ServingError(
        ErrorStatus.HEAD_TOO_LARGE,
        "too_large",
        "head_too_large",
        "head",
        found=found,
        wanted=f"at most {HEAD_BYTES}",
    )


def _whole(error: ServingError) -> bytes:
    """An answer of HTTP/1.1, where there is no request that the application could answer."""
    named = header_request_id(None)
    body = orjson.dumps(error.body(named))
    phrase = HTTPStatus(error.status.http).phrase
    head = (
        f"HTTP/1.1 {error.status.http} {phrase}\r\ncontent-type: application/json\r\n"
        f"x-request-id: {named}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body

"""uvicorn's HTTP protocol with bounds on the head of a request, which uvicorn's own has not.

The body is bounded by the plan's limits (rest.py). A head has a bound on its size and on the time
from its first byte to its last; a connection on which none begins is closed as an idle one is.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

HEAD_SECONDS = 10.0
HEAD_BYTES = 64 * 1024

_TIMEOUT = (408, "Request Timeout")
_TOO_LARGE = (431, "Request Header Fields Too Large")


class BoundedHeadProtocol(HttpToolsProtocol):
    """Answers 408 or 431 and closes the connection where a head is over a bound."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._head: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._in_head = False
        self._began = False  # a head, in the bytes just received: where among them is not known

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._began = False
        super().data_received(data)
        if not self._in_head or self.transport.is_closing():
            return
        self._head_bytes += 0 if self._began else len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(*_TOO_LARGE)
        elif self._head is None:
            self._head = self.loop.call_later(HEAD_SECONDS, self._refuse, *_TIMEOUT)

    def on_message_begin(self) -> None:
        self._in_head = self._began = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._end_head()
        super().on_headers_complete()

    def _end_head(self) -> None:
        self._in_head, self._head_bytes = False, 0
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _refuse(self, code: int, phrase: str) -> None:
        """Closes the connection; says why unless an earlier request on it is still unanswered."""
        if self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn says that it is never None
        if cycle is None or cycle.response_complete:
            head = f"HTTP/1.1 {code} {phrase}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            self.transport.write(head.encode())
        self.transport.close()

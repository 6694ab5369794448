"""A TCP proxy before a store that counts script calls, and stops or holds the traffic at one."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CALL = b"EVALSHA"
_CHUNK = 16_384  # smaller than a batch, so that a batch can be cut


@dataclass
class Proxy:
    """Forwards to `upstream`, until `stop_at` calls: then `stopped` is called and nothing more.

    answered: stop only when the answer to that call is here, so that the store has done it.
    hold: seconds to wait before a call (by number) is forwarded.
    """

    upstream: int
    stop_at: int | None = None
    answered: bool = False
    stopped: Callable[[], None] = lambda: None
    hold: Mapping[int, float] = field(default_factory=dict)
    calls: int = 0
    dead: threading.Event = field(default_factory=threading.Event)

    def forward(self, chunk: bytes, to: socket.socket) -> None:
        """Client to store, call by call."""
        while chunk and not self.dead.is_set():
            at = chunk.find(CALL)
            if at < 0:
                to.sendall(chunk)
                return
            self.calls += 1
            if self.calls == self.stop_at and not self.answered:
                to.sendall(chunk[:at])
                self._stop()
                return
            self.dead.wait(self.hold.get(self.calls, 0))
            to.sendall(chunk[: at + len(CALL)])
            chunk = chunk[at + len(CALL) :]

    def answer(self, chunk: bytes, to: socket.socket) -> None:
        """Store to client."""
        if self.answered and self.stop_at is not None and self.calls >= self.stop_at:
            self._stop()
        elif not self.dead.is_set():
            to.sendall(chunk)

    def _stop(self) -> None:
        self.dead.set()
        self.stopped()


@contextmanager
def running(proxy: Proxy) -> Iterator[str]:
    """The proxy's URL while it listens on a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_accept, args=(server, proxy), daemon=True).start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}"
        proxy.dead.set()
        server.shutdown(socket.SHUT_RDWR)


def port_of(url: str) -> int:
    """A URL's port."""
    return urlsplit(url).port or 0


def _accept(server: socket.socket, proxy: Proxy) -> None:
    with suppress(OSError):
        while True:
            client, _ = server.accept()
            store = socket.create_connection(("127.0.0.1", proxy.upstream))
            for source, to, send in (
                (client, store, proxy.forward),
                (store, client, proxy.answer),
            ):
                threading.Thread(target=_pump, args=(source, to, send), daemon=True).start()


def _pump(
    source: socket.socket, to: socket.socket, send: Callable[[bytes, socket.socket], None]
) -> None:
    with suppress(OSError):
        while chunk := source.recv(_CHUNK):
            send(chunk, to)
    for end in (source, to):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()

"""A server that speaks just enough of the Redis protocol, and answers as a test tells it to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 65_536
OK = b"+OK\r\n"


@dataclass
class StoreServer:
    """answers: the bytes for a command, by name; others get OK, PING its PONG, MGET nulls.

    forget: connections that exist stay open and are answered no more, as behind a middlebox that
    has forgotten them. deaf: no connection is ever answered. greeting:
    sent at once, whatever the client says.
    """

    port: int
    answers: Mapping[str, bytes] = field(default_factory=dict)
    deaf: bool = False
    greeting: bytes = b""
    connections: int = 0
    commands: list[str] = field(default_factory=list)
    _era: int = 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def forget(self) -> None:
        self._era += 1

    def serve(self, client: socket.socket) -> None:
        """One connection, until its end."""
        self.connections += 1
        era, pending = self._era, b""
        with client, suppress(OSError):
            client.sendall(self.greeting)
            while chunk := client.recv(_CHUNK):
                pending += chunk
                if era != self._era or self.deaf:
                    continue
                while (parsed := _command(pending)) is not None:
                    words, pending = parsed
                    client.sendall(self._answer(words))

    def _answer(self, words: list[bytes]) -> bytes:
        name = words[0].decode().upper()
        self.commands.append(name)
        if name in self.answers:
            return self.answers[name]
        if name == "MGET":
            return b"*%d\r\n" % (len(words) - 1) + b"$-1\r\n" * (len(words) - 1)
        return {"PING": b"+PONG\r\n"}.get(name, OK)


@contextmanager
def store_server(**settings: object) -> Iterator[StoreServer]:
    """A server of its own on a free port."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listener:
        server = StoreServer(listener.getsockname()[1])
        for name, value in settings.items():
            setattr(server, name, value)
        threading.Thread(target=_accept, args=(listener, server), daemon=True).start()
        yield server
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, server: StoreServer) -> None:
    with suppress(OSError):
        while True:
            client = listener.accept()[0]
            threading.Thread(target=server.serve, args=(client,), daemon=True).start()


def _command(data: bytes) -> tuple[list[bytes], bytes] | None:
    """The words of the first whole command, and what follows it."""
    lines = data.split(b"\r\n", 1)
    if len(lines) < 2 or not lines[0].startswith(b"*"):
        return None
    rest, words = lines[1], list[bytes]()
    for _ in range(int(lines[0][1:])):
        head, found, rest = rest.partition(b"\r\n")
        size = int(head[1:]) if found else 0
        if not found or len(rest) < size + 2:
            return None
        words.append(rest[:size])
        rest = rest[size + 2 :]
    return words, rest

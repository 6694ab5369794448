"""A TCP relay between a pod and its predictor, whose target tests change."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from proviso.local.processes import LOOPBACK

_QUIET = 1.0  # seconds without a word after which a cut connection is let go


class Switch:
    """A TCP relay whose far side can be changed between two packets; None refuses.

    What a predictor's address looks like to the pod while predictors come and go behind it. The
    predictor hears of a cut when its calls have ended: of a cancelled one it may crash.
    """

    def __init__(self, target: int | None) -> None:
        self._target = target
        self._open: list[socket.socket] = []
        self._turn = threading.Lock()  # a connection made during a change must not outlive it
        self._listener = socket.create_server((LOOPBACK, 0))
        self.address = f"{LOOPBACK}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def to(self, target: int | None) -> None:
        """Cuts every connection; the next ones go to `target`, a port."""
        with self._turn:
            self._target = target
            cut, self._open = self._open, []
        for one in cut:
            _shut(one)

    def close(self) -> None:
        """Refuses for good."""
        _shut(self._listener)
        self._listener.close()
        self.to(None)

    def _accept(self) -> None:
        while True:
            try:
                near = self._listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._relay, args=(near,), daemon=True).start()

    def _relay(self, near: socket.socket) -> None:
        target = self._target
        try:
            far = socket.create_connection((LOOPBACK, target or 0), _QUIET)
        except OSError:
            near.close()
            return
        with near, far:
            with self._turn:
                if target != self._target:
                    return
                self._open.append(near)
            there = threading.Thread(target=_pump, args=(near, far, lambda: True), daemon=True)
            there.start()
            _pump(far, near, there.is_alive)
            _shut(near)
            there.join()


def _pump(source: socket.socket, sink: socket.socket, goes_on: Callable[[], bool]) -> None:
    """Until the source ends, or is silent when this no longer `goes_on`; the sink may be gone."""
    while True:
        try:
            data = source.recv(65_536)
        except TimeoutError:
            if goes_on():
                continue
            return
        except OSError:
            return
        if not data:
            return
        with suppress(OSError):
            sink.sendall(data)


def _shut(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)

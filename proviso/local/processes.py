"""Supervised child processes of the embedded stack: start, wait until ready, stop; none is left.

The commands and probes are those of the modules `valkey`, `triton` and `transformer`.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from proviso.contracts.base import ContractError, Problem

LEASH = Path(__file__).with_name("leash.py")
LOOPBACK = "127.0.0.1"
_PAUSE = 0.05  # seconds between two looks at a process
_TAIL_LINES = 12
_TAIL_BYTES = 16 * 1024

Probe = Callable[[], bool]


class ProcessError(ContractError):
    """A process did not start, did not become ready or did not stop; names its log."""

    @classmethod
    def of(cls, process: Process, code: str, message: str) -> ProcessError:
        """The error, with the last lines of the log as its reason."""
        tail = last_lines(process.log)
        why = f"last lines of its log:\n{tail}" if tail else "its log is empty"
        path = f"{process.name} (log {process.log})"
        return cls([Problem(path, why=why, code=code, message=message)])


def last_lines(path: Path, count: int = _TAIL_LINES) -> str:
    """The end of a log, bounded; empty where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-count:])


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that are free now, all different.

    They are free again when this returns, so a child should bind them soon.
    """
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return [int(one.getsockname()[1]) for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Process:
    """One child with a log file and a process group of its own.

    leashed: the child gets SIGKILL when the thread that started it ends, so start leashed
    children from a thread that lives as long as they should. Unleashed ones outlive us
    (`proviso local up`).
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        log: Path,
        *,
        environment: Mapping[str, str] | None = None,
        leashed: bool = True,
    ) -> None:
        self.name = name
        self.command = [str(part) for part in command]
        self.log = log
        self._environment = environment
        self._leashed = leashed
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id, which is also its group's. Raises ProcessError before the start."""
        if self._child is None:
            raise ProcessError.of(self, "process_not_started", "not started yet")
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._child is not None and self._child.poll() is None

    @property
    def returncode(self) -> int | None:
        """Exit status (negative: the signal), None while it runs or before the start."""
        return None if self._child is None else self._child.poll()

    def start(self) -> None:
        """Starts it; its output is appended to the log. Raises ProcessError."""
        leash = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid())]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            try:
                self._child = subprocess.Popen(
                    [*(leash if self._leashed else []), *self.command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=None if self._environment is None else dict(self._environment),
                    start_new_session=True,
                )
            except OSError as error:
                message = f"{self.command[0]} could not be started: {error.strerror}"
                raise ProcessError.of(self, "process_start_failed", message) from error

    def wait_ready(self, probe: Probe, timeout: float) -> None:
        """Returns once `probe` is true; `timeout` in seconds. Raises ProcessError.

        The process itself must still run: a probe may reach another process on the same port.
        """
        deadline = time.monotonic() + timeout
        while True:
            ready = probe()
            if not self.running:
                message = f"ended with status {self.returncode} before it was ready"
                raise ProcessError.of(self, "process_ended", message)
            if ready:
                return
            if time.monotonic() > deadline:
                message = f"not ready after {timeout:g} s"
                raise ProcessError.of(self, "process_not_ready", message)
            time.sleep(_PAUSE)

    def stop(self, grace: float = 10.0) -> None:
        """SIGTERM, after `grace` seconds SIGKILL, to the whole group. Safe to repeat."""
        if self._child is None:
            return
        stop_group(self._child.pid, self._ended, grace)
        self._child.wait()

    def _ended(self) -> bool:
        return not self.running


def stop_group(pid: int, ended: Callable[[], bool], grace: float) -> None:
    """Ends the process group that `pid` leads: SIGTERM to the leader, then SIGKILL to the rest."""
    if not ended():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while not ended() and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    # The group outlives its leader while a grandchild runs, so its number is still ours.
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


class Stack:
    """Processes that stop together, the last started first, whatever ends the `with` block.

    SIGTERM becomes SystemExit inside the block, so that it unwinds like Ctrl-C does.
    """

    def __init__(self) -> None:
        self._running = ExitStack()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            previous = signal.signal(signal.SIGTERM, _leave)
            self._running.callback(signal.signal, signal.SIGTERM, previous)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._running.close()

    def release(self) -> None:
        """Leaves all processes running; the caller has recorded them (state.py)."""
        self._running.pop_all()

    def start(self, process: Process, probe: Probe, timeout: float = 30.0) -> None:
        """Starts a process, owns it, and waits until it is ready. Raises ProcessError."""
        self._running.callback(process.stop)
        process.start()
        process.wait_ready(probe, timeout)


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)

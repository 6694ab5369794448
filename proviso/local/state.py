"""The state file of `proviso local up`, which `status` and `down` read: the processes it started.

A pid alone may belong to another process by now, so each is kept with the time at which its process
started, and is stopped only when both match.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

from proviso.contracts.base import InputError
from proviso.local.processes import Process, stop_group

FILE = "state.json"
_SAME_START = 2.0
"""Seconds. Start times are computed from the boot time, which moves when the clock is adjusted."""


@dataclass(frozen=True)
class Running:
    """A process that was started. started: Unix time in seconds, 0 where it had ended already."""

    name: str
    pid: int
    started: float
    log: str
    ports: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, process: Process, ports: dict[str, int]) -> Running:
        """The record of a process that runs now."""
        started = _started(process.pid) or 0.0
        return cls(process.name, process.pid, started, str(process.log), ports)

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        started = _started(self.pid)
        return started is not None and abs(started - self.started) < _SAME_START

    def stop(self, grace: float = 10.0) -> bool:
        """Stops it and its group; False where it had already ended."""
        if not self.alive:
            return False
        stop_group(self.pid, lambda: not self.alive, grace)
        return True


@dataclass(frozen=True)
class State:
    """The processes of a stack in the order in which they were started."""

    processes: tuple[Running, ...]
    settings: dict[str, str] = field(default_factory=dict)

    def stop(self) -> list[str]:
        """Stops all, the last started first; returns the names of those that were running."""
        return [process.name for process in reversed(self.processes) if process.stop()]


def write(directory: Path, state: State) -> None:
    """Replaces the state file atomically; only this user can read it."""
    directory.mkdir(parents=True, exist_ok=True)
    draft = directory / f"{FILE}.{os.getpid()}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file, indent=2)
    draft.replace(directory / FILE)


def read(directory: Path) -> State | None:
    """The state of a stack; None where none was started. Raises InputError on an invalid file."""
    path = directory / FILE
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        processes = tuple(_running(process) for process in stored["processes"])
        return State(processes, dict(stored["settings"]))
    except (ValueError, TypeError, KeyError) as error:
        message = f"is not a state that `proviso local up` wrote: {error}"
        why = "stop the processes by hand, then remove the file"
        raise InputError.event("local_state_invalid", message, path, why) from None


def forget(directory: Path) -> None:
    """Removes the state once the stack is down."""
    (directory / FILE).unlink(missing_ok=True)


def _running(stored: dict[str, Any]) -> Running:
    return Running(**{**stored, "started": float(stored["started"])})


def _started(pid: int) -> float | None:
    """When a process started; None where none runs (a zombie has ended)."""
    try:
        process = psutil.Process(pid)
        ended = process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
        return None if ended else process.create_time()
    except psutil.NoSuchProcess:
        return None

"""What `proviso local up` leaves behind for `status` and `down`: which processes it started.

A pid alone may by now belong to somebody else, so each is kept with the moment its process
started, and only an exact match is ever stopped.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path

from proviso.contracts.base import InputError
from proviso.local.processes import Process, stop_group

FILE = "state.json"
_START_FIELD = 22 - 3  # of /proc/<pid>/stat, counted after the name in parentheses


@dataclass(frozen=True)
class Running:
    """A process that was started: enough to find it again, and only it."""

    name: str
    pid: int
    started: str
    log: str
    ports: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, process: Process, ports: dict[str, int]) -> Running:
        """The record of a process that runs now."""
        started = _started(process.pid) or ""
        return cls(process.name, process.pid, started, str(process.log), ports)

    @property
    def alive(self) -> bool:
        """Whether this very process still runs."""
        return self.started != "" and _started(self.pid) == self.started

    def stop(self, grace: float = 10.0) -> bool:
        """Stop it and its group; False where it had already ended."""
        if not self.alive:
            return False
        stop_group(self.pid, lambda: not self.alive, grace)
        return True


@dataclass(frozen=True)
class State:
    """A stack that is up, in the order in which it was started."""

    processes: tuple[Running, ...]
    settings: dict[str, str] = field(default_factory=dict)

    def stop(self) -> list[str]:
        """Names of what was stopped, the last started first."""
        return [process.name for process in reversed(self.processes) if process.stop()]


def write(directory: Path, state: State) -> None:
    """Writes the state at once or not at all, for this user's eyes."""
    directory.mkdir(parents=True, exist_ok=True)
    draft = directory / f"{FILE}.{os.getpid()}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(state), file, indent=2)
    draft.replace(directory / FILE)


def read(directory: Path) -> State | None:
    """The state of a stack, None where none was started. Raises InputError on a foreign file."""
    path = directory / FILE
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        processes = tuple(Running(**process) for process in found["processes"])
        return State(processes, dict(found["settings"]))
    except (ValueError, TypeError, KeyError) as error:
        raise InputError.of(path, str(error), "the state that `proviso local up` wrote") from None


def forget(directory: Path) -> None:
    """Removes the state once the stack is down."""
    (directory / FILE).unlink(missing_ok=True)


def _started(pid: int) -> str | None:
    """Boot and start tick of a process; None where none runs (a zombie has ended)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name may hold spaces and parentheses; the last one closes it.
    fields = stat.rpartition(")")[2].split()
    if fields[0] in {"Z", "X"}:
        return None
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}/{fields[_START_FIELD]}"

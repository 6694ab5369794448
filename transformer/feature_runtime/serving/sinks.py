"""Sinks of prediction records, by the name that `--record-sink` takes.

To add one: a class with the verbs of `ports.Sink`, and its line in SINKS.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import orjson

from feature_runtime.core.record import PredictionRecord
from feature_runtime.serving.errors import unavailable
from feature_runtime.serving.ports import Sink


@dataclass(frozen=True)
class SinkSettings:
    """target: where records go, in the sink's own words. fsync: they survive power loss too."""

    target: str
    fsync: bool = False


class FileSink:
    """Appends JSON lines to a file: one write(2) for the records of a request.

    Without `fsync` the kernel has the lines when `write` returns: they survive SIGKILL. A write
    into the page cache takes some microseconds, less than a hop to a thread, so it runs in the
    event loop. With `fsync` they also survive power loss, and a thread waits for the disk.
    """

    def __init__(self, path: Path, *, fsync: bool = False) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        self._torn = False
        self._disk = ThreadPoolExecutor(1, "record") if fsync else None

    async def write(self, records: Iterable[PredictionRecord]) -> None:
        lines = json_lines(records)
        try:
            if self._disk is None:
                self._append(lines)
            else:
                loop = asyncio.get_running_loop()
                await loop.run_in_executor(self._disk, self._append_and_sync, lines)
        except OSError as error:
            message = f"the prediction record cannot be written ({error.strerror or error})"
            raise unavailable("record", "record_write_failed", message) from error

    def _append(self, lines: bytes) -> None:
        data = b"\n" + lines if self._torn else lines
        written = os.write(self._fd, data)
        self._torn = written not in (0, len(data))
        if written != len(data):
            raise OSError(f"wrote {written} of {len(data)} bytes")

    def _append_and_sync(self, lines: bytes) -> None:
        self._append(lines)
        os.fsync(self._fd)

    def close(self) -> None:
        if self._disk is not None:
            self._disk.shutdown()
        os.close(self._fd)


def json_lines(records: Iterable[PredictionRecord]) -> bytes:
    """One JSON object a line, in order."""
    return b"".join(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE) for one in records)


def _file(settings: SinkSettings) -> Sink:
    return FileSink(Path(settings.target), fsync=settings.fsync)


SINKS: Mapping[str, Callable[[SinkSettings], Sink]] = {"file": _file}

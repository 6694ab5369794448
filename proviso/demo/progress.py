"""Prints the steps of a long job: number, title, result lines, duration."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Steps:
    """Prints each step as it begins and ends; `taken` has its title and duration in seconds."""

    def __init__(self, total: int) -> None:
        self._total = total
        self.taken: list[tuple[str, float]] = []

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step; an exception leaves it marked as failed."""
        number = len(self.taken) + 1
        print(f"[{number}/{self._total}] {title}", flush=True)
        started = time.monotonic()
        try:
            yield
        except BaseException:
            took = time.monotonic() - started
            print(f"[{number}/{self._total}] {title}: FAILED after {took:.1f} s", flush=True)
            raise
        took = time.monotonic() - started
        self.taken.append((title, took))
        print(f"[{number}/{self._total}] done in {took:.1f} s", flush=True)

    def say(self, line: str) -> None:
        """A line of result or progress within a step."""
        print(f"        {line}", flush=True)

    def tick(self, line: str) -> None:
        """A line of progress that need not stay: overwritten on a terminal."""
        if sys.stdout.isatty():
            print(f"\r\033[K        {line}", end="\r", flush=True)
        else:
            self.say(line)

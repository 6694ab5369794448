"""Progress of long work: a line when it has been silent for two seconds, else none."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

SILENT = 2.0
"""Seconds after which a line is due."""


@dataclass
class Pace:
    """Passes texts on to `progress`, at most one each two seconds."""

    progress: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _said: float = field(init=False)

    def __post_init__(self) -> None:
        self._said = self.clock()

    def say(self, text: str) -> None:
        """Says the text if the last one, or the start, is two seconds ago."""
        now = self.clock()
        if now - self._said >= SILENT:
            self._said = now
            self.progress(text)

"""What a pod logs: each record one printable line of bounded length, and few alike a minute.

It holds for every library's records: they pass through the handlers, which `bound_logging` changes.
An exception becomes its type and the places it came through. Its message may name what a client
sent, so it is left out where the plan hashes entity keys.
"""

from __future__ import annotations

import copy
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_runtime.serving.errors import bounded

log = logging.getLogger("kserve.proviso")
"""The pod's own logger; under kserve's, whose handlers it uses."""

MAX_MESSAGE = 2_000
MAX_DETAIL = 500
BURST = 5
"""Records from one place in a minute; those beyond it are counted in the next one that is kept."""

_FORM = "%(asctime)s %(name)s %(levelname)s %(message)s"
_MINUTE = 60.0
_PLACES = 1_000
_CAUSES = 4
_FRAMES = 12


class LineFormatter(logging.Formatter):
    """Another formatter's form, with a message that is one bounded line.

    hide_values: leaves out the messages of exceptions.
    """

    def __init__(self, form: logging.Formatter, *, hide_values: bool) -> None:
        super().__init__()
        self._form = form
        self._hide_values = hide_values

    def format(self, record: logging.LogRecord) -> str:
        line, message = copy.copy(record), record.getMessage()
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            if self._hide_values and record.name != log.name:
                message = str(record.msg).partition("\n")[0]  # asyncio and gRPC repeat the error
            message = f"{bounded(message, MAX_DETAIL)}: {self._described(error)}"
        line.msg, line.args = bounded(message, MAX_MESSAGE), ()
        line.exc_info = line.exc_text = line.stack_info = None
        vars(line).pop("color_message", None)  # uvicorn's second copy of the message
        return self._form.format(line)

    def _described(self, error: BaseException) -> str:
        return ", caused by ".join(self._one(cause) for cause in _causes(error))

    def _one(self, error: BaseException) -> str:
        detail = "" if self._hide_values else f" ({bounded(str(error), MAX_DETAIL)})"
        return f"{type(error).__name__}{detail} at {' < '.join(_places(error)) or 'no frame'}"


@dataclass
class _Seen:
    since: float
    kept: int = 0
    dropped: int = 0


class Sparing(logging.Filter):
    """Keeps at most BURST records from one place a minute. A place is a line of code, and the line
    that an exception came from."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._seen: dict[Any, _Seen] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        place, now = _place(record), self._now()
        seen = self._seen.get(place)
        if seen is None or now - seen.since >= _MINUTE:
            dropped = 0 if seen is None else seen.dropped
            if len(self._seen) >= _PLACES:
                self._seen.clear()
            seen = self._seen[place] = _Seen(now)
            if dropped:
                record.msg, record.args = f"{record.getMessage()} ({dropped} alike before it)", ()
        if seen.kept == BURST:
            seen.dropped += 1
            return False
        seen.kept += 1
        return True


def bound_logging(*, hide_values: bool) -> None:
    """Changes every handler there is, and gives the root logger one: other libraries' records
    would reach standard error through Python's last resort, which bounds nothing."""
    if not logging.root.handlers:
        logging.root.addHandler(logging.StreamHandler())
    for handler in _handlers():
        form = handler.formatter or logging.Formatter(_FORM)
        if not isinstance(form, LineFormatter):
            handler.setFormatter(LineFormatter(form, hide_values=hide_values))
            handler.addFilter(Sparing())


def _handlers() -> Iterator[logging.Handler]:
    yield from logging.root.handlers
    for named in list(logging.root.manager.loggerDict.values()):
        if isinstance(named, logging.Logger):
            yield from named.handlers


def _place(record: logging.LogRecord) -> tuple[Any, ...]:
    error = record.exc_info[1] if record.exc_info else None
    innermost = None if error is None else next(iter(_places(error)), None)
    return record.pathname, record.lineno, type(error), innermost


def _places(error: BaseException) -> list[str]:
    """Where an exception came through, innermost first."""
    frames = [
        f"{'/'.join(Path(frame.f_code.co_filename).parts[-2:])}:{line} {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    return frames[-_FRAMES:][::-1]


def _causes(error: BaseException) -> Iterator[BaseException]:
    current: BaseException | None = error
    for _ in range(_CAUSES):
        if current is None:
            return
        yield current
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )

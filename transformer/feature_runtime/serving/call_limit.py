"""Ends a call of the project's own functions at the request's deadline.

Such a call runs in the event loop's thread, where no task can be cancelled while it runs. A timer's
signal raises in it instead: a loop in Python ends at the deadline. One call into NumPy ends first,
because signals are handled between steps of Python; rows are bounded by `max_batch`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from feature_runtime.serving.errors import deadline_exceeded

_SOONEST = 1e-4  # seconds; a timer of zero would never go off


class CallTooLong(BaseException):
    """The deadline has passed. No `except Exception` of the project's code may catch it."""


class CallLimit:
    """The limit of one pod's calls. deadline: of a request, in microseconds from its start."""

    def __init__(self, deadline: int) -> None:
        self._deadline = deadline

    @contextmanager
    def until(self, elapsed: int) -> Iterator[None]:
        """Raises ServingError, `function_timeout`, where the block is not done by the deadline.

        elapsed: microseconds since the request's start. Without effect outside the main thread,
        which alone gets signals.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        left = max(_SOONEST, (self._deadline - elapsed) / 1e6)
        before = signal.signal(signal.SIGALRM, _raise)
        try:
            signal.setitimer(signal.ITIMER_REAL, left)
            try:
                yield
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except CallTooLong:
            raise deadline_exceeded("function", self._deadline) from None
        finally:
            signal.signal(signal.SIGALRM, before or signal.SIG_DFL)


def _raise(_number: int, _frame: FrameType | None) -> None:
    raise CallTooLong

"""Log records are bounded, printable lines, whoever made them, and few from one place."""

from __future__ import annotations

import io
import logging

import pytest

from feature_runtime.serving.logs import BURST, MAX_MESSAGE, LineFormatter, Sparing

HOSTILE = {
    "a forged line": "x\n2026-01-01 00:00:00 kserve INFO all is well",
    "a carriage return": "x\rkserve",
    "a terminal's escape": "\x1b[2J\x1b]0;title\x07",
    "a line separator": "x\u2028y\u2029z\x85",
    "a lone surrogate": "\ud800",
    "a megabyte": "n" * 1_000_000,
    "a megabyte of NULs": "\0" * 1_000_000,
}


class Log:
    """A logger of its own whose handler is bounded as the pod's are."""

    def __init__(self, name: str = "some.library", *, hide_values: bool = False) -> None:
        self.clock = 0.0
        self._text = io.StringIO()
        handler = logging.StreamHandler(self._text)
        form = logging.Formatter("%(levelname)s %(message)s")
        handler.setFormatter(LineFormatter(form, hide_values=hide_values))
        handler.addFilter(Sparing(lambda: self.clock))
        self.logger = logging.Logger(name)  # noqa: LOG001  # one that no other test sees
        self.logger.addHandler(handler)

    @property
    def lines(self) -> list[str]:
        return self._text.getvalue().split("\n")[:-1]


def raised(message: str) -> Exception:
    try:
        try:
            raise KeyError(message)
        except KeyError as error:
            raise ValueError(message) from error
    except ValueError as error:
        return error


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_record_is_one_bounded_printable_line(text: str) -> None:
    log = Log()
    log.logger.warning("of %s", text)
    log.logger.warning(text)
    log.logger.error("failed: %s", text, exc_info=raised(text))
    assert len(log.lines) == 3
    for line in log.lines:
        assert line.isprintable()
        assert len(line) <= MAX_MESSAGE + len("WARNING ")


def test_an_exception_is_its_type_and_where_it_came_from() -> None:
    log = Log()
    log.logger.error("internal server error", exc_info=raised("c42"))
    [line] = log.lines
    assert "ValueError (c42) at serving/test_logs.py:" in line
    assert "caused by KeyError ('c42') at serving/test_logs.py:" in line


def test_an_exception_of_a_pod_that_hashes_keys_has_no_message() -> None:
    for name in ("asyncio", "kserve.proviso"):
        log = Log(name, hide_values=True)
        text = "Task exception was never retrieved\nfuture: <Task exception=KeyError('c42')>"
        message = text if name == "asyncio" else "internal server error in request r-1"
        log.logger.error(message, exc_info=raised("c42"))
        [line] = log.lines
        assert message.partition("\n")[0] in line
        assert "ValueError at serving/test_logs.py:" in line
        assert "c42" not in line


@pytest.fixture
def log() -> Log:
    return Log()


def test_records_of_one_place_are_few_a_minute_and_counted(log: Log) -> None:
    def storm(count: int) -> None:
        for number in range(count):
            log.logger.warning("refused %d", number)

    storm(BURST + 7)
    assert len(log.lines) == BURST
    log.logger.warning("another place")
    assert len(log.lines) == BURST + 1
    log.clock = 61.0
    storm(1)
    assert log.lines[-1] == "WARNING refused 0 (7 alike before it)"


def test_another_exception_at_the_same_call_is_another_place(log: Log) -> None:
    errors = [raised("a")] * (BURST + 1) + [ZeroDivisionError()]
    for error in errors:
        log.logger.error("internal server error", exc_info=error)
    assert len(log.lines) == BURST + 1
    assert "ZeroDivisionError" in log.lines[-1]

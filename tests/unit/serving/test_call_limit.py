"""A function of the project that runs too long ends with the request, not with the pod."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from feature_runtime.serving.call_limit import CallLimit
from feature_runtime.serving.errors import ServingError


def endless() -> None:
    """A loop that catches what a project's function may catch."""
    while True:
        try:
            time.sleep(0.001)
        except Exception:  # noqa: BLE001
            continue


def test_a_loop_ends_at_the_deadline() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(ServingError) as raised, CallLimit(200_000).until(150_000):
        endless()
    assert (raised.value.code, raised.value.status.http) == ("function_timeout", 504)
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_a_request_whose_deadline_has_passed_is_not_computed() -> None:
    with pytest.raises(ServingError), CallLimit(1_000).until(2_000):
        time.sleep(1)


def test_what_is_done_in_time_is_not_disturbed() -> None:
    with CallLimit(10_000_000).until(0):
        done = sum(range(1000))
    assert done == 499_500
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def test_elsewhere_than_in_the_main_thread_there_is_no_timer() -> None:
    found: list[int] = []

    def work() -> None:
        with CallLimit(1_000).until(0):
            found.append(1)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [1]

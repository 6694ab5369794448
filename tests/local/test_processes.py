"""Supervised children: ready or a clear error, stopped in order, never left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from proviso.local import state
from proviso.local.processes import LOOPBACK, Process, ProcessError, Stack, free_ports, last_lines

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
STUBBORN = [sys.executable, "-c", DEAF + SLEEPER[-1]]


def up(process: Process) -> bool:
    return "up" in last_lines(process.log)


def gone(pid: int, within: float = 20.0) -> bool:
    """Whether a process that is not our child ends; a zombie has ended."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_a_process_that_is_ready_runs_until_it_is_stopped(tmp_path: Path) -> None:
    process = Process("sleeper", SLEEPER, tmp_path / "log")
    process.start()
    process.wait_ready(lambda: up(process), 20)
    assert process.running
    process.stop()
    assert process.returncode == -signal.SIGTERM
    process.stop()


def test_a_process_that_ends_early_is_reported_with_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import sys; print('no such table'); sys.exit(3)"]
    process = Process("worker", command, tmp_path / "worker.log")
    process.start()
    with pytest.raises(ProcessError, match="ended with status 3") as caught:
        process.wait_ready(lambda: False, 20)
    assert str(tmp_path / "worker.log") in str(caught.value)
    assert "no such table" in str(caught.value)


def test_a_ready_answer_of_somebody_else_does_not_count(tmp_path: Path) -> None:
    process = Process("worker", [sys.executable, "-c", ""], tmp_path / "log")
    process.start()
    while process.running:
        time.sleep(0.01)
    with pytest.raises(ProcessError, match="ended with status 0"):
        process.wait_ready(lambda: True, 20)


def test_a_process_that_never_becomes_ready_is_reported(tmp_path: Path) -> None:
    process = Process("sleeper", SLEEPER, tmp_path / "log")
    with Stack() as stack, pytest.raises(ProcessError, match=r"not ready after 0\.2 s"):
        stack.start(process, lambda: False, 0.2)
    assert not process.running


def test_a_command_that_does_not_exist_is_reported(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    unleashed = Process("missing", [missing], tmp_path / "log", leashed=False)
    with pytest.raises(ProcessError, match="No such file"):
        unleashed.start()
    leashed = Process("missing", [missing], tmp_path / "log")
    leashed.start()
    with pytest.raises(ProcessError, match="No such file"):
        leashed.wait_ready(lambda: False, 20)


def test_a_process_that_ignores_the_request_is_killed(tmp_path: Path) -> None:
    process = Process("stubborn", STUBBORN, tmp_path / "log")
    process.start()
    process.wait_ready(lambda: up(process), 20)
    process.stop(grace=0.2)
    assert process.returncode == -signal.SIGKILL


def test_grandchildren_end_with_their_group(tmp_path: Path) -> None:
    script = f"import subprocess, time; c = subprocess.Popen({SLEEPER!r}); print(c.pid); c.wait()"
    process = Process("parent", [sys.executable, "-u", "-c", script], tmp_path / "log")
    process.start()
    process.wait_ready(lambda: up(process), 20)
    grandchild = int(next(line for line in last_lines(process.log).split() if line.isdigit()))
    process.stop()
    assert gone(grandchild)


def test_a_stack_stops_in_reverse_order_when_its_block_fails(tmp_path: Path) -> None:
    order: list[str] = []

    class Noted(Process):
        def stop(self, grace: float = 10.0) -> None:
            order.append(self.name)
            super().stop(grace)

    first, second = (Noted(name, SLEEPER, tmp_path / name) for name in ("first", "second"))

    def fail_inside() -> None:
        with Stack() as stack:
            stack.start(first, lambda: up(first))
            stack.start(second, lambda: up(second))
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail_inside()
    assert order == ["second", "first"]
    assert not first.running
    assert not second.running


# A job in the background may have been started with SIGINT ignored, which children inherit.
STACK_IN_A_PROCESS = f"""
import signal, sys, time
from pathlib import Path
from proviso.local.processes import Process, Stack
signal.signal(signal.SIGINT, signal.default_int_handler)
child = Process("sleeper", {SLEEPER!r}, Path(sys.argv[1]))
with Stack() as stack:
    stack.start(child, lambda: "up" in child.log.read_text())
    print(child.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_children_never_outlive_the_process_that_owns_them(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = [sys.executable, "-c", STACK_IN_A_PROCESS, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        owner.send_signal(number)
        try:
            owner.wait(20)
        finally:
            owner.kill()
    assert gone(child)


def test_free_ports_are_different_and_can_be_bound() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    for port in ports:
        with socket.create_server((LOOPBACK, port)):
            pass


def test_a_state_survives_and_stops_only_what_it_started(tmp_path: Path) -> None:
    mine = Process("mine", SLEEPER, tmp_path / "mine")
    other = Process("other", SLEEPER, tmp_path / "other")
    with Stack() as stack:
        stack.start(mine, lambda: up(mine))
        stack.start(other, lambda: up(other))
        recorded = state.Running.of(mine, {"http": 1})
        reused = state.Running("reused", other.pid, recorded.started - 60, "log", {})
        state.write(tmp_path, state.State((recorded, reused), {"release": "r"}))
        found = state.read(tmp_path)
        assert found == state.State((recorded, reused), {"release": "r"})
        assert [process.alive for process in found.processes] == [True, False]
        assert found.stop() == ["mine"]
        assert not mine.running
        assert other.running
        assert found.stop() == []
    assert (tmp_path / state.FILE).stat().st_mode & 0o777 == 0o600
    state.forget(tmp_path)
    assert state.read(tmp_path) is None


def test_an_unleashed_process_outlives_its_starter(tmp_path: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from proviso.local import state
from proviso.local.processes import Process
child = Process("sleeper", {SLEEPER!r}, Path(sys.argv[1]) / "log", leashed=False)
child.start()
child.wait_ready(lambda: "up" in child.log.read_text(), 20)
state.write(Path(sys.argv[1]), state.State((state.Running.of(child, {{}}),)))
"""
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(tmp_path)], check=True, timeout=60
    )
    found = state.read(tmp_path)
    assert found is not None
    [running] = found.processes
    assert running.alive
    assert os.getpgid(running.pid) == running.pid
    assert found.stop() == ["sleeper"]
    assert gone(running.pid)

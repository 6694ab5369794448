"""What the peers of `proviso bench join` share: the bench's files, the clock, the figures."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DELAY = 10 * 60 * 1_000_000
LOOKBACK = 7 * 24 * 3600 * 1_000_000
FEATURES = ["f1", "f2", "f3", "f4"]
FOLDER, OUT = Path(sys.argv[1]), Path(sys.argv[2])
TRANSACTIONS, ROWS = FOLDER / "transactions.parquet", FOLDER / "history" / "activity.parquet"


def run(prepare: Callable[[], Any], answer: Callable[[Any], None], warm: bool = True) -> None:
    """Prepares and answers (cold), answers again from what is prepared (warm), prints figures."""
    started, busy = time.perf_counter(), time.process_time()
    prepared = prepare()
    answer(prepared)
    cold, cpu = time.perf_counter() - started, time.process_time() - busy
    peak = _peak_memory()
    again = None
    if warm:
        started = time.perf_counter()
        answer(prepared)
        again = time.perf_counter() - started
    print(json.dumps({"cold": cold, "cpu": cpu, "warm": again, "peak": peak}))


def _peak_memory() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text("ascii"))
    return int(found[1]) * 1024 if found else 0

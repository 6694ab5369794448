"""One contestant of the join bench in a process of its own: `python -m ... NAME FOLDER OUT MEMORY`.

Reads the bench's files, writes its answers, prints one JSON object: seconds from raw files to the
answers (cold), its seconds of processor time and peak memory, and the seconds from prepared tables
where there can be any (warm). Peers, which have an environment of their own, print the same.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from feature_runtime.core.moments import DAY
from proviso.bench.join_data import DAYS, DELAY, FEATURES, LOOKBACK, START, Data, contract
from proviso.bench.join_data import exact_answers as by_definition
from proviso.bench.peak import peak_memory
from proviso.history.duckdb.engine import Engine, connect, names, parquet_rows, write_parquet
from proviso.history.duckdb.join import build_dataset


@dataclass(frozen=True)
class Task:
    """What a contestant has, and where its answers go."""

    engine: Engine
    data: Data
    memory: str
    out: Path


Step = Callable[[Task], object]


@dataclass(frozen=True)
class Contestant:
    """How to answer from raw files; how to prepare, and to answer from what is prepared."""

    cold: Step
    prepare: Step | None = None
    warm: Step | None = None


def main(name: str, folder: str, out: str, memory: str) -> None:
    """Runs a contestant and prints its figures."""
    contestant = CONTESTANTS[name]
    with connect(memory) as engine:
        task = Task(engine, Data(Path(folder)), memory, Path(out))
        busy = time.process_time()
        cold = _seconds(contestant.cold, task)
        cpu, peak = time.process_time() - busy, peak_memory()
        if contestant.prepare is not None:
            contestant.prepare(task)
        warm = None if contestant.warm is None else _seconds(contestant.warm, task)
    print(json.dumps({"cold": cold, "cpu": cpu, "warm": warm, "peak": peak}))


def _seconds(step: Step, task: Task) -> float:
    started = time.perf_counter()
    step(task)
    return time.perf_counter() - started


def _dataset(task: Task) -> None:
    """What `proviso dataset` runs, checks and request features included."""
    span = (START, START + DAYS * DAY)
    data = task.data
    build_dataset(contract(), data.history, data.transactions, *span, task.out, memory=task.memory)


def _bare(task: Task) -> None:
    """The latest event before t, whether or not its row was there: one ASOF join."""
    _write(task, _asked(task), _rows(task), "event_us")


def _load(task: Task) -> None:
    task.engine.execute(f"create temp table asked as {_asked(task)}")
    task.engine.execute(f"create temp table rows as {_rows(task)}")


def _bare_loaded(task: Task) -> None:
    _write(task, "from asked", "from rows", "event_us")


def _maxima(task: Task) -> None:
    """Exact by SQL alone: only rows greater than all that were visible before them can win."""
    order, visible = f"event_us::hugeint * {2**62} + created_us", _visible()
    _load(task)
    task.engine.execute(
        f"create temp table maxima as from rows qualify coalesce({order} > max({order}) over"
        f" (partition by customer_id order by {visible}, {order} desc"
        f" rows between unbounded preceding and 1 preceding), true)"
    )


def _maxima_asof(task: Task) -> None:
    _write(task, "from asked", "from maxima", _visible())


def _maxima_cold(task: Task) -> None:
    _maxima(task)
    _maxima_asof(task)


def _pairs(task: Task) -> None:
    """Exact as the rule is worded: every row of the entity is looked at for every question."""
    by_definition(task.engine, task.data, task.out)


def _visible() -> str:
    return f"greatest(event_us + {DELAY:d}, created_us)"


def _asked(task: Task) -> str:
    rows = parquet_rows(task.data.transactions)
    return f"select id, customer_id, epoch_us(asked_at) as asked_us from {rows}"


def _rows(task: Task) -> str:
    return (
        f"select customer_id, epoch_us(event_ts) as event_us, epoch_us(created_ts) as created_us,"
        f" {names(*FEATURES)} from {parquet_rows(task.data.rows)}"
    )


def _write(task: Task, asked: str, rows: str, moment: str) -> None:
    """Joins each question to the last row whose moment is not after it."""
    usable = f"event_us >= asked_us - {LOOKBACK:d}"
    winner = ", ".join(f"case when {usable} then {name} end as {name}" for name in FEATURES)
    query = (
        f"select id, case when {usable} then make_timestamptz(event_us) end as event_ts,"
        f" case when {usable} then make_timestamptz(created_us) end as created_ts, {winner}"
        f" from ({asked}) a asof left join (select *, {moment} as _moment from ({rows})) r"
        f" on a.customer_id = r.customer_id and asked_us >= _moment"
    )
    write_parquet(task.engine, query, task.out)


CONTESTANTS = {
    "proviso": Contestant(_dataset),
    "DuckDB, bare ASOF": Contestant(_bare, _load, _bare_loaded),
    "DuckDB, running maxima": Contestant(_maxima_cold, None, _maxima_asof),
    "DuckDB, all pairs": Contestant(_pairs),
}

if __name__ == "__main__":
    main(*sys.argv[1:])

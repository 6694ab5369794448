"""Made-up events that go on: a file that remembers its world and gets what has arrived since.

The world is drawn whole, further than the file goes, so that one world is cut at any moment. A
file holds what had arrived by its end, in order of arrival: what is appended comes after what is
there, and two steps give the bytes of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import ValidationError

from feature_runtime.core.moments import DAY, format_moment
from proviso.contracts.base import InputError, Strict
from proviso.contracts.contract import Contract
from proviso.simulation.simulate import Made, Simulated, chosen, make_up, write_events
from proviso.simulation.spec import Simulation, load_simulation

WORLD_KEY = b"proviso.simulation"


class Memory(Strict):
    """What a file knows of its world: the days of [.., horizon) and how far the file goes.

    Moments in microseconds. The same seed, days and horizon are the same world.
    """

    seed: int
    days: int
    horizon: int
    end: int


@dataclass(frozen=True)
class Appended:
    """What a file got: `added` of its `rows` had arrived since it was last written."""

    path: Path
    rows: int
    added: int
    start: int
    end: int
    horizon: int

    @property
    def text(self) -> str:
        """One line for a person."""
        span = f"{format_moment(self.start)} to {format_moment(self.end)}"
        return f"{self.added:,} rows added, {self.rows:,} from {span}: {self.path}"


def simulate_ongoing(
    directory: Path,
    contract: Contract,
    out: Path,
    ahead: int,
    days: int | None = None,
    seed: int | None = None,
    end: int | None = None,
) -> Simulated:
    """Writes `days` days of events up to `end`, of a world that goes on for `ahead` days more.

    directory: where simulation.yml is, which also has the defaults. Raises ContractError,
    InputError.
    """
    spec = chosen(directory, contract, days, seed, end)
    horizon = spec.end + ahead * DAY
    memory = Memory(seed=spec.seed, days=spec.days + ahead, horizon=horizon, end=spec.end)
    made = _world_of(contract, spec, memory)
    rows = _arrived(made, spec.end)
    write_events(_remembering(made.table.take(rows), memory), out)
    return made.written(contract, rows, out, spec.end)


def append_events(directory: Path, contract: Contract, out: Path, end: int) -> Appended:
    """Adds exactly what has arrived since the file was written, up to `end`.

    directory: where simulation.yml is. The rows that are there stay as they are; a file that is
    not of this contract's and simulation's world is refused. Raises ContractError, InputError.
    """
    known = _remembered(out)
    _check_end(out, known, end)
    made = _world_of(contract, load_simulation(directory, contract), known)
    table = made.table.take(_arrived(made, end))
    written = pq.read_table(out).replace_schema_metadata(None)
    if not table.slice(0, written.num_rows).equals(written):
        raise InputError.of(
            out,
            "rows of another world",
            f"a file simulated with {directory} as it is now",
            "what has been written stays, so the rest must be of the same making",
        )
    added = table.num_rows - written.num_rows
    if end > known.end:
        write_events(_remembering(table, known.model_copy(update={"end": end})), out)
    return Appended(out, table.num_rows, added, made.start, max(end, known.end), known.horizon)


def whole_until(path: Path) -> int | None:
    """The moment before which a file has every arrival; None where it does not say."""
    try:
        notes = pq.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return None  # whoever reads the rows says what is wrong with it
    return _memory_in(notes).end + 1 if WORLD_KEY in notes else None


def _world_of(contract: Contract, spec: Simulation, memory: Memory) -> Made:
    drawn = {"seed": memory.seed, "days": memory.days, "end": memory.horizon}
    return make_up(contract, spec.model_copy(update=drawn))


def _arrived(made: Made, until: int) -> NDArray[np.int64]:
    """The rows that had arrived by a moment, in order of arrival."""
    order = np.argsort(made.arrival, kind="stable")
    return np.asarray(order[: np.searchsorted(made.arrival[order], until, side="right")])


def _remembering(table: pa.Table, memory: Memory) -> pa.Table:
    return table.replace_schema_metadata({WORLD_KEY: memory.model_dump_json()})


def _remembered(path: Path) -> Memory:
    wanted = "a file of `proviso simulate --ahead DAYS`"
    try:
        return _memory_in(pq.read_schema(path).metadata or {})
    except (KeyError, ValidationError):
        raise InputError.of(path, "no simulated world that goes on", wanted) from None
    except (OSError, pa.ArrowInvalid):
        found = "no Parquet file" if path.exists() else "no such file"
        raise InputError.of(path, found, wanted) from None


def _memory_in(notes: dict[bytes, bytes]) -> Memory:
    return Memory.model_validate_json(notes[WORLD_KEY])


def _check_end(path: Path, known: Memory, end: int) -> None:
    if end > known.horizon:
        why = "simulate anew with --ahead, or let the world end here"
        found, wanted = format_moment(end), f"at most {format_moment(known.horizon)}"
        raise InputError.of(f"{path}: --end", found, wanted, why)
    if end < known.end:
        found, wanted = format_moment(end), f"at least {format_moment(known.end)}"
        raise InputError.of(f"{path}: --end", found, wanted, "rows are added, never taken away")

"""Simulated events that continue: a file keeps the parameters of its world and can be extended.

The world is drawn whole, beyond the end of the file, so that the same world can be cut at any
moment. A file holds what had arrived by its end, in order of arrival: appended rows come after the
existing ones, and two steps give the same bytes as one.
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
from proviso.simulation.simulate import END_KEY, Made, Simulated, chosen, make_up, write_events
from proviso.simulation.spec import Simulation, load_simulation

WORLD_KEY = b"proviso.simulation"


class WorldNote(Strict):
    """The note in a file about its world: the days of [.., horizon), and the file's end.

    Moments in microseconds. The same seed, days and horizon are the same world.
    """

    seed: int
    days: int
    horizon: int
    end: int


@dataclass(frozen=True)
class Appended:
    """The result of an append: `added` of the file's `rows` are new."""

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
    """Writes `days` days of events up to `end`, of a world that continues for `ahead` days more.

    directory: where simulation.yml is, which also has the defaults. Raises ContractError,
    InputError.
    """
    spec = chosen(directory, contract, days, seed, end)
    horizon = spec.end + ahead * DAY
    note = WorldNote(seed=spec.seed, days=spec.days + ahead, horizon=horizon, end=spec.end)
    made = _world_of(contract, spec, note)
    rows = _arrived(made, spec.end)
    write_events(_with_note(made.table.take(rows), note), out)
    return made.written(contract, rows, out, spec.end)


def append_events(directory: Path, contract: Contract, out: Path, end: int) -> Appended:
    """Appends the events that have arrived since the file was written, up to `end`.

    directory: where simulation.yml is. Existing rows are kept; a file of another contract's or
    simulation's world is rejected. Raises ContractError, InputError.
    """
    known = _note_of(out)
    _check_end(out, known, end)
    made = _world_of(contract, load_simulation(directory, contract), known)
    table = made.table.take(_arrived(made, end))
    written = pq.read_table(out).replace_schema_metadata(None)
    if not table.slice(0, written.num_rows).equals(written):
        raise InputError.of(
            out,
            "rows of another simulation.yml or contract",
            f"a file simulated with {directory} as it is now",
            "existing rows are kept, so new rows must come from the same simulation",
            code="simulation_world_mismatch",
        )
    added = table.num_rows - written.num_rows
    if end > known.end:
        write_events(_with_note(table, known.model_copy(update={"end": end})), out)
    return Appended(out, table.num_rows, added, made.start, max(end, known.end), known.horizon)


def whole_until(path: Path) -> int | None:
    """The moment before which a file has every arrival; None without a note in the file."""
    end = simulated_until(path)
    return None if end is None else end + 1


def simulated_until(path: Path) -> int | None:
    """The end that a simulated file states; None where it states none."""
    if not path.is_file():  # the reader of the rows reports it; a pipe would be waited for
        return None
    try:
        notes = pq.read_schema(path).metadata or {}
        if WORLD_KEY in notes:
            return _note_in(notes).end
        return int(notes[END_KEY]) if END_KEY in notes else None
    except (OSError, ValueError, pa.ArrowInvalid):
        return None  # the reader of the rows reports the error


def _world_of(contract: Contract, spec: Simulation, note: WorldNote) -> Made:
    drawn = {"seed": note.seed, "days": note.days, "end": note.horizon}
    return make_up(contract, spec.model_copy(update=drawn))


def _arrived(made: Made, until: int) -> NDArray[np.int64]:
    """The rows that had arrived by a moment, in order of arrival."""
    order = np.argsort(made.arrival, kind="stable")
    return np.asarray(order[: np.searchsorted(made.arrival[order], until, side="right")])


def _with_note(table: pa.Table, note: WorldNote) -> pa.Table:
    return table.replace_schema_metadata({WORLD_KEY: note.model_dump_json()})


def _note_of(path: Path) -> WorldNote:
    wanted = "a file of `proviso simulate --ahead DAYS`"
    if path.exists() and not path.is_file():
        raise InputError.of(path, "no file", wanted, code="not_a_file")
    try:
        return _note_in(pq.read_schema(path).metadata or {})
    except (KeyError, ValidationError):
        found, code = "no metadata of `simulate --ahead`", "simulation_not_ongoing"
        raise InputError.of(path, found, wanted, code=code) from None
    except FileNotFoundError:
        raise InputError.of(path, "no such file", wanted, code="file_not_found") from None
    except (OSError, pa.ArrowInvalid):
        raise InputError.of(path, "no Parquet file", wanted, code="parquet_unreadable") from None


def _note_in(notes: dict[bytes, bytes]) -> WorldNote:
    return WorldNote.model_validate_json(notes[WORLD_KEY])


def _check_end(path: Path, known: WorldNote, end: int) -> None:
    if end > known.horizon:
        why = "simulate again with a longer --ahead"
        found, wanted = format_moment(end), f"at most {format_moment(known.horizon)}"
        raise InputError.of(f"{path}: --end", found, wanted, why, code="simulation_past_horizon")
    if end < known.end:
        why, code = "rows are never removed", "simulation_end_before_file"
        found, wanted = format_moment(end), f"at least {format_moment(known.end)}"
        raise InputError.of(f"{path}: --end", found, wanted, why, code=code)

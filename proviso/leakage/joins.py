"""Four joins over one history, and how many of their values nobody could have had yet.

There is one join in the product. The wrong ones are that very join, told a lie: a delay of zero,
or that every row could be read at the moment that it describes. What leaked is then judged by
the contract's delay and the moments at which the rows really became readable, never by what the
wrong join believes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.section import consumed_views, service_of
from proviso.history.arrays import EncoderInputs
from proviso.history.duckdb.engine import connect, literal, names, quoted, write_parquet
from proviso.history.duckdb.relation import history_file, history_relation
from proviso.training.data import Project

Bools = NDArray[np.bool_]
_REAL = "_readable_ts"


class Join(Enum):
    """What a join takes for the moment from which a row may be used."""

    NAIVE = "naive"
    BEFORE = "naive, before t"
    SOURCE_DELAY = "source_delay only"
    EXACT = "exact"

    @property
    def condition(self) -> str:
        """In the words of the rule."""
        return {
            Join.NAIVE: "event_ts <= t",
            Join.BEFORE: "event_ts < t",
            Join.SOURCE_DELAY: "event_ts + source_delay <= t",
            Join.EXACT: "max(event_ts + source_delay, created_ts) <= t",
        }[self]


@dataclass(frozen=True)
class Believed:
    """A project and a history as one join sees them; the files also keep what is true."""

    join: Join
    project: Project
    history: Path


def views_of(project: Project) -> list[FeatureView]:
    """The views that the project's model consumes."""
    return consumed_views(project.contract, service_of(project.contract, project.plan))


def with_views(contract: Contract, views: Sequence[FeatureView]) -> Contract:
    """The contract with some of its views in another form."""
    changed = {view.name: view for view in views}
    kept = [changed.get(view.name, view) for view in contract.feature_views]
    # Made anew: a copy would keep what the contract has already derived from its old views.
    fields = {name: getattr(contract, name) for name in Contract.model_fields}
    return Contract(**{**fields, "feature_views": kept})


def believed(project: Project, history: Path, join: Join, out: Path) -> Believed:
    """Writes the history into `out` as the join takes it to be; values stay what they are.

    Where created_ts is taken for event_ts, of the rows of one entity and event_ts only the last
    is left: that is what a table without created_ts holds.
    """
    contract, views = project.contract, views_of(project)
    for view in views:
        _write_believed(contract, history, view, join, history_file(out, view))
    if join in {Join.NAIVE, Join.BEFORE}:
        blind = [view.model_copy(update={"source_delay": 0}) for view in views]
        project = replace(project, contract=with_views(contract, blind))
    return Believed(join, project, out)


def _write_believed(
    contract: Contract, history: Path, view: FeatureView, join: Join, path: Path
) -> None:
    """No schema is stated in the file: it is of no contract's."""
    keys, features = names(*contract.join_keys(view)), names(*(f.name for f in view.features))
    exact = join is Join.EXACT
    created = {Join.EXACT: "created_us", Join.BEFORE: "event_us + 1"}.get(join, "event_us")
    last = f"qualify row_number() over (partition by {keys}, event_us order by created_us desc) = 1"
    with connect() as engine:
        write_parquet(
            engine,
            f"select {keys}, make_timestamptz(event_us) as event_ts,"
            f" make_timestamptz({created}) as created_ts,"
            f" {features}, make_timestamptz(created_us) as {_REAL}"
            f" from ({history_relation(contract, history, view)}) {'' if exact else last}",
            path,
        )


def leaked(truth: Contract, seen: Believed, inputs: EncoderInputs) -> dict[str, Bools]:
    """View -> which of the rows [n] use a value that the true contract says was not there yet."""
    return {
        view.name: _leaked_of(truth, view, history_file(seen.history, view), inputs)
        for view in views_of(seen.project)
    }


def _leaked_of(contract: Contract, view: FeatureView, path: Path, inputs: EncoderInputs) -> Bools:
    delay = contract.view_by_name[view.name].source_delay
    keys = contract.join_keys(view)
    event, created = inputs.event_ts[view.name], inputs.created_ts[view.name]
    asked = {
        **{key: pa.array(inputs.keys[key]) for key in keys},
        "_at": pa.array(inputs.at),
        "_event": pa.array(event),
        "_created": pa.array(created),
        "_number": pa.array(np.arange(len(inputs))),
    }
    same = " and ".join(f"a.{quoted(key)} = r.{quoted(key)}" for key in keys)
    found = np.zeros(len(inputs), dtype=np.bool_)
    with connect() as engine:
        engine.lend("asked", pa.table(asked))
        rows = engine.execute(
            f"select a._number from asked a join read_parquet({literal(path)}) r on {same}"
            f" and a._event = epoch_us(r.event_ts) and a._created = epoch_us(r.created_ts)"
            f" where greatest(a._event + {delay:d}, epoch_us(r.{_REAL})) > a._at"
        ).fetchall()
    found[[number for (number,) in rows]] = True
    return found

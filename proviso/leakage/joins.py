"""Four joins over one history, and which of their values were not available yet.

The wrong joins are the product's one join over altered inputs: a contract with a delay of zero, or
a history in which every row could be read at its event_ts. Leaks are judged by the true contract
and the real created_ts, not by those inputs.
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
    """The moment from which a join uses a row."""

    NAIVE = "naive"
    BEFORE = "naive, before t"
    SOURCE_DELAY = "source_delay only"
    EXACT = "exact"

    @property
    def condition(self) -> str:
        """The condition, in the terms of the availability rule."""
        return {
            Join.NAIVE: "event_ts <= t",
            Join.BEFORE: "event_ts < t",
            Join.SOURCE_DELAY: "event_ts + source_delay <= t",
            Join.EXACT: "max(event_ts + source_delay, created_ts) <= t",
        }[self]


@dataclass(frozen=True)
class Believed:
    """Project and history as a join sees them; the files keep the real created_ts beside."""

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
    """Writes the history into `out` with the moments that the join assumes; values are unchanged.

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
    """By view: which rows [n] use a value that was not available yet by the true contract."""
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

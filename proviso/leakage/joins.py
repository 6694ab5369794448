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
from proviso.history.engines import history_engine
from proviso.history.files import history_file
from proviso.history.values import Belief
from proviso.training.data import Project

Bools = NDArray[np.bool_]


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

    @property
    def belief(self) -> Belief:
        """What the join takes for a row's created_ts."""
        if self is Join.EXACT:
            return Belief()
        return Belief(offset=1 if self is Join.BEFORE else 0, last_only=True)


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
        history_engine().write_believed(
            contract, history, view, join.belief, history_file(out, view)
        )
    if join in {Join.NAIVE, Join.BEFORE}:
        blind = [view.model_copy(update={"source_delay": 0}) for view in views]
        project = replace(project, contract=with_views(contract, blind))
    return Believed(join, project, out)


def leaked(truth: Contract, seen: Believed, inputs: EncoderInputs) -> dict[str, Bools]:
    """By view: which rows [n] use a value that was not available yet by the true contract."""
    return {
        view.name: _leaked_of(truth, view, history_file(seen.history, view), inputs)
        for view in views_of(seen.project)
    }


def _leaked_of(contract: Contract, view: FeatureView, path: Path, inputs: EncoderInputs) -> Bools:
    used = {
        **{key: pa.array(inputs.keys[key]) for key in contract.join_keys(view)},
        "_at": pa.array(inputs.at),
        "_event": pa.array(inputs.event_ts[view.name]),
        "_created": pa.array(inputs.created_ts[view.name]),
        "_number": pa.array(np.arange(len(inputs))),
    }
    early = np.zeros(len(inputs), dtype=np.bool_)
    early[history_engine().used_too_early(contract, view, path, pa.table(used))] = True
    return early

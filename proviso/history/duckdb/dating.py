"""What events are dated by: their own moment, or that at which values of theirs are known.

A column that is known later has the moment of each row's value beside it in the table of its
source (`known_column`): null where the row has no value, or none that is known yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from proviso.contracts.contract import Aggregate, Contract, FeatureView
from proviso.contracts.definitions import late_columns
from proviso.history.duckdb.engine import quoted


def known_column(column: str) -> str:
    """The name of the moments at which the values of a late column are known, in microseconds."""
    return f"_known_{column}"


@dataclass(frozen=True, order=True)
class Dating:
    """Aggregates of one dating count an event at the same moment.

    columns: the late columns whose values must all be known; none: an event counts when it happens.
    """

    columns: tuple[str, ...] = ()

    @property
    def moment(self) -> str:
        """SQL of the moment at which an event counts; null while a value is not known."""
        if not self.columns:
            return "_event"
        last = ", ".join(quoted(known_column(column)) for column in self.columns)
        return f"case when {self.exists} then greatest({last}) end"

    @property
    def known(self) -> str:
        """SQL of the moment from which an event can be read: it must have arrived as well."""
        return f"greatest({self.moment}, _arrival)" if self.columns else "_arrival"

    @property
    def exists(self) -> str:
        """The condition under which an event counts at some moment."""
        known = [f"{quoted(known_column(column))} is not null" for column in self.columns]
        return " and ".join(known) or "true"

    @property
    def cells(self) -> str:
        """The table of what events add to sums, from where to where."""
        return quoted("+".join(["_cells", *self.columns]))


BY_EVENT = Dating()


def dating_of(contract: Contract, view: FeatureView, aggregate: Aggregate) -> Dating:
    """When an aggregate counts an event."""
    if aggregate.dated == "event":
        return BY_EVENT
    return Dating(tuple(sorted(late_columns(contract, view, aggregate))))

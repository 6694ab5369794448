"""Checks sampled rows of history against the transactions, by the naive oracle.

A correct join of a wrong history is still wrong, so the sampled rows are computed again as
docs/time.md defines them, one entity and one run (or arrival) at a time, and compared to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from feature_runtime.core.availability import Value
from feature_runtime.core.moments import format_moment
from proviso.contracts.contract import Contract, Scheduled
from proviso.history.oracle import Reference
from proviso.history.ports import Transactions
from proviso.history.values import Event, Progress
from proviso.training.dataset_check import Winner
from proviso.training.pace import Pace
from proviso.training.relevant_events import EntityEvents, arrival_span


def wrong_rows(
    contract: Contract,
    transactions: Transactions,
    samples: Mapping[str, Sequence[Winner]],
    progress: Progress,
) -> Iterator[str]:
    """A description of each sampled row, by view, that the transactions do not give."""
    for name, winners in samples.items():
        view = contract.view_by_name[name]
        reference = Reference(transactions.scalars, contract, view)
        found = transactions.events(view, {winner.ids for winner in winners})
        events = {ids: EntityEvents(mine) for ids, mine in found.items()}
        pace = Pace(progress)
        for count, winner in enumerate(winners, 1):
            yield from differences(reference, winner, events[winner.ids].of_row(view, winner.row))
            pace.say(f"certificate: {name}, {count:,} of {len(winners):,} rows again")


def differences(reference: Reference, winner: Winner, events: Sequence[Event]) -> Iterator[str]:
    """What is wrong with a row: the oracle publishes none such by its created_ts.

    A stamp may be later than the plan, so only a later created_ts tells rows apart. events: those
    of the entity that the row can depend on.
    """
    view, row = reference.view, winner.row
    start, end = row.event_ts, row.event_ts + 1
    if not isinstance(view.publication, Scheduled):
        start, end = arrival_span(events, row)
    published = [
        found.values
        for found in reference.rows(events, start, end)
        if found.event_ts == row.event_ts and found.created_ts <= row.created_ts
    ]
    if not any(same_values(row.values, values) for values in published):
        at = format_moment(row.event_ts)
        wanted = published or "no such row"
        yield f"{view.name}: the row of {winner.ids} at {at} has {row.values}, wanted {wanted}"


def same_values(one: Sequence[Value], other: Sequence[Value]) -> bool:
    """Whether values are equal to the bit and of the same types; -0.0 is not 0.0."""
    return [_exact(value) for value in one] == [_exact(value) for value in other]


def _exact(value: Value) -> str:
    return value.hex() if isinstance(value, float) else repr(value)

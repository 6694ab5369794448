"""Checks sampled rows of history against the transactions, by the naive oracle.

A correct join of a wrong history is still wrong, so the sampled rows are computed again as
docs/time.md defines them, one entity and one run (or arrival) at a time, and compared to the bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from feature_runtime.core.availability import Value
from feature_runtime.core.moments import format_moment
from proviso.contracts.base import ALL_TIME
from proviso.contracts.contract import Contract, FeatureView, Scheduled
from proviso.history.oracle import Reference, Seen
from proviso.history.ports import Transactions
from proviso.history.values import Progress
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
        pace = Pace(progress)
        found = transactions.events(view, {w.ids for w in winners}, earliest(view, winners))
        events = {}
        for count, (ids, mine) in enumerate(found.items(), 1):
            events[ids] = EntityEvents(reference, mine)
            pace.say(f"certificate: {name}, events of {count:,} of {len(found):,} entities")
        for count, winner in enumerate(winners, 1):
            yield from differences(reference, winner, events[winner.ids].of_row(winner.row))
            pace.say(f"certificate: {name}, {count:,} of {len(winners):,} rows again")


def earliest(view: FeatureView, winners: Sequence[Winner]) -> int | None:
    """The moment after which the windows of the rows begin; None where they are without end."""
    longest = max((a.window for a in view.aggregates), default=0)
    if longest == ALL_TIME:
        return None
    return min((winner.row.event_ts for winner in winners), default=0) - longest


def differences(reference: Reference, winner: Winner, seen: Seen) -> Iterator[str]:
    """What is wrong with a row: the oracle publishes none such by its created_ts.

    A stamp may be later than the plan, so only a later created_ts tells rows apart. seen: the
    events of the entity that the row can depend on.
    """
    view, row = reference.view, winner.row
    start, end = row.event_ts, row.event_ts + 1
    if not isinstance(view.publication, Scheduled):
        start, end = arrival_span(seen.events, row)
    published = [
        found.values
        for found in reference.rows_of(seen, start, end)
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

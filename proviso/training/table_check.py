"""Checks sampled answers of views over a table against the table itself.

A row of a table is not computed here, so it cannot be computed again: the certificate says that it
was judged by the rule. What can be checked without the history is done: the value that was used is
the newest row of the table that had been created, and published as the contract plans it, at the
moment of asking (history/table_oracle.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from feature_runtime.core.availability import Row, order, visible_from
from feature_runtime.core.moments import format_moment
from proviso.contracts.contract import Contract, FeatureView
from proviso.history.ports import Transactions
from proviso.history.table_oracle import naive_table
from proviso.history.values import GivenRow, Progress
from proviso.training.dataset_check import Answer
from proviso.training.history_check import same_values
from proviso.training.pace import Pace

NOT_RECOMPUTED: Final = "judged by the rule, not recomputed"


def wrong_answers(
    contract: Contract,
    transactions: Transactions,
    answers: Mapping[str, Sequence[Answer]],
    progress: Progress,
) -> Iterator[str]:
    """A description of each sampled answer, by view, that the view's table does not give."""
    for name, some in answers.items():
        view, pace = contract.view_by_name[name], Pace(progress)
        given = transactions.given_rows(view, {answer.ids for answer in some})
        for count, answer in enumerate(some, 1):
            yield from differences(view, answer, given[answer.ids])
            pace.say(f"certificate: {name}, {count:,} of {len(some):,} answers by its table")


def differences(view: FeatureView, answer: Answer, given: Sequence[GivenRow]) -> Iterator[str]:
    """What is wrong with an answer. given: all rows that the table has of the entity.

    A newer row of the table may be passed over only if the history says that it was published after
    the moment of asking, which is then later than the plan.
    """
    winner = answer.winner
    for row in _newest_first(view, given, answer.t):
        if winner is not None and _is(winner, row):
            return
        if not answer.published_later(row):
            said = "nothing" if winner is None else f"the row of {format_moment(winner.event_ts)}"
            wanted = f"that of {format_moment(row.event_ts)} with {row.values}"
            yield f"{_asked(view, answer)} got {said}, wanted {wanted}, which the table had by then"
            return
    if winner is not None:
        found = f"{winner.values} of {format_moment(winner.event_ts)}"
        yield f"{_asked(view, answer)} got {found}, which the table had not published by then"


def _newest_first(view: FeatureView, given: Sequence[GivenRow], t: int) -> list[Row]:
    """Rows that the plan makes usable at t."""
    oldest = t - view.temporal_join_lookback
    near = [row for row in given if oldest <= row.event_ts <= t]
    rows = [one.row for one in naive_table(view, near)]
    usable = [row for row in rows if visible_from(view.times, row) <= t]
    return sorted(usable, key=order, reverse=True)


def _is(winner: Row, row: Row) -> bool:
    """Whether the history's row is this one of the table; its stamp may be later than the plan."""
    times = row.event_ts == winner.event_ts and row.created_ts <= winner.created_ts
    return times and same_values(row.values, winner.values)


def _asked(view: FeatureView, answer: Answer) -> str:
    return f"{view.name}: {answer.ids} at {format_moment(answer.t)}"

"""How the rows of a view come to be published: by runs, on event, or taken from a table.

Only rows that runs compute stand on the grid of a schedule. A row of a table has moments of its
own, also where the view states a schedule (docs/time.md).
"""

from __future__ import annotations

from proviso.contracts.contract import FeatureView, OnEvent, Scheduled


def of_table(view: FeatureView) -> bool:
    """Whether the view's rows are those of a table: then it has no aggregates, else it has some."""
    return not view.aggregates


def runs_of(view: FeatureView) -> Scheduled | None:
    """The schedule whose runs compute the view's rows, one an entity and run; None where each row
    is published for itself: on event, or as a row of a table."""
    if of_table(view) or not isinstance(view.publication, Scheduled):
        return None
    return view.publication


def publishing_takes(view: FeatureView) -> int:
    """Microseconds from the moment at which a row can be published to its planned created_ts."""
    published = view.publication
    return published.delay if isinstance(published, OnEvent) else published.duration

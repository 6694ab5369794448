"""Follows a stream of transactions into the online store: opens landing and stream, and runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from proviso.contracts.base import InputError
from proviso.contracts.contract import FeatureView, OnEvent
from proviso.contracts.publication import of_table
from proviso.history.engines import history_engine
from proviso.online.materialize import Materializer
from proviso.online.sending import Progress
from proviso.online.stream.follower import Followed, Follower, FollowSettings
from proviso.online.stream.landing import open_landing
from proviso.online.stream.valkey import ValkeyStream

_MEMORY = "1GB"
_CONSUMER = "proviso"


@dataclass(frozen=True)
class StreamSource:
    """Where the stream is, the consumer group that reads it, and where its messages land."""

    store: str
    password_file: Path | None
    stream: str
    group: str
    landing: Path


def on_event_views(views: Sequence[FeatureView], progress: Progress) -> list[FeatureView]:
    """The views that a stream publishes; runs publish the others. Raises InputError."""
    on_event = [view for view in views if isinstance(view.publication, OnEvent)]
    chosen = [view for view in on_event if not of_table(view)]
    for view in views:
        if view not in chosen:
            why = "of a table" if of_table(view) else "scheduled"
            progress(f"{view.name}: {why}, so `proviso materialize --as-of now` publishes it")
    if not chosen:
        names = ", ".join(view.name for view in views)
        wanted = "one with publication {on: event}"
        raise InputError.of("views", names, wanted, code="no_on_event_view")
    return chosen


def follow(
    writer: Materializer,
    views: Sequence[FeatureView],
    source: StreamSource,
    settings: FollowSettings,
    stopped: Callable[[], bool],
    progress: Progress,
) -> Followed:
    """Follows the stream until `stopped`, or until it is drained. Raises InputError."""
    contract = writer.contract
    with (
        open_landing(contract, source.landing, source.stream, source.group) as landing,
        closing(
            ValkeyStream(source.store, source.password_file, source.stream, source.group, _CONSUMER)
        ) as stream,
        history_engine().open_arrivals(contract, views, _MEMORY) as arriving,
    ):
        return Follower(writer, views, stream, landing, arriving, settings, progress).run(stopped)

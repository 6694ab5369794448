"""Measures for the catalogue: statistics of the history, freshness of a store."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_runtime.core.service import Feature, View
from proviso.catalog.entries import Measured
from proviso.checks.freshness import FreshnessTarget, bound_of, measure
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.history.engines import history_engine
from proviso.history.files import history_file
from proviso.history.quarantine import read_quarantines
from proviso.history.values import ViewStatistics
from proviso.online.store import OnlineStore
from proviso.release.directory import read_release

_SAMPLE = 500
_SEED = 7


@dataclass(frozen=True)
class Sources:
    """What to measure beside the contract; each may be absent.

    at: the moment that the store serves at (us; None: now, by the store's clock). margin: how
    far clocks may be apart (us).
    """

    releases: Sequence[Path] = ()
    history: Path | None = None
    store: str | None = None
    password_file: Path | None = None
    at: int | None = None
    margin: int = 0


def measured(contract: Contract, sources: Sources, progress: Callable[[str], None]) -> Measured:
    """Everything that the catalogue shows beside the contract. Raises InputError."""
    releases = tuple(map(read_release, sources.releases))
    history = sources.history
    if history is not None:
        progress("figures of the history")
    statistics = {} if history is None else statistics_of(contract, history)
    aside = () if history is None else tuple(read_quarantines(history))
    if sources.store is None:
        return Measured(releases, statistics, quarantined=aside)
    with closing(OnlineStore(sources.store, sources.password_file)) as store:
        at = store.clock() if sources.at is None else sources.at
        target = FreshnessTarget(at, _SAMPLE, _SEED, history, sources.margin, bound_of(contract))
        fresh = freshness_of(contract, store, target, progress)
    return Measured(releases, statistics, fresh, at, aside)


def statistics_of(contract: Contract, history: Path) -> dict[str, ViewStatistics | None]:
    """By view; None where the history does not have it yet. Raises InputError if it has none."""
    known = [v for v in contract.feature_views if history_file(history, v).is_file()]
    if not known:
        raise InputError.of(
            history,
            "no view's file",
            "history",
            "`proviso features` makes it",
            code="history_missing",
        )
    found = {view.name: history_engine().view_statistics(contract, history, view) for view in known}
    return {name: found.get(name) for name in contract.view_by_name}


def freshness_of(
    contract: Contract,
    store: OnlineStore,
    target: FreshnessTarget,
    progress: Callable[[str], None],
) -> Mapping[str, Mapping[str, Any]]:
    """By view, of every view of the contract, whether or not a service consumes it."""
    views = [_as_read(contract, name) for name in contract.view_by_name]
    found = measure(contract, views, store, target, progress)
    return {one.view.name: one.as_dict() for one in found}


def _as_read(contract: Contract, name: str) -> View:
    """A view as the pod would read it; policies play no part in its age."""
    view = contract.view_by_name[name]
    features = tuple(Feature(f.name, f.dtype, None) for f in view.features)
    schema = contract.schema_of(view)
    return View(view.name, tuple(view.entities), schema, view.times, features)

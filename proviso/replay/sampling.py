"""Chooses the transactions that a replay sends, and the runs that a drill leaves out.

Pure. Each kind of hard case is a stratum with a required number of requests; the rest of the
sample is spread evenly over time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core.availability import Status
from feature_runtime.core.moments import MINUTE
from proviso.contracts.contract import FeatureView
from proviso.contracts.publication import runs_of

Moments = NDArray[np.int64]

FLOORS: Mapping[str, int] = {
    "before_created": 30,
    "after_created": 30,
    "missing_key": 20,
    "stale": 20,
    "after_last_run": 1,
}
"""Strata with the least number of requests that each must have."""

_QUOTA = 2  # times the floor, so that a request that falls into two strata does no harm


@dataclass(frozen=True)
class LeftOut:
    """Consecutive runs of a view that are not published, and how many transactions go STALE."""

    view: str
    runs: tuple[int, ...]
    transactions: int


@dataclass(frozen=True)
class Sample:
    """Positions into the transactions asked about, in time order, and the size of each stratum."""

    positions: NDArray[np.int64]
    strata: Mapping[str, int]

    @property
    def short(self) -> dict[str, int]:
        """Strata below their floor, with what they have."""
        return {name: n for name, n in self.strata.items() if n < FLOORS.get(name, 0)}


def choose_left_out(
    views: Sequence[FeatureView], at: Moments, start: int, end: int
) -> LeftOut | None:
    """The smallest disturbance that makes enough transactions STALE; None when nothing does.

    at: sorted scoring moments. Tries for each scheduled view one to four consecutive runs.
    """
    found = [
        best
        for view in views
        for count in range(1, 5)
        if (best := _best_gap(view, count, at, start, end)) is not None
    ]
    enough = [gap for gap in found if gap.transactions >= _QUOTA * FLOORS["stale"]]
    if enough:
        return min(enough, key=lambda gap: gap.transactions)
    return max(found, key=lambda gap: gap.transactions, default=None)


def created_moments(
    views: Sequence[FeatureView], start: int, end: int, left_out: frozenset[tuple[str, int]]
) -> Moments:
    """The planned created_ts of every scheduled run that matters in [start, end), sorted."""
    moments = {
        run + view.delay_to_readable
        for view in views
        for run in runs_between(view, start - view.delay_to_readable, end)
        if (view.name, run) not in left_out
    }
    return np.array(sorted(moments), dtype=np.int64)


def runs_between(view: FeatureView, start: int, end: int) -> range:
    """event_ts of the scheduled runs of a view in [start, end)."""
    runs = runs_of(view)
    if runs is None:
        return range(0)
    every = runs.schedule
    return range(-(-start // every) * every, end, every)


@dataclass(frozen=True)
class Landmarks:
    """Moments of a span that make requests hard: every planned created_ts, the last run's start."""

    created: Moments
    last_run: int


def stratify(
    at: Moments, status: NDArray[np.int8], landmarks: Landmarks, size: int, seed: int
) -> Sample:
    """A sample of `size` positions. at: [n] moments; status: [n, K] offline statuses."""
    rng = np.random.default_rng(seed)
    members = memberships(at, status, landmarks)
    chosen: set[int] = set()
    for name, floor in FLOORS.items():
        candidates = np.flatnonzero(members[name])
        take = min(len(candidates), _QUOTA * floor)
        chosen.update(rng.choice(candidates, take, replace=False).tolist())
    rest = np.setdiff1d(np.arange(len(at)), np.fromiter(chosen, np.int64, len(chosen)))
    spread = rest[
        np.linspace(0, len(rest) - 1, max(0, min(size - len(chosen), len(rest)))).astype(int)
    ]
    positions = np.array(sorted(chosen | set(spread.tolist())), dtype=np.int64)
    ordered = positions[np.argsort(at[positions], kind="stable")]
    counts = {name: int(mask[ordered].sum()) for name, mask in members.items()}
    return Sample(ordered, counts | {"all": len(ordered)})


def memberships(
    at: Moments, status: NDArray[np.int8], landmarks: Landmarks
) -> dict[str, NDArray[np.bool_]]:
    """Which rows belong to which stratum; a row may belong to several."""
    created = landmarks.created
    following = np.searchsorted(created, at, side="right")
    padded = np.concatenate([[-(2**62)], created, [2**62]])
    return {
        "before_created": padded[following + 1] - at <= MINUTE,
        "after_created": at - padded[following] <= MINUTE,
        "missing_key": (status == Status.MISSING_KEY).any(axis=1),
        "stale": (status == Status.STALE).any(axis=1),
        "after_last_run": at >= landmarks.last_run,
    }


def lacking(members: Mapping[str, NDArray[np.bool_]], stratum: str) -> int:
    """How many rows a stratum lacks to its floor."""
    return max(0, FLOORS[stratum] - int(members[stratum].sum()))


def beside(created: Moments, before: int, after: int) -> Moments:
    """Moments within a minute of some created_ts: `before` of them earlier, `after` not earlier.

    The first after is the created_ts itself, at which a row is readable already.
    """
    if len(created) == 0:
        return created
    step = MINUTE // 61
    earlier = [created[-1 - i % len(created)] - (i % 60 + 1) * step for i in range(before)]
    later = [created[-1 - i % len(created)] + i % 60 * step for i in range(after)]
    return np.array([*earlier, *later], dtype=np.int64)


def _best_gap(view: FeatureView, count: int, at: Moments, start: int, end: int) -> LeftOut | None:
    """The `count` consecutive runs whose absence makes most transactions STALE."""
    schedule = runs_of(view)
    if schedule is None:
        return None
    every = schedule.schedule
    best: LeftOut | None = None
    for run in runs_between(view, start, end - count * every):
        stale_from = run - every + view.online_ttl + 1
        stale_to = run + count * every + view.delay_to_readable
        hit = int(np.searchsorted(at, stale_to) - np.searchsorted(at, stale_from))
        if hit > (best.transactions if best else 0):
            runs = tuple(run + i * every for i in range(count))
            best = LeftOut(view.name, runs, hit)
    return best

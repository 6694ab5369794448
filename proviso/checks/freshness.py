"""How old the rows are that the store serves, per view, against its objective.

Age is that of event time as served: of the row that wins by the one rule at T. A job that ran but
brought no newer run makes nothing fresh, whatever its stamps and the watermark say. A row of an
on-event view means "as of the last transaction" and may be old with nothing late; there the
watermark's lag counts, and live entities without a row (docs/freshness.md).
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core import timeline
from feature_runtime.core.availability import Status, visible_from
from feature_runtime.core.keys import entity_key, timeline_key
from feature_runtime.core.moments import SECOND, format_duration, format_moment, now
from feature_runtime.core.service import View
from feature_runtime.serving.lookup import winner
from proviso.checks.evidence import Evidence
from proviso.checks.options import AsOf, Seed, Store
from proviso.checks.registry import Check, CheckContext, Option
from proviso.contracts.bounds import Bound
from proviso.contracts.contract import Contract, FeatureView, OnEvent
from proviso.contracts.publication import of_table, runs_of
from proviso.history.engines import history_engine
from proviso.online.store import OnlineStore, Watermark
from proviso.training.score import check_contract

METRIC = "freshness_breach_rate"
KIND = "freshness"
BATCH = 1_000

Ages = NDArray[np.int64]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Served:
    """What the store serves of some live entities at one moment.

    ages: microseconds of event time of each winner, STALE ones included. unserved: entities
    without a winner, by status (MISSING_KEY, or TYPE where the bytes are no timeline).
    """

    ages: Ages
    stale: int = 0
    missing: int = 0
    unreadable: int = 0

    @property
    def entities(self) -> int:
        return len(self.ages) + self.missing + self.unreadable


@dataclass(frozen=True)
class Freshness:
    """The result for one view: `reasons` say why it is not fresh; empty when it is."""

    view: FeatureView
    served: Served
    watermark: Watermark | None
    lag: int | None
    breach_rate: float
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """For machines; seconds, and None where nothing was measured."""
        ages = self.served.ages
        middle, high = (_quantile(ages, q) for q in (0.5, 0.95))
        return {
            "publication": _publication(self.view),
            "slo_s": self.view.freshness_slo / SECOND,
            "entities": self.served.entities,
            "age_median_s": middle,
            "age_p95_s": high,
            "age_max_s": _quantile(ages, 1.0),
            "stale": self.served.stale,
            "missing": self.served.missing,
            "unreadable": self.served.unreadable,
            "watermark": None if self.watermark is None else format_moment(self.watermark.complete),
            "watermark_lag_s": None if self.lag is None else self.lag / SECOND,
            METRIC: self.breach_rate,
            "fresh": not self.reasons,
            "reasons": list(self.reasons),
        }


@dataclass(frozen=True)
class FreshnessTarget:
    """What to measure: the moment, how many entities of each view, and which (`seed`).

    history None: live are the entities with a key that has a visible row. margin: how far
    clocks may differ. bound: of the share of entities that are older than the objective.
    """

    t: int
    sample: int
    seed: int
    history: Path | None
    margin: int
    bound: Bound


def bound_of(contract: Contract) -> Bound:
    """The strictest quality gate on the breach rate; without one nothing may be late."""
    bounds = (gate.bound for gate in contract.quality_gates if gate.metric == METRIC)
    upper = (bound for bound in bounds if bound.side == "upper")
    return min(upper, key=lambda bound: bound.limit, default=Bound.at_most(0))


def measure(
    contract: Contract,
    views: Sequence[View],
    store: OnlineStore,
    target: FreshnessTarget,
    progress: Callable[[str], None],
) -> list[Freshness]:
    """Reads a sample of each view's live entities from the store and judges their ages."""
    found = []
    for view in views:
        stated = contract.view_by_name[view.name]
        progress(f"{view.name}: asking about at most {target.sample} entities")
        blobs = _blobs(store, _sampled(contract, stated, view, store, target))
        served = served_at(view, blobs, target.t, live=target.history is not None)
        mark = store.watermark(view.name, view.schema)
        found.append(judge(stated, served, mark, target))
    return found


def served_at(view: View, blobs: Iterable[bytes | None], t: int, *, live: bool) -> Served:
    """What keys serve at `t`. Entities not known to be `live` are skipped while they have no row.

    An entity that appeared a moment ago has a key whose first row is not visible: nothing is late.
    """
    ages, counts = [], dict.fromkeys(Status, 0)
    for blob in blobs:
        found = winner(view, blob, t)
        if found.row is None and not live and not _was_visible(view, blob, t):
            continue
        counts[found.status] += 1
        if found.row is not None:
            ages.append(t - found.row.event_ts)
    return Served(
        np.array(ages, dtype=np.int64),
        counts[Status.STALE],
        counts[Status.MISSING_KEY],
        counts[Status.TYPE],
    )


def judge(
    view: FeatureView, served: Served, mark: Watermark | None, target: FreshnessTarget
) -> Freshness:
    """Pure: compares what is served at t with the view's objective."""
    lag = None if mark is None else max(0, target.t - mark.complete)
    on_event = runs_of(view) is None
    behind, lost = _lag_rate(view, lag), _lost_rate(served, target)
    rate = max(behind, lost) if on_event else _age_rate(view, served)
    reasons = list(_unmeasurable(view, served, mark, target))
    if mark is not None and not target.bound.holds(rate):
        late = _late_rows if not on_event else _lost_rows if not behind else None
        reasons.append(
            _late_watermark(view, lag or 0) if late is None else late(view, served, target)
        )
    warnings = tuple(_idle(view, served)) if on_event else ()
    return Freshness(view, served, mark, lag, rate, tuple(reasons), warnings)


def evidence_of(release: str, found: Sequence[Freshness], target: FreshnessTarget) -> Evidence:
    """The measurement for the gate; the figure is that of the worst view."""
    return Evidence(
        KIND,
        release,
        made_at=now(),
        as_of=target.t,
        reasons=tuple(reason for one in found for reason in one.reasons) or _nothing(found),
        warnings=tuple(warning for one in found for warning in one.warnings),
        figures={
            METRIC: max((one.breach_rate for one in found), default=1.0),
            "bound": target.bound.limit,
            "live_by": "history" if target.history is not None else "keys of the store",
            "views": {one.view.name: one.as_dict() for one in found},
        },
    )


def _nothing(found: Sequence[Freshness]) -> tuple[str, ...]:
    return () if found else ("the release reads no view: nothing was measured",)


def _sampled(
    contract: Contract,
    stated: FeatureView,
    view: View,
    store: OnlineStore,
    target: FreshnessTarget,
) -> list[bytes]:
    """Keys of the sampled entities, without duplicates, the same for the same seed."""
    if target.history is None:
        keys = store.timeline_keys(view.name, view.schema)
    else:
        entities = history_engine().live_entities(contract, target.history, stated, target.t)
        keys = (
            timeline_key(entity_key(view.entities, ids), view.name, view.schema) for ids in entities
        )
    return spread(keys, target.sample, target.seed)


def spread(keys: Iterable[bytes], count: int, seed: int) -> list[bytes]:
    """`count` of the keys, chosen by their digest: a random sample that does not depend on the
    keys' order or repetition, in memory for no more than the sample."""
    salt = seed.to_bytes(8, "little", signed=True)
    chosen: list[tuple[bytes, bytes]] = []
    for some in _batches(keys, max(count, BATCH)):
        ranked = {(blake2b(key, digest_size=8, salt=salt).digest(), key) for key in some}
        chosen = heapq.nsmallest(count, ranked.union(chosen))
    return [key for _, key in chosen]


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    source = iter(items)
    while some := list(islice(source, size)):
        yield some


def _blobs(store: OnlineStore, keys: Sequence[bytes]) -> Iterator[bytes | None]:
    for some in _batches(keys, BATCH):
        yield from store.read(some)


def _was_visible(view: View, blob: bytes | None, t: int) -> bool:
    """Whether a key without a winner has had one: its rows are beyond the lookback, or torn."""
    if blob is None:
        return False
    try:
        rows = timeline.unpack(view.schema, blob)
    except timeline.TimelineError:
        return True
    return any(visible_from(view.times, row) <= t for row in rows)


def _age_rate(view: FeatureView, served: Served) -> float:
    """The share of entities that are served something older than the objective, or nothing."""
    if served.entities == 0:
        return 1.0
    fresh = int((served.ages <= view.freshness_slo).sum())
    return (served.entities - fresh) / served.entities


def _lag_rate(view: FeatureView, lag: int | None) -> float:
    """1 when the watermark is late, else 0: a watermark is the same for all entities."""
    return 0.0 if lag is not None and lag <= view.freshness_slo else 1.0


def _lost_rate(served: Served, target: FreshnessTarget) -> float:
    """The share of live entities of an on-event view that have no row, whatever the watermark.

    Only a history knows which entities are live; a key without a row may be of an idle one.
    """
    lost = served.unreadable + (served.missing if target.history is not None else 0)
    return lost / served.entities if served.entities else 0.0


def _unmeasurable(
    view: FeatureView, served: Served, mark: Watermark | None, target: FreshnessTarget
) -> Iterator[str]:
    if mark is None:
        yield f"{view.name}: found no watermark, wanted a materialized view"
        return
    earliest = mark.merge_clock - target.margin
    if target.t < earliest:
        yield (
            f"{view.name}: found as-of {format_moment(target.t)}, wanted "
            f"{format_moment(earliest)} or later (earlier rows are no longer in the keys)"
        )
    if served.entities == 0:
        yield f"{view.name}: found no live entity, wanted at least one"


def _idle(view: FeatureView, served: Served) -> Iterator[str]:
    """Warnings of rows that contradict a fresh watermark, which is only the writer's claim."""
    if served.stale == len(served.ages):
        yield (
            f"{view.name}: found no row of the last {format_duration(view.online_ttl)} among "
            f"{served.entities} entities, wanted one (no events, or the writer has no source)"
        )
    if served.missing:
        yield (
            f"{view.name}: found {served.missing} of {served.entities} live entities without a "
            "row, wanted one for each"
        )


def _late_rows(view: FeatureView, served: Served, target: FreshnessTarget) -> str:
    rate = _age_rate(view, served)
    return (
        f"{view.name}: found {rate:.2%} of {served.entities} entities without a row of the last "
        f"{format_duration(view.freshness_slo)} ({served.stale} STALE, {served.missing} missing), "
        f"wanted at most {target.bound.limit:.2%}, owner {view.owner}"
    )


def _lost_rows(view: FeatureView, served: Served, target: FreshnessTarget) -> str:
    return (
        f"{view.name}: found {_lost_rate(served, target):.2%} of {served.entities} live entities "
        f"without a row, wanted at most {target.bound.limit:.2%}, owner {view.owner}"
    )


def _late_watermark(view: FeatureView, lag: int) -> str:
    return (
        f"{view.name}: found a watermark {format_duration(_seconds(lag))} behind, "
        f"wanted at most {format_duration(view.freshness_slo)}, owner {view.owner}"
    )


def _seconds(microseconds: int) -> int:
    """Rounded up to whole seconds, for a reader."""
    return -(-microseconds // SECOND) * SECOND


def _quantile(ages: Ages, q: float) -> float | None:
    """A value that occurs, in seconds; None where there is none."""
    if len(ages) == 0:
        return None
    return float(np.quantile(ages, q, method="higher")) / SECOND


@dataclass(frozen=True)
class FreshnessOptions:
    """What `proviso check freshness` takes."""

    store: Store
    history: Annotated[
        Path | None,
        Option("History that says which entities are live (default: the store's keys)."),
    ] = None
    as_of: AsOf = None
    sample: Annotated[int, Option("Entities of each view.", min=1, max=100_000)] = 500
    seed: Seed = 7


def _measure(context: CheckContext, options: FreshnessOptions) -> Evidence:
    contract, store = context.contract, options.store
    if context.release is not None:
        check_contract(context.release, contract)
    target = FreshnessTarget(
        t=store.clock() if options.as_of is None else options.as_of,
        sample=options.sample,
        seed=options.seed,
        history=options.history,
        margin=context.plan.clock_margin,
        bound=bound_of(contract),
    )
    found = measure(contract, context.views, store, target, context.progress)
    evidence = evidence_of(context.release_id, found, target)
    return replace(evidence, warnings=(*evidence.warnings, *store.warnings()))


def _text(evidence: Evidence) -> str:
    lines = [f"as of {format_moment(evidence.as_of)}, live by {evidence.figures['live_by']}"]
    for name, view in evidence.figures["views"].items():
        lines.append(f"{name}: {'fresh' if view['fresh'] else 'NOT FRESH'}, {_line(view)}")
    return "\n".join([*lines, *(f"warning: {w}" for w in evidence.warnings), *evidence.reasons])


def _line(view: dict[str, Any]) -> str:
    ages = "/".join(_shown(view[name]) for name in ("age_median_s", "age_p95_s", "age_max_s"))
    return (
        f"objective {_shown(view['slo_s'])}, {view['publication']}: age {ages} "
        f"(median/p95/max of {view['entities']}), {view['stale']} STALE, "
        f"{view['missing']} missing, "
        f"watermark {view['watermark'] or 'none'} ({_shown(view['watermark_lag_s'])} behind), "
        f"breach rate {view[METRIC]:.2%}"
    )


def _publication(view: FeatureView) -> str:
    if of_table(view):
        return "table"
    return "on event" if isinstance(view.publication, OnEvent) else "scheduled"


def _shown(seconds: float | None) -> str:
    return "-" if seconds is None else format_duration(round(seconds) * SECOND)


CHECK = Check(
    name=KIND,
    options=FreshnessOptions,
    measure=_measure,
    figures=(METRIC,),
    stage="shadow",
    finding="freshness",
    when_passed="every view is within its objective",
    needs_release=False,
    text=_text,
)

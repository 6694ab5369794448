"""Statistics of a view's newest rows, for the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from proviso.contracts.contract import Contract, Feature, FeatureView
from proviso.contracts.publication import runs_of
from proviso.history.duckdb.engine import Engine, connect, names, quoted
from proviso.history.duckdb.relation import planned_relation
from proviso.history.values import FeatureStatistics, ViewStatistics

BINS = 24
_QUANTILES = (0.0, 0.01, 0.5, 0.99, 1.0)


def view_statistics(contract: Contract, history: Path, view: FeatureView) -> ViewStatistics | None:
    """Figures of a view's history; None when it has no row. Raises InputError without history."""
    relation = planned_relation(contract, history, view)
    with connect() as engine:
        rows, newest = engine.row(f"select count(*), max(_event_us) from ({relation})")
        if not rows:
            return None
        engine.execute(_newest_rows(contract, history, view, newest))
        entities = int(engine.row("select count(*) from _newest")[0])
        features = dict(_features(engine, view, entities))
    return ViewStatistics(int(rows), int(newest), entities, features)


def _newest_rows(contract: Contract, history: Path, view: FeatureView, newest: int) -> str:
    """One row an entity. A correction of the run comes later in created_ts, and counts."""
    start = newest if runs_of(view) else newest - view.temporal_join_lookback
    keys = names(*contract.join_keys(view))
    return (
        "create temp table _newest as select * from "
        f"({planned_relation(contract, history, view, start, newest + 1)}) qualify row_number() "
        f"over (partition by {keys} order by _event_us desc, _created_us desc) = 1"
    )


def _features(
    engine: Engine, view: FeatureView, entities: int
) -> Iterator[tuple[str, FeatureStatistics]]:
    for feature in view.features:
        if feature.dtype == "string":
            (known,) = engine.row(f"select count({quoted(feature.name)}) from _newest")
            yield feature.name, FeatureStatistics(entities - int(known))
            continue
        value = f"{quoted(feature.name)}::double"
        known, quantiles = engine.row(
            f"select count({value}), quantile_disc({value}, {list(_QUANTILES)}) from _newest"
        )
        nulls = entities - int(known)
        if not known:
            yield feature.name, FeatureStatistics(nulls)
            continue
        least, low, median, high, greatest = quantiles
        bins = _bins(engine, feature, low, high)
        yield feature.name, FeatureStatistics(nulls, least, low, median, high, greatest, bins)


def _bins(engine: Engine, feature: Feature, low: float, high: float) -> tuple[int, ...]:
    """Counts; whole numbers of a small range have a bin each."""
    steps = high - low
    count = int(steps) + 1 if feature.dtype != "float64" and steps < BINS else BINS
    width = (steps + (feature.dtype != "float64")) / count or 1.0
    place = f"floor(({quoted(feature.name)}::double - {low!r}) / {width!r})"
    engine.execute(
        f"select least(greatest({place}, 0), {count - 1})::int, count(*) from _newest "
        f"where {quoted(feature.name)} is not null group by 1"
    )
    found = dict(engine.fetchall())
    return tuple(int(found.get(n, 0)) for n in range(count))

"""Renders the catalogue: one self-contained page from a contract and what was measured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment

from feature_runtime.core.moments import SECOND, format_moment, to_microseconds
from feature_runtime.core.release import model_ref
from proviso.catalog.durations import lasting, reach
from proviso.catalog.entries import (
    FeatureEntry,
    Measured,
    ViewEntry,
    notices,
    owners,
    service_entries,
    view_entries,
)
from proviso.catalog.graph import WIDTH, lineage_graph
from proviso.catalog.sources import source_entries
from proviso.contracts.base import ContractError
from proviso.contracts.contract import Contract, FeatureView, OnEvent, Scheduled
from proviso.contracts.publication import of_table
from proviso.contracts.sources import ObservedRows, Source
from proviso.contracts.validation.views import view_problems
from proviso.history.values import FeatureStatistics
from proviso.pages.charts import Bar, Scale, bars
from proviso.pages.shell import environment, write_page

_TEMPLATES = Path(__file__).parent / "templates"
_CHART = (132.0, 30.0)
_WIDEST = 14.0


def check_views(contract: Contract) -> None:
    """Raises ContractError where a view names an entity or feature that does not exist.

    Retired features and expired approvals are no error: the page has a notice about them.
    """
    problems = [p for view in contract.feature_views for p in view_problems(contract, view)]
    if problems:
        raise ContractError(problems)


def write_catalog(contract: Contract, measured: Measured, made_at: datetime, path: Path) -> None:
    """Writes the page; `made_at` is the day at which retirements and approvals are judged."""
    write_page(_environment(), "catalog.html.j2", context(contract, measured, made_at), path)


def context(contract: Contract, measured: Measured, made_at: datetime) -> dict[str, Any]:
    """All that the template shows."""
    today = made_at.astimezone(UTC).date()
    views = view_entries(contract, measured, today)
    services = service_entries(contract, measured)
    return {
        "contract": contract,
        "sources": source_entries(contract),
        "source_names": [source.name for source in contract.sources],
        "made_at": format_moment(to_microseconds(made_at.replace(microsecond=0))),
        "as_of": measured.as_of,
        "graph": lineage_graph(contract, _under(contract, measured)),
        "graph_width": WIDTH,
        "states": {entry.name: entry.state for entry in _features(views)},
        "views": views,
        "features": sorted(_features(views), key=lambda e: (e.feature.name, e.view.name)),
        "services": services,
        "owners": _by_kind(contract),
        "notices": list(notices(views, services)),
        "has_statistics": bool(measured.statistics),
        "has_freshness": bool(measured.freshness),
        "quarantined": measured.quarantined,
        "loose": [r for r in measured.releases if _serves_nothing(contract, r.service.name)],
    }


def summary(contract: Contract, measured: Measured, today: date) -> dict[str, Any]:
    """The catalogue in figures, for machines."""
    views = view_entries(contract, measured, today)
    services = service_entries(contract, measured)
    found = list(_features(views))
    return {
        "views": len(views),
        "features": len(found),
        "services": len(services),
        "unused": [e.name for e in found if not e.consumers],
        "deprecated": [e.name for e in found if e.state == "deprecated"],
        "retired": [e.name for e in found if e.state == "retired"],
        "notices": [f"{n.tone}: {n.text}" for n in notices(views, services)],
        "quarantine": [one.as_dict() for one in measured.quarantined],
    }


def distribution(statistics: FeatureStatistics) -> tuple[Bar, ...]:
    """The histogram in a drawing of `_CHART` units."""
    width, height = _CHART
    most, count = max(statistics.bins, default=0), len(statistics.bins)
    if not most:
        return ()
    low, part = statistics.low or 0.0, _part(statistics)

    def title(start: float, _end: float, rows: int) -> str:
        return f"{_number(low + start * part)} and more: {rows:,}"

    x = Scale(0, count, 0, min(width, count * _WIDEST))
    return bars(range(count + 1), statistics.bins, (x, Scale(0, most, height, 0)), _tone, title)


def _tone(_value: float) -> str:
    return "model"


def _part(statistics: FeatureStatistics) -> float:
    """The width of a bin, in the feature's unit."""
    span = (statistics.high or 0.0) - (statistics.low or 0.0)
    count = len(statistics.bins)
    return 1.0 if span == count - 1 else span / count


def _entities(source: Source) -> str:
    if isinstance(source, ObservedRows):
        return f"rows of {source.rows_of}"
    count = len(source.entities)
    return "1 entity" if count == 1 else f"{count} entities"


def _under(contract: Contract, measured: Measured) -> dict[str, str]:
    """A line below each node of the drawing."""
    found = {source.name: _entities(source) for source in contract.sources}
    for view in contract.feature_views:
        found[view.name] = f"{', '.join(view.entities)} · {published(view)}"
    for service in contract.feature_services:
        given = sum(r.service.name == service.name for r in measured.releases)
        version = model_ref(service.model).version
        found[service.name] = f"{len(service.features)} features"
        found[service.model] = f"{version} · {given} release" if given == 1 else version
    return found


def published(view: FeatureView) -> str:
    """When the view has new rows, in words."""
    given = "those of the table, " if of_table(view) else ""
    if isinstance(view.publication, Scheduled):
        return f"{given}every {lasting(view.publication.schedule)}"
    return f"{given}on event, {lasting(view.publication.delay)} later"


def readable(view: FeatureView) -> str:
    """From when a new row can be read, in words."""
    if isinstance(view.publication, OnEvent):
        since = "an arrival"
    else:
        since = "the event time of their run" if of_table(view) else "their event time"
    return f"readable {lasting(view.delay_to_readable)} after {since}"


def _features(views: Sequence[ViewEntry]) -> list[FeatureEntry]:
    return [feature for view in views for feature in view.features]


def _by_kind(contract: Contract) -> list[tuple[str, list[tuple[str, list[str]]]]]:
    """Owner, then kind, then names."""
    return [
        (owner, [(kind, [n for _, n in some]) for kind, some in groupby(things, lambda t: t[0])])
        for owner, things in sorted(owners(contract).items())
    ]


def _serves_nothing(contract: Contract, service: str) -> bool:
    return service not in {known.name for known in contract.feature_services}


def _environment() -> Environment:
    where = environment(_TEMPLATES)
    where.filters["lasting"] = lasting
    where.filters["reach"] = reach
    where.filters["seconds"] = _seconds
    where.filters["moment"] = format_moment
    where.filters["number"] = _number
    where.filters["published"] = published
    where.filters["readable"] = readable
    where.filters["plural"] = _plural
    where.globals["distribution"] = distribution
    where.globals["chart"] = _CHART
    return where


def _seconds(value: float | None) -> str:
    """A duration in seconds, for a reader."""
    return "-" if value is None else lasting(round(value) * SECOND)


def _plural(kind: str) -> str:
    return "entities" if kind == "entity" else f"{kind}s"


def _number(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:,.4g}"

"""The leakage findings as data, text and page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from feature_runtime.core.moments import format_duration
from proviso.contracts.files import replacing_together
from proviso.leakage.delays import Effect, Raised
from proviso.leakage.incident import Outcome
from proviso.leakage.joins import Join
from proviso.pages.charts import Key, levels
from proviso.pages.shell import environment, page_text
from proviso.training.data import Project, Request
from proviso.training.model_card import data_section, named_metrics

_TEMPLATES = Path(__file__).parent / "templates"
_NAMES = {"auc": "AUC", "average_precision": "average precision"}
_DIGITS = 6
_SIDES = (Key("warn", "claimed"), Key("model", "served"))
_LEAKY = (
    Key("bad", Join.NAIVE.value),
    Key("negative", Join.BEFORE.value),
    Key("warn", Join.SOURCE_DELAY.value),
)


@dataclass(frozen=True)
class Findings:
    """arrival_lag: of the simulated data (us), None for a file that was given."""

    project: Project
    request: Request
    arrival_lag: int | None
    outcomes: Sequence[Outcome]
    raised: Sequence[Raised]


def as_data(found: Findings) -> dict[str, Any]:
    """All figures; `gap` is claimed minus served."""
    k = found.project.spec.protocol.k
    lag = found.arrival_lag
    return {
        "model": found.project.plan.model,
        "data": data_section(found.project, found.request),
        "simulated": None if lag is None else {"arrival_lag": format_duration(lag)},
        "joins": [_joined(outcome, k) for outcome in found.outcomes],
        "source_delays": [_delay(one, k) for one in found.raised],
    }


def _joined(outcome: Outcome, k: int) -> dict[str, Any]:
    claimed, served = (named_metrics(m, k, _DIGITS) for m in (outcome.claimed, outcome.served))
    return {
        "join": outcome.join.value,
        "condition": outcome.join.condition,
        "training_rows": outcome.training_rows,
        "leaked": asdict(outcome.total),
        "views": {view: asdict(leak) for view, leak in outcome.views.items()},
        "claimed": claimed,
        "served": served,
        "gap": {name: _less(claimed[name], served[name]) for name in claimed},
        "evaluated_rows": outcome.served.rows,
        "evaluated_positives": outcome.served.positives,
    }


def _delay(one: Raised, k: int) -> dict[str, Any]:
    return {
        "source_delay": format_duration(one.delay),
        "training_values": one.values,
        "rule_alone": _effect(one.rule, k),
        "published_again": _effect(one.published, k),
    }


def _effect(effect: Effect, k: int) -> dict[str, Any]:
    return {"changed_values": effect.changed, **named_metrics(effect.metrics, k, _DIGITS)}


def _less(claimed: float | None, served: float | None) -> float | None:
    return None if claimed is None or served is None else round(claimed - served, _DIGITS)


def as_text(data: dict[str, Any]) -> str:
    """Two tables as text."""
    lines = [_headline(data), ""]
    lines += _table(_join_rows(data))
    if data["source_delays"]:
        lines += ["", *_table(_delay_rows(data))]
    return "\n".join(lines)


def _headline(data: dict[str, Any]) -> str:
    days = data["data"]
    made = data["simulated"]
    source = f"simulated, arrival lag {made['arrival_lag']}" if made else "given data"
    train, test = (" to ".join(days[name]) for name in ("train_days", "test_days"))
    return f"{data['model']}, {source}: train {train}, test {test}"


def _join_rows(data: dict[str, Any]) -> list[list[str]]:
    metrics = [f"{_named(name)} claimed > served" for name in data["joins"][0]["claimed"]]
    rows = [["join", "rows leaked", "values leaked", "wrong", *metrics]]
    for one in data["joins"]:
        share = one["leaked"]["rows"] / max(one["training_rows"], 1)
        figures = [
            f"{_figure(one['claimed'][name])} > {_figure(one['served'][name])}"
            for name in one["claimed"]
        ]
        leak = one["leaked"]
        counts = [f"{leak['rows']:,} ({share:.1%})", f"{leak['values']:,}", f"{leak['wrong']:,}"]
        rows.append([one["join"], *counts, *figures])
    return rows


def _delay_rows(data: dict[str, Any]) -> list[list[str]]:
    first = data["source_delays"][0]
    names = [name for name in first["rule_alone"] if name != "changed_values"]
    header = ["source_delay"]
    for column in ("rule alone", "published again"):
        header += [f"{column}: changed", *map(_named, names)]
    rows = [header]
    for one in data["source_delays"]:
        cells = [one["source_delay"]]
        for column in ("rule_alone", "published_again"):
            share = one[column]["changed_values"] / max(one["training_values"], 1)
            cells.append(f"{one[column]['changed_values']:,} ({share:.1%})")
            cells += [_figure(one[column][name]) for name in names]
        rows.append(cells)
    return rows


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _named(metric: str) -> str:
    return _NAMES.get(metric, metric.replace("_precision_at_", " precision@"))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def write_report(data: dict[str, Any], out: Path) -> None:
    """Writes `leakage.json` and `leakage.html` into `out`, both or none."""
    page = page_text(environment(_TEMPLATES), "leakage.html.j2", _context(data))
    with replacing_together() as files:
        files.write_text(out / "leakage.json", json.dumps(data, indent=1) + "\n")
        files.write_text(out / "leakage.html", page)


def _context(data: dict[str, Any]) -> dict[str, Any]:
    joins = data["joins"]
    names = [one["join"] for one in joins]
    return {
        "headline": _headline(data),
        "joins": joins,
        "by_metric": {
            _named(metric): levels(
                names,
                {key: [one[key.name][metric] for one in joins] for key in _SIDES},
                "{:.3f}".format,
            )
            for metric in ("average_precision", "auc")
        },
        "sides": _SIDES,
        "leaks": levels(list(joins[0]["views"]), _leaked_shares(joins), _percent),
        "leaky": _LEAKY,
        "join_table": _join_rows(data),
        "delay_table": _delay_rows(data) if data["source_delays"] else [],
    }


def _leaked_shares(joins: Sequence[dict[str, Any]]) -> dict[Key, list[float | None]]:
    """By join: the share of training rows that leaked, view by view."""
    by_name = {one["join"]: one for one in joins}
    shares: dict[Key, list[float | None]] = {}
    for key in _LEAKY:
        views, rows = by_name[key.name]["views"], max(by_name[key.name]["training_rows"], 1)
        shares[key] = [leak["rows"] / rows for leak in views.values()]
    return shares


def _percent(share: float) -> str:
    return f"{share:.0%}" if share == 0 or share >= 0.1 else f"{share:.1%}"

"""The results of a sweep as data, as Markdown, and as a page with two charts."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from proviso.bench.sweep import Curve, Point, Spread
from proviso.bench.sweep_charts import batch_picture, latency_picture
from proviso.bench.sweep_choice import Budget, Choice
from proviso.contracts.files import replacing_together
from proviso.pages.shell import environment, page_text

_TEMPLATES = Path(__file__).parent / "templates"
_HEADER = (
    *("where", "batching", "concurrency", "inferences/s", "p50 ms", "p95 ms", "p99 ms"),
    *("inferences an execution", "in the server ms"),
)


@dataclass(frozen=True)
class Found:
    """choice: only where batching was varied. notes: limits of the measurement."""

    model: str
    budget: Budget
    curves: Sequence[Curve]
    choice: Choice | None
    rounds: int
    seconds: float
    inputs: str
    machine: str
    notes: tuple[str, ...] = ()


def as_data(found: Found) -> dict[str, Any]:
    """All figures, those of each round included."""
    return {
        "model": found.model,
        "budget": {**asdict(found.budget), "predictor_ms": found.budget.predictor_ms},
        "rounds": found.rounds,
        "seconds": found.seconds,
        "inputs": found.inputs,
        "machine": found.machine,
        "notes": list(found.notes),
        "predictors": [_curve(curve) for curve in found.curves],
        "choice": None if found.choice is None else asdict(found.choice),
    }


def _curve(curve: Curve) -> dict[str, Any]:
    points = [
        {"concurrency": p.concurrency, "rounds": [one and asdict(one) for one in p.rounds]}
        for p in curve.points
    ]
    return {**asdict(curve.contender), "name": curve.contender.name, "points": points}


def as_text(found: Found) -> str:
    """Markdown: a line for each point, then the conclusions."""
    rows = [list(_HEADER), ["---", "---", *["---:"] * (len(_HEADER) - 2)], *table_rows(found)]
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, "", *remarks(found), "", *conclusions(found)])


def table_rows(found: Found) -> list[list[str]]:
    """Cells of every point, without a header."""
    return [_row(curve, point) for curve in found.curves for point in curve.points]


def _row(curve: Curve, point: Point) -> list[str]:
    start = [curve.contender.where, curve.contender.setting.name, f"{point.concurrency}"]
    if not point.measured:
        return [*start, *["-"] * (len(_HEADER) - len(start))]
    rate, late = point.throughput, point.p95_ms
    server = statistics.median(sum(one.server_ms.values()) for one in point.measured)
    return [
        *start,
        _spread(rate, ",.0f"),
        f"{point.spread(lambda one: one.p50_ms).median:.1f}",
        _spread(late, ".1f"),
        f"{point.spread(lambda one: one.p99_ms).median:.1f}",
        f"{point.spread(lambda one: one.batch).median:.1f}",
        f"{server:.1f}",
    ]


def _spread(figure: Spread, form: str) -> str:
    """The median, with least and most in brackets."""
    if figure.lowest == figure.highest:
        return format(figure.median, form)
    return f"{figure.median:{form}} ({figure.lowest:{form}}-{figure.highest:{form}})"


def remarks(found: Found) -> list[str]:
    """How the figures were measured, on which machine."""
    how = (
        f"{found.model}; medians of {found.rounds} rounds of {found.seconds:g} s, least and most in"
        " brackets; one inference a request over gRPC, by perf_analyzer, all in turn."
    )
    return [how, f"Input: {found.inputs}. {found.machine}.", *found.notes]


def conclusions(found: Found) -> list[str]:
    """The budget, then the choice or the comparison."""
    b = found.budget
    limit = (
        f"Budget: the plan's p95 is {b.p95_ms:g} ms; {b.rest_ms:g} ms of it for the rest of the"
        f" path ({b.assumption}); {b.predictor_ms:g} ms are left for the predictor."
    )
    return [limit, *(found.choice.reasons if found.choice else _comparison(found.curves))]


def _comparison(curves: Sequence[Curve]) -> list[str]:
    """Each other contender as ratios to the first, by concurrency, within a round."""
    first, *others = curves
    lines = []
    for other in others:
        ratios = [_ratio(a, b) for a, b in zip(other.points, first.points, strict=True)]
        said = ", ".join(ratio for ratio in ratios if ratio)
        lines.append(f"[{other.contender.name}] beside [{first.contender.name}]: {said}.")
    return lines


def _ratio(point: Point, first: Point) -> str:
    pairs = [(a, b) for a, b in zip(point.rounds, first.rounds, strict=True) if a and b]
    if not pairs:
        return ""
    rate = statistics.median(a.throughput / b.throughput for a, b in pairs)
    late = statistics.median(a.p95_ms / b.p95_ms for a, b in pairs)
    return f"at {point.concurrency} {rate:.2f} of the throughput and {late:.2f} times the p95"


def write_report(found: Found, out: Path) -> None:
    """Writes sweep.json, sweep.md and sweep.html into `out`, all or none."""
    contents = {"json": json.dumps(as_data(found), indent=1), "md": as_text(found)}
    with replacing_together() as files:
        for ending, content in contents.items():
            files.write_text(out / f"sweep.{ending}", f"{content}\n")
        if any(curve.known for curve in found.curves):
            page = page_text(environment(_TEMPLATES), "sweep.html.j2", _context(found))
            files.write_text(out / "sweep.html", page)


def _context(found: Found) -> dict[str, Any]:
    return {
        "model": found.model,
        "pictures": [latency_picture(found.curves, found.budget), batch_picture(found.curves)],
        "header": _HEADER,
        "rows": table_rows(found),
        "conclusions": conclusions(found),
        "remarks": remarks(found),
    }

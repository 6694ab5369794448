"""`proviso train`, `proviso score` and `proviso releases certify|build|rebind`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from feature_runtime.core.project_functions import FUNCTIONS_FILE
from proviso.cli.console import day, duration, emit, note, span, step
from proviso.cli.options import (
    ComputedHistory,
    End,
    Examples,
    FeatureService,
    History,
    Json,
    ParquetFile,
    ReleaseDir,
    Sources,
    Start,
    Transactions,
)
from proviso.cli.outputs import check_written
from proviso.contracts.base import ContractError
from proviso.contracts.loading import load_contract
from proviso.contracts.places import place_sources
from proviso.release.directory import BASELINE_FILE, RELEASE_FILE, Release, read_release
from proviso.simulation.spec import load_simulation
from proviso.training.certificate_renewal import certify_again, renew
from proviso.training.data import Request
from proviso.training.examples import build_examples, rebind_examples
from proviso.training.model_card import named_metrics
from proviso.training.project import load_project
from proviso.training.score import score_file
from proviso.training.spec import investigated_entity
from proviso.training.table_check import NOT_RECOMPUTED
from proviso.training.train import PREDICTIONS_FILE, Trained
from proviso.training.train import train as train_model
from proviso.training.weeks import Days

EXAMPLES = Path("model_repository")


def train(
    ctx: typer.Context,
    train_start: Annotated[str, typer.Option(help="First day to train on.")],
    train_end: Annotated[str, typer.Option(help="Last day to train on, inclusive.")],
    test_start: Annotated[str, typer.Option(help="First day to test on.")],
    test_end: Annotated[str, typer.Option(help="Last day to test on, inclusive.")],
    out: Annotated[Path, typer.Option("--out", help="Directory of the release.")],
    transactions: Transactions = None,
    source: Sources = None,
    label_delay: Annotated[
        str,
        typer.Option(
            help="Time after an event until its label is known, for labels without a moment."
        ),
    ] = "P7D",
    history: ComputedHistory = None,
    service: FeatureService = None,
    as_json: Json = False,
) -> None:
    """Train a model and write a release directory.

    The ONNX export is compared with the trained model on every test row.
    """
    sources = place_sources(load_contract(ctx.obj), transactions, source or ())
    request = Request(
        sources.observed,
        Days(day("--train-start", train_start), day("--train-end", train_end)),
        Days(day("--test-start", test_start), day("--test-end", test_end)),
        duration("--label-delay", label_delay),
        history,
    )
    names = (RELEASE_FILE, BASELINE_FILE, FUNCTIONS_FILE, PREDICTIONS_FILE)
    written = [out / name for name in names]
    check_written(ctx.obj, written, *sources.read, history=history)
    project = load_project(ctx.obj, service, sources.contract)
    with step(f"train {project.plan.model}"):
        trained = train_model(project, request, out, note)
    k = project.spec.protocol.k
    entity = investigated_entity(project.spec, project.contract, project.plan).name
    emit(_result(trained, k), as_json, lambda: _summary(trained, k, entity))


def score(
    ctx: typer.Context,
    release: ReleaseDir,
    history: History,
    start: Start,
    end: End,
    out: ParquetFile,
    transactions: Transactions = None,
    source: Sources = None,
    as_json: Json = False,
) -> None:
    """Score a span of observed rows in a batch."""
    first_and_end = span(start, end)
    sources = place_sources(load_contract(ctx.obj), transactions, source or ())
    check_written(ctx.obj, [out], *sources.read, history=history, releases=[release])
    chosen, observed = read_release(release), sources.observed
    counts = score_file(chosen, sources.contract, history, observed, first_and_end, out)
    result = {"release": chosen.id, "out": str(out), **counts}
    text = ", ".join(f"{name} {n}" for name, n in counts.items())
    emit(result, as_json, lambda: f"{chosen.id}: {text} -> {out}")


def certify(
    ctx: typer.Context,
    release: ReleaseDir,
    transactions: Transactions = None,
    source: Sources = None,
    history: ComputedHistory = None,
    renew_it: Annotated[
        bool,
        typer.Option("--renew", help="Keep the new certificate; only code may have changed."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Repeat the leakage check of a release's certificate.

    Exit 1 when the repeated certificate differs, with every difference.
    """
    chosen = read_release(release)
    sources = place_sources(load_contract(ctx.obj), transactions, source or ())
    project = load_project(ctx.obj, None, sources.contract)
    with step(f"certify {chosen.id}"):
        again = certify_again(project, chosen, sources.observed, history, note)
    if renew_it:
        renew(chosen, again)
    elif again.problems:
        raise ContractError(list(again.problems))
    counted = {name: again.certificate[name]["rows"] for name in ("train", "test")}
    recomputed = sum(again.certificate["recomputed"].values())
    result = {"release": chosen.id, **counted, "recomputed": recomputed, "renewed": renew_it}
    rows = sum(counted.values())
    compared = sum(again.certificate.get("of_tables", {}).get("compared", {}).values())
    tables = f", {compared} answers of tables {NOT_RECOMPUTED}" if compared else ""
    text = f"{chosen.id}: {rows} rows judged again, {recomputed} computed again{tables}"
    text += ", no difference"
    emit(result, as_json, lambda: text)


def build(ctx: typer.Context, out: Examples = EXAMPLES, as_json: Json = False) -> None:
    """Train the example releases on simulated data."""
    project = load_project(ctx.obj)
    simulation = load_simulation(ctx.obj, project.contract)
    _print_releases(build_examples(project, simulation, out, note), as_json)


def rebind(ctx: typer.Context, out: Examples = EXAMPLES, as_json: Json = False) -> None:
    """Derive the examples' ids from the source again."""
    _print_releases(rebind_examples(load_project(ctx.obj), out), as_json)


def _print_releases(releases: Iterable[Release], as_json: bool) -> None:
    rows = [(release.id, release.model, str(release.directory)) for release in releases]
    keys = ("release", "model", "directory")
    result = {"releases": [dict(zip(keys, row, strict=True)) for row in rows]}
    emit(result, as_json, lambda: "\n".join(map(" ".join, rows)))


def _result(trained: Trained, k: int) -> dict[str, Any]:
    metrics = dict(trained.release.card["metrics"])
    return {
        **named_metrics(trained.metrics, k),
        f"card_precision_at_{k}": trained.metrics.entity_precision,  # its former name
        "baseline": named_metrics(trained.baseline, k),
        "beats_baseline": metrics["beats_baseline"],
        "evaluated_rows": trained.metrics.rows,
        "evaluated_positives": trained.metrics.positives,
        "rows": trained.release.card["rows"],
        "onnx": trained.release.card["onnx"],
        "release": trained.release.id,
        "model": trained.release.model,
        "directory": str(trained.release.directory),
    }


def _summary(trained: Trained, k: int, entity: str) -> str:
    release = trained.release
    rows = [("", "model", "baseline")]
    baseline = named_metrics(trained.baseline, k)
    for name, value in named_metrics(trained.metrics, k).items():
        said = name.replace("entity_precision", f"{entity}_precision")
        rows.append((said, _figure(value), _figure(baseline[name])))
    width = max(24, *(len(name) for name, _, _ in rows))
    table = "\n".join(f"  {name:<{width}}{model:>10}{base:>10}" for name, model, base in rows)
    difference = release.card["onnx"]["model_max_difference"]
    evaluated = f"{trained.metrics.rows} test rows, {trained.metrics.positives} positive"
    return (
        f"{release.id} {release.model} -> {release.directory}\n{table}\n"
        f"  on {evaluated}; ONNX equals XGBoost within {difference:.1e}"
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"

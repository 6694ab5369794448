"""`train`, `score`, and `releases`, by which a developer makes the committed examples."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from proviso.cli.console import Json, day, duration, emit, moment, note, step
from proviso.contracts.base import ContractError
from proviso.contracts.loading import load_contract, load_plan
from proviso.release.directory import read_release
from proviso.simulation.spec import load_simulation
from proviso.training.card import named_metrics
from proviso.training.data import Days, Project, Request, plan_for
from proviso.training.examples import build_examples, rebind_examples
from proviso.training.recertify import recertify, renew
from proviso.training.score import score_file
from proviso.training.spec import load_spec
from proviso.training.train import Trained, train

Service = Annotated[
    str | None, typer.Option(help="Feature service to train for; default: the plan's.")
]


def register(app: typer.Typer) -> None:
    """Adds this station's commands."""
    app.command("train")(train_command)
    app.command("score")(score_command)
    app.command("certify")(certify_command)
    releases = typer.Typer(help="The committed example releases.", no_args_is_help=True)
    releases.command("build")(build_command)
    releases.command("rebind")(rebind_command)
    app.add_typer(releases, name="releases", hidden=True)


def train_command(
    ctx: typer.Context,
    transactions: Annotated[Path, typer.Option(help="Parquet file of transactions.")],
    train_start: Annotated[str, typer.Option(help="First day to train on.")],
    train_end: Annotated[str, typer.Option(help="Last day to train on, inclusive.")],
    test_start: Annotated[str, typer.Option(help="First day to test on.")],
    test_end: Annotated[str, typer.Option(help="Last day to test on, inclusive.")],
    out: Annotated[Path, typer.Option(help="Directory of the release.")],
    label_delay: Annotated[
        str, typer.Option(help="After which a label counts as known when the test starts.")
    ] = "P7D",
    history: Annotated[
        Path | None, typer.Option(help="Computed history to use; default: computed here.")
    ] = None,
    service: Service = None,
    as_json: Json = False,
) -> None:
    """Train a model and its baseline, prove the export, and write a release directory."""
    request = Request(
        transactions,
        Days(day("--train-start", train_start), day("--train-end", train_end)),
        Days(day("--test-start", test_start), day("--test-end", test_end)),
        duration("--label-delay", label_delay),
        history,
    )
    project = _project(ctx.obj, service)
    with step(f"train {project.plan.model}"):
        trained = train(project, request, out, note)
    k = project.spec.protocol.k
    emit(_result(trained, k), as_json, lambda: _summary(trained, k))


def score_command(
    ctx: typer.Context,
    release: Annotated[Path, typer.Option(help="Release directory.")],
    history: Annotated[Path, typer.Option(help="Directory of `proviso features`.")],
    transactions: Annotated[Path, typer.Option(help="Parquet file of transactions.")],
    start: Annotated[str, typer.Option(help="First moment to score.")],
    end: Annotated[str, typer.Option(help="Moment after the last.")],
    out: Annotated[Path, typer.Option(help="Parquet file of scores.")],
    as_json: Json = False,
) -> None:
    """Score a span of transactions in one batch, as the endpoint would have answered them."""
    span = (moment("--start", start), moment("--end", end))
    chosen = read_release(release)
    counts = score_file(chosen, load_contract(ctx.obj), history, transactions, span, out)
    result = {"release": chosen.id, "out": str(out), **counts}
    text = ", ".join(f"{name} {n}" for name, n in counts.items())
    emit(result, as_json, lambda: f"{chosen.id}: {text} -> {out}")


def certify_command(
    ctx: typer.Context,
    release: Annotated[Path, typer.Option(help="Release directory.")],
    transactions: Annotated[Path, typer.Option(help="The file that it was trained on.")],
    history: Annotated[
        Path | None, typer.Option(help="Computed history to use; default: computed here.")
    ] = None,
    renew_it: Annotated[
        bool, typer.Option("--renew", help="Where only code has changed, keep the new one.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make a release's leakage certificate again and say in what its own differs (exit 1)."""
    chosen = read_release(release)
    with step(f"certify {chosen.id}"):
        again = recertify(_project(ctx.obj, None), chosen, transactions, history, note)
    if renew_it:
        renew(chosen, again)
    elif again.problems:
        raise ContractError(list(again.problems))
    counted = {name: again.certificate[name]["rows"] for name in ("train", "test")}
    recomputed = sum(again.certificate["recomputed"].values())
    result = {"release": chosen.id, **counted, "recomputed": recomputed, "renewed": renew_it}
    rows = sum(counted.values())
    said = f"{chosen.id}: {rows} rows judged again, {recomputed} computed again, no difference"
    emit(result, as_json, lambda: said)


def build_command(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="Where the examples lie.")] = Path("model_repository"),
) -> None:
    """Train every feature service's example on simulated data."""
    project = _project(ctx.obj, None)
    simulation = load_simulation(ctx.obj, project.contract)
    for release in build_examples(project, simulation, out, note):
        print(f"{release.id} {release.model} {release.directory}")


def rebind_command(
    ctx: typer.Context,
    out: Annotated[Path, typer.Option(help="Where the examples lie.")] = Path("model_repository"),
) -> None:
    """Re-derive ids and configuration of the examples from their model.onnx."""
    for release in rebind_examples(_project(ctx.obj, None), out):
        print(f"{release.id} {release.model} {release.directory}")


def _project(directory: Path, service: str | None) -> Project:
    contract, plan = load_contract(directory), load_plan(directory)
    chosen = plan_for(contract, plan, service or plan.service)
    return Project(contract, chosen, load_spec(directory, contract, chosen))


def _result(trained: Trained, k: int) -> dict[str, Any]:
    metrics = dict(trained.release.card["metrics"])
    return {
        **named_metrics(trained.metrics, k),
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


def _summary(trained: Trained, k: int) -> str:
    release = trained.release
    rows = [("", "model", "baseline")]
    baseline = named_metrics(trained.baseline, k)
    for name, value in named_metrics(trained.metrics, k).items():
        rows.append((name, _figure(value), _figure(baseline[name])))
    table = "\n".join(f"  {name:<24}{model:>10}{base:>10}" for name, model, base in rows)
    difference = release.card["onnx"]["model_max_difference"]
    evaluated = f"{trained.metrics.rows} test rows, {trained.metrics.positives} positive"
    return (
        f"{release.id} {release.model} -> {release.directory}\n{table}\n"
        f"  on {evaluated}; ONNX equals XGBoost within {difference:.1e}"
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"

"""`proviso validate`, `proviso init` and `proviso migrate`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from proviso.checks.lab import ALL_PASSED, Check, checks
from proviso.cli.console import emit, note, step
from proviso.cli.options import DryRun, Json
from proviso.contracts.base import ContractError
from proviso.contracts.files import replacing
from proviso.contracts.loading import CONTRACT_FILE, check_directory, load_contract, read_text
from proviso.contracts.migration import migrated
from proviso.contracts.starter import template_files, write_template
from proviso.contracts.validation.function_trials import Timing, timing
from proviso.survey.project import FILES as PROJECT_FILES
from proviso.survey.start import QUESTION, start_project


def validate(ctx: typer.Context, as_json: Json = False) -> None:
    """Check the contract files, alone and together."""
    outcomes = checks(ctx.obj)
    passed = all(check.passed for check in outcomes)
    times = function_times(ctx.obj) if passed else []
    lines = [*map(str, outcomes), *map(str, times), *([ALL_PASSED] if passed else [])]
    for warning in () if as_json else (w for check in outcomes for w in check.warnings):
        note(f"warning: {warning.printed}")
    functions = {"functions": [asdict(one) for one in times]} if times else {}
    emit({**_as_data(outcomes, passed), **functions}, as_json, lambda: "\n".join(lines))
    if not passed:
        raise ContractError([problem for check in outcomes for problem in check.problems])


def function_times(contracts: Path) -> list[Timing]:
    """How long the contract's own functions take."""
    return [timing(function) for function in load_contract(contracts).library.values()]


def _as_data(outcomes: tuple[Check, ...], passed: bool) -> dict[str, Any]:
    rows = [
        {
            "check": check.name,
            "passed": check.passed,
            "judged": check.judged,
            "problems": [asdict(problem) for problem in check.problems],
            "warnings": [asdict(warning) for warning in check.warnings],
        }
        for check in outcomes
    ]
    return {"passed": passed, "checks": rows}


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An empty or new directory.")],
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="PLACE",
            help="Draft it for data: a file, a folder, an https or s3 address (repeatable).",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option("--label", help="With --from: column to predict (default: guessed)."),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write the files of a new project into an empty directory.

    Contract, plan, training settings and a README, without sign-offs: of a small example, or
    drafted for your own data, with a QUESTION wherever something had to be guessed.
    """
    questions = 0
    decided: tuple[str, ...] = ()
    if dry_run:
        files = [*(PROJECT_FILES if data else template_files())]
    elif not data:
        files = write_template(directory)
    else:
        with step(f"look at {', '.join(data)}"):
            started = start_project(data, directory, label)
        files, decided = list(started.texts), started.decided
        questions = sum(text.count(QUESTION) for text in started.texts.values())
    verb = "would write" if dry_run else "wrote"
    paths = [str(directory / name) for name in files]
    lines = [*decided, *(f"{verb} {path}" for path in paths)]
    if questions:
        lines.append(f"{questions} questions: grep -n {QUESTION} {directory}/*.yml")
    result = {"written": not dry_run, "files": paths, "questions": questions, "decided": decided}
    emit(result, as_json, lambda: "\n".join(lines))


def migrate(ctx: typer.Context, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Rewrite the contract as version 2.

    Comments stay where its lines can be rewritten one by one. Its meaning stays in any case: the
    schemas of views, and what every command computes.
    """
    check_directory(ctx.obj)
    path = ctx.obj / CONTRACT_FILE
    made = migrated(CONTRACT_FILE, read_text(path))
    if made is not None and not dry_run:
        with replacing(path) as temporary:
            temporary.write_text(made.text, encoding="utf-8")
    if made is not None and not made.commented:
        note(f"{path} is written anew from its data, without its comments")
    verb = "would be" if dry_run else "is"
    said = f"{path} {verb} version 2" if made else f"{path} is version 2 already"
    data = {"file": str(path), "written": made is not None and not dry_run}
    comments = made is None or made.commented
    emit({**data, "migrated": made is not None, "comments_kept": comments}, as_json, lambda: said)

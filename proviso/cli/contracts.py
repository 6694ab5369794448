"""`proviso validate` and `proviso init`: the contract's own commands."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from proviso.checks.lab import ALL_PASSED, Check, checks
from proviso.cli.console import DryRun, Json, emit
from proviso.contracts.base import ContractError
from proviso.contracts.starter import template_files, write_template


def register(app: typer.Typer) -> None:
    """Adds this station's commands."""
    app.command("validate")(_validate)
    app.command("init")(_init)


def _validate(ctx: typer.Context, json: Json = False) -> None:
    """Check the four contract files against themselves and each other."""
    found = checks(ctx.obj)
    passed = all(check.passed for check in found)
    lines = [*map(str, found), *([ALL_PASSED] if passed else [])]
    emit(_as_json(found, passed), json, lambda: "\n".join(lines))
    if not passed:
        raise ContractError([problem for check in found for problem in check.problems])


def _as_json(found: tuple[Check, ...], passed: bool) -> dict[str, Any]:
    rows = [
        {
            "check": check.name,
            "passed": check.passed,
            "judged": check.judged,
            "problems": [asdict(problem) for problem in check.problems],
        }
        for check in found
    ]
    return {"passed": passed, "checks": rows}


def _init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="An empty or new directory.")],
    dry_run: DryRun = False,
    json: Json = False,
) -> None:
    """Write another small project to start from: parcels that may come late."""
    files = template_files() if dry_run else write_template(directory)
    said = "would write" if dry_run else "wrote"
    paths = [str(directory / name) for name in files]
    text = "\n".join(f"{said} {path}" for path in paths)
    emit({"written": not dry_run, "files": paths}, json, lambda: text)

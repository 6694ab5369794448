"""`proviso render`."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from proviso.cli.console import DryRun, Json, emit
from proviso.contracts.base import InputError
from proviso.contracts.loading import load_contract, load_plan
from proviso.manifests.checks import Request
from proviso.manifests.folder import changes, write
from proviso.manifests.render import Rendering, render


class ModeName(StrEnum):
    """How a release runs in the cluster."""

    standard = "standard"
    knative = "knative"


def register(app: typer.Typer) -> None:
    """Adds this station's commands."""
    app.command("render")(render_command)


def render_command(
    ctx: typer.Context,
    release: Annotated[Path, typer.Option(help="Directory of the release to roll out.")],
    stable: Annotated[
        str, typer.Option(help="Directory of the release that serves now, or `none`.")
    ],
    mode: Annotated[
        ModeName | None, typer.Option(help="How it runs; default: the plan's runtime.mode.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of rendered releases.")] = Path("k8s/releases"),
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Turn contract, plan and release into Kubernetes manifests: the release and every step."""
    request = Request(
        load_contract(ctx.obj),
        load_plan(ctx.obj),
        _directory("--release", release),
        None if stable == "none" else _directory("--stable", Path(stable)),
        datetime.now(UTC).date(),
        mode.value if mode else None,
    )
    rendering = render(request)
    directory = out / rendering.version
    made = changes(rendering, directory) if dry_run else write(rendering, directory)
    said = _said(rendering, directory, made, dry_run)
    emit(said, as_json, lambda: _text(said, rendering))


def _directory(option: str, path: Path) -> Path:
    if not path.is_dir():
        raise InputError.of(option, f"no directory {path}", "the directory of a release")
    return path


def _said(
    rendering: Rendering, directory: Path, made: dict[str, str], dry_run: bool
) -> dict[str, Any]:
    pair = rendering.pair
    return {
        "unit": pair.candidate.name,
        "release": pair.candidate.release_id,
        "stable": pair.stable.name if pair.stable else None,
        "mode": rendering.mode,
        "topology": pair.candidate.topology,
        "directory": str(directory),
        "dry_run": dry_run,
        "files": made,
        "steps": [{"file": taken.file, "step": taken.step.name} for taken in rendering.steps],
    }


def _text(said: dict[str, Any], rendering: Rendering) -> str:
    over = f"over {said['stable']}" if said["stable"] else "as the first release"
    would = " (dry run: nothing is written)" if said["dry_run"] else ""
    shares = {taken.file: taken.step.summary for taken in rendering.steps}
    lines = [f"{said['unit']} {over}, {said['mode']}, {said['topology']}{would}"]
    for name, change in said["files"].items():
        lines.append(f"  {change:9}  {said['directory']}/{name}  {shares.get(name, '')}".rstrip())
    return "\n".join(lines)

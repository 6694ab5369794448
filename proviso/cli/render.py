"""`proviso render`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from proviso.cli.console import emit
from proviso.cli.options import DryRun, Json, ReleaseMode
from proviso.cli.outputs import check_written
from proviso.contracts.base import InputError
from proviso.contracts.loading import load_contract, load_plan
from proviso.manifests.checks import Request
from proviso.manifests.folder import changes, write
from proviso.manifests.render import Rendering
from proviso.manifests.render import render as render_release

RENDERED = Path("k8s/releases")


def render(
    ctx: typer.Context,
    release: Annotated[
        Path, typer.Option("--release", help="Directory of the release to roll out.")
    ],
    stable: Annotated[
        str, typer.Option("--stable", help="Directory of the release that serves now, or `none`.")
    ],
    mode: ReleaseMode = None,
    out: Annotated[Path, typer.Option("--out", help="Directory of rendered releases.")] = RENDERED,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Write the Kubernetes manifests of a release."""
    request = Request(
        load_contract(ctx.obj),
        load_plan(ctx.obj),
        _directory("--release", release),
        None if stable == "none" else _directory("--stable", Path(stable)),
        datetime.now(UTC).date(),
        mode.value if mode else None,
    )
    rendering = render_release(request)
    directory = out / rendering.version
    read = [release] if stable == "none" else [release, Path(stable)]
    check_written(ctx.obj, [directory / name for name in rendering.files], releases=read)
    files = changes(rendering, directory) if dry_run else write(rendering, directory)
    result = _as_data(rendering, directory, files, dry_run)
    emit(result, as_json, lambda: _text(result, rendering))


def _directory(option: str, path: Path) -> Path:
    if not path.is_dir():
        found, wanted = f"no directory {path}", "the directory of a release"
        raise InputError.of(option, found, wanted, code="not_a_directory")
    return path


def _as_data(
    rendering: Rendering, directory: Path, files: dict[str, str], dry_run: bool
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
        "files": files,
        "steps": [{"file": taken.file, "step": taken.step.name} for taken in rendering.steps],
    }


def _text(result: dict[str, Any], rendering: Rendering) -> str:
    over = f"over {result['stable']}" if result["stable"] else "as the first release"
    would = " (dry run: nothing is written)" if result["dry_run"] else ""
    shares = {taken.file: taken.step.summary for taken in rendering.steps}
    lines = [f"{result['unit']} {over}, {result['mode']}, {result['topology']}{would}"]
    for name, change in result["files"].items():
        lines.append(f"  {change:9}  {result['directory']}/{name}  {shares.get(name, '')}".rstrip())
    return "\n".join(lines)

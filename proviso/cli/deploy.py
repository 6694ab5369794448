"""`deploy`, `undeploy` and `rotate-store-password`: a cluster from nothing to a scored request."""

from __future__ import annotations

import os
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from proviso.cli.console import Json, emit, note
from proviso.contracts.base import InputError
from proviso.contracts.loading import load_plan
from proviso.deploy.installer import Installer, Settings, shown
from proviso.deploy.kind import OWN, Kind
from proviso.deploy.removal import remove
from proviso.deploy.rotation import rotate_passwords
from proviso.deploy.secrets import our_namespace
from proviso.kube.api import Cluster
from proviso.rollout.deployed import Mode

ADDRESSES: dict[Mode, str] = {"standard": "127.0.0.1:8080", "knative": "127.0.0.1:8081"}
"""Where kind-config.yaml maps each mode's gateway to."""
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before touching another's cluster.")]


class ModeName(StrEnum):
    """How releases run in the cluster."""

    standard = "standard"
    knative = "knative"


class DryRunKind(StrEnum):
    """How far a dry run goes."""

    none = "none"
    client = "client"
    server = "server"


Context = Annotated[
    str | None,
    typer.Option("--context", help="kubeconfig context; default: a kind cluster of ours, by mode."),
]
InMode = Annotated[ModeName, typer.Option("--mode", help="How releases run in the cluster.")]


def register(app: typer.Typer) -> None:
    """Adds this station's commands."""
    app.command("deploy")(deploy_command)
    app.command("undeploy")(undeploy_command)
    app.command("rotate-store-password")(rotate_command)


def deploy_command(
    ctx: typer.Context,
    release: Annotated[Path, typer.Option(help="Directory of the release to roll out.")] = Path(
        "model_repository/2.5.0"
    ),
    stable: Annotated[
        str, typer.Option(help="Directory of the release that serves meanwhile, or `none`.")
    ] = "model_repository/2.4.0",
    mode: Annotated[
        ModeName | None, typer.Option(help="How it runs; default: the plan's runtime.mode.")
    ] = None,
    context: Context = None,
    mirror: Annotated[
        Path | None,
        typer.Option(help="Directory with the platform's files (default: PROVISO_MIRROR)."),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="host:port of the gateway; default: that of our cluster.")
    ] = None,
    dry_run: Annotated[
        DryRunKind,
        typer.Option("--dry-run", help="client: print the steps; server: ask the API server too."),
    ] = DryRunKind.none,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Bring platform, store, data and a release onto a cluster; ends with a scored request."""
    chosen = mode or ModeName(load_plan(ctx.obj).runtime.mode)
    settings = Settings(
        contracts=ctx.obj,
        release=release,
        stable=None if stable == "none" else Path(stable),
        context=context or _own(chosen),
        mirror=mirror or _from_environment(),
        address=address or ADDRESSES[chosen.value],
        dry_run=dry_run is DryRunKind.server,
        mode=chosen.value,
    )
    deployment = Installer(settings, lambda text: note(f"      {text}"))
    if dry_run is DryRunKind.client:
        titles = [step.title for step in deployment.steps]
        emit({"steps": titles}, as_json, lambda: "\n".join(titles))
        return
    _ask_first(settings.context, yes, "deploy into")
    took = _run(deployment)
    emit(_said(deployment, took), as_json, lambda: _text(deployment))


def undeploy_command(
    mode: InMode = ModeName.standard, context: Context = None, yes: Yes = False
) -> None:
    """Take away what `deploy` made: the kind cluster of its own, or its objects in another's."""
    chosen = context or _own(mode)
    _ask_first(chosen, yes, "remove proviso from")
    for line in remove(chosen):
        note(line)


def rotate_command(
    mode: InMode = ModeName.standard,
    context: Context = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Give the store's clients new passwords, while they work; nothing restarts."""
    chosen = context or _own(mode)
    _ask_first(chosen, yes, "change passwords in")
    began = time.monotonic()
    rotate_passwords(our_namespace(Cluster(chosen)), note)
    seconds = round(time.monotonic() - began, 1)
    emit({"seconds": seconds}, as_json, lambda: f"passwords changed in {seconds} s")


def _own(mode: ModeName) -> str:
    return Kind(OWN[mode.value]).context


def _from_environment() -> Path | None:
    given = os.environ.get("PROVISO_MIRROR")
    return Path(given) if given else None


def _ask_first(context: str, yes: bool, what: str) -> None:
    """A cluster that is not ours is touched only by somebody who says so."""
    if yes or context in map(_own, ModeName):
        return
    if not sys.stdin.isatty():
        raise InputError.of("--yes", f"no terminal to ask on about {context}", "--yes")
    if not typer.confirm(f"{what} the cluster of context {context}?"):
        raise typer.Exit(1)


def _run(installer: Installer) -> dict[str, float]:
    """Every step with its time, on stderr."""
    took = {}
    for step in installer.steps:
        note(f"  {step.title} ...")
        began = time.monotonic()
        said = step.act()
        took[step.title] = round(time.monotonic() - began, 1)
        note(f"  {step.title}: {said} ({took[step.title]} s)")
    return took


def _said(installer: Installer, took: dict[str, float]) -> dict[str, Any]:
    applied, scored = installer.applied, installer.scored
    return {
        "context": installer.settings.context,
        "changed": applied.changed,
        "objects": applied.outcomes,
        "seconds": took,
        "releases": [release.id for release in installer.releases],
        "answer": None if scored is None else {"release": scored.answer.release},
        "command": None if scored is None else scored.command,
    }


def _text(installer: Installer) -> str:
    if installer.scored is None:
        return f"{installer.settings.context}: {installer.applied}"
    steps = shown(installer.folder(installer.renderings[-1]) / "rollout")
    return "\n".join(
        [
            f"{installer.settings.context}: {installer.applied}",
            str(installer.scored),
            f"ask again:   {installer.scored.command}",
            f"next steps:  {', '.join(sorted(path.name for path in steps.glob('*.yaml')))}",
            f"             kubectl --context {installer.settings.context} apply -f {steps}/...",
        ]
    )

"""`proviso deploy`, `proviso undeploy` and `proviso store rotate-password`."""

from __future__ import annotations

import os
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from proviso.cli.console import emit, note
from proviso.cli.options import ClusterMode, Json, KubeContext, ModeName, ReleaseMode, Yes
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
"""Of each mode's gateway, as kind-config.yaml maps it."""


class DryRunKind(StrEnum):
    """Where a dry run takes place."""

    none = "none"
    client = "client"
    server = "server"


def deploy(
    ctx: typer.Context,
    release: Annotated[
        Path, typer.Option("--release", help="Directory of the release to roll out.")
    ] = Path("model_repository/2.5.0"),
    stable: Annotated[
        str,
        typer.Option("--stable", help="Directory of the release that serves meanwhile, or `none`."),
    ] = "model_repository/2.4.0",
    mode: ReleaseMode = None,
    context: KubeContext = None,
    mirror: Annotated[
        Path | None,
        typer.Option("--mirror", help="Directory of the platform's files (or PROVISO_MIRROR)."),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", help="HOST:PORT of the gateway (default: of our cluster)."),
    ] = None,
    dry_run: Annotated[
        DryRunKind,
        typer.Option("--dry-run", help="client: print the steps; server: ask the API server too."),
    ] = DryRunKind.none,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Install the platform, the store, its data and the releases.

    The releases are the stable release and the candidate. Ends with a scored request. A second
    call changes what differs, and nothing else.
    """
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
    emit(_as_data(deployment, took), as_json, lambda: _text(deployment))


def undeploy(
    mode: ClusterMode = ModeName.standard, context: KubeContext = None, yes: Yes = False
) -> None:
    """Remove what `deploy` made.

    Deletes our kind cluster; elsewhere only the objects that `deploy` created.
    """
    chosen = context or _own(mode)
    _ask_first(chosen, yes, "remove proviso from")
    for line in remove(chosen):
        note(line)


def rotate_password(
    mode: ClusterMode = ModeName.standard,
    context: KubeContext = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Change the passwords of its clients.

    The clients go on working; nothing restarts.
    """
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
    """Asks before a cluster that is not ours is changed. Raises InputError without a terminal."""
    if yes or context in map(_own, ModeName):
        return
    if not sys.stdin.isatty():
        why = f"{context} is not a cluster of ours, and there is no terminal to ask on"
        raise InputError.of("--yes", "nothing", "--yes", why, code="confirmation_missing")
    if not typer.confirm(f"{what} the cluster of context {context}?"):
        raise typer.Exit(1)


def _run(installer: Installer) -> dict[str, float]:
    """Runs every step; returns its seconds by title."""
    took = {}
    for step in installer.steps:
        note(f"  {step.title} ...")
        began = time.monotonic()
        outcome = step.act()
        took[step.title] = round(time.monotonic() - began, 1)
        note(f"  {step.title}: {outcome} ({took[step.title]} s)")
    return took


def _as_data(installer: Installer, took: dict[str, float]) -> dict[str, Any]:
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

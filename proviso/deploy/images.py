"""Builds the images that pods run and brings them into a kind cluster.

A name says what is inside (manifests/images.py), so what exists under its name is done: a second
run asks Docker and the node once each. A build sees exactly the files that the name was made of,
with modes of its own, so that no checkout's umask or stray file gets into an image.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proviso.contracts.base import ContractError, InputError, Problem
from proviso.manifests import images as named
from proviso.release.directory import RELEASE_FILE, Release

Progress = Callable[[str], None]

_ASK, _WORK = 60, 3600  # seconds: a question, a build or a load
_TAIL = 15
_REGISTRY = "docker.io"


@dataclass(frozen=True)
class Image:
    """One image to build: its name, its Dockerfile and all that the Dockerfile may copy.

    source and base: what the name was made of, unless a release's id is the name.
    """

    name: str
    dockerfile: Path
    files: Mapping[str, Path] = field(repr=False)
    source: named.Source | None = None
    base: str = named.BASE


def needed(releases: Sequence[Release]) -> tuple[Image, ...]:
    """Every image that these releases and the Jobs around them run, each once."""
    found = [_ours(named.CONTROL, named.BASE)]
    for release in releases:
        bases: Mapping[str, str] = release.parsed["base_images"]
        found += [
            _ours(named.TRANSFORMER, bases["transformer"]),
            _ours(named.TRITON, bases["predictor"]),
            model(release),
        ]
    return tuple({image.name: image for image in found}.values())


def model(release: Release) -> Image:
    """A release's own image: what its id stands for and nothing else that lies in its folder."""
    files = [release.directory / RELEASE_FILE, release.config_file, release.model_file]
    if release.baseline_file.is_file():
        files.append(release.baseline_file)
    return Image(
        named.model_image(release.model_name, release.id),
        named.ROOT / named.MODEL_DOCKERFILE,
        {path.relative_to(release.directory).as_posix(): path for path in files},
    )


def build_all(releases: Sequence[Release], progress: Progress) -> tuple[str, ...]:
    """Builds what is missing. The names of all that these releases need, to be loaded."""
    images = needed(releases)
    build(images, progress)
    return tuple(image.name for image in images)


def build(images: Sequence[Image], progress: Progress) -> tuple[str, ...]:
    """Builds the images whose names Docker does not know; the names of those.

    Raises InputError where Docker cannot be asked, ContractError where a build fails.
    """
    _ask("docker", "version", "--format", "{{.Server.Version}}")
    there = _in_docker([image.name for image in images])
    missing = [image for image in images if image.name not in there]
    for image in missing:
        _build(image, progress)
    progress(f"images: {len(missing)} built, {len(images) - len(missing)} there")
    return tuple(image.name for image in missing)


def load(cluster: str, names: Sequence[str], progress: Progress) -> tuple[str, ...]:
    """Copies images from Docker to a kind cluster's nodes, those that one of them lacks.

    One question to each node is quicker than kind's own check, which asks once an image; and all
    that is missing goes in one archive, where shared layers lie once.
    """
    nodes = _ask("kind", "get", "nodes", "--name", cluster).split()
    if not nodes:
        raise InputError.of(f"kind cluster {cluster}", "no nodes", "a running cluster")
    held = [_on_node(node) for node in nodes]
    missing = [name for name in names if not all(_full(name) in tags for tags in held)]
    if missing:
        progress(f"loading into {cluster}: {', '.join(missing)}")
        started = time.monotonic()
        _work(
            f"kind cluster {cluster}", "kind", "load", "docker-image", "--name", cluster, *missing
        )
        progress(f"loaded {len(missing)} images: {time.monotonic() - started:.1f} s")
    progress(f"images on {cluster}: {len(missing)} loaded, {len(names) - len(missing)} there")
    return tuple(missing)


# --- one build -------------------------------------------------------------------------------


def _ours(source: named.Source, base: str) -> Image:
    files = named.content(source)
    dockerfile = files[source.dockerfile]
    return Image(named.image_name(source, base), dockerfile, files, source, base)


def _build(image: Image, progress: Progress) -> None:
    progress(f"{image.name}: building")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="proviso-image-") as folder:
        context = Path(folder) / "context"
        lay_out(image.files, context)
        _check_name(image, context)
        arguments = ["--build-arg", f"BASE={image.base}"] if image.source else []
        arguments += ["--tag", image.name, "--file", str(image.dockerfile), str(context)]
        _work(image.name, "docker", "build", *arguments)
    progress(f"{image.name}: built, {time.monotonic() - started:.1f} s")


def _check_name(image: Image, context: Path) -> None:
    """Who edits while this runs must not get new files under an old name."""
    if image.source and named.image_name(image.source, image.base, context) != image.name:
        found = "files that changed since it was named"
        raise ContractError([Problem(image.name, found, "the same", "run it again")])


def lay_out(files: Mapping[str, Path], context: Path) -> None:
    """A build's context: these files and nothing else, readable for any user of the image."""
    context.mkdir()
    for name, source in files.items():
        target = context / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    for path in (context, *context.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


# --- docker and kind -------------------------------------------------------------------------


def _in_docker(names: Sequence[str]) -> set[str]:
    """Which of the names Docker knows. It answers for those, and fails because of the others."""
    done = _run("docker", "image", "inspect", *names, timeout=_ASK)
    return {tag for image in _parsed(done.stdout) for tag in image["RepoTags"] or ()}


def _on_node(node: str) -> set[str]:
    return set(_ask("docker", "exec", node, "ctr", "-n", "k8s.io", "images", "ls", "-q").split())


def _full(name: str) -> str:
    """An image's name as a node lists it: with its registry."""
    first, slash, _ = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return name
    return f"{_REGISTRY}/{name}" if slash else f"{_REGISTRY}/library/{name}"


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError.of("docker", repr(text[:200]), "JSON") from error


def _ask(*command: str) -> str:
    """What a command prints. Raises InputError when it fails: nothing can be asked."""
    done = _run(*command, timeout=_ASK)
    if done.returncode != 0:
        found = "; ".join(_last_lines(done)) or f"status {done.returncode}"
        raise InputError.of(" ".join(command), found, "an answer")
    return done.stdout


def _work(place: str, *command: str) -> None:
    """Runs a long command for `place`. Raises ContractError with the last lines of its output."""
    done = _run(*command, timeout=_WORK)
    if done.returncode != 0:
        found = f"`{command[0]} {command[1]}` ended with status {done.returncode}"
        why = "its last lines:\n" + "\n".join(_last_lines(done))
        raise ContractError([Problem(place, found, "status 0", why)])


def _last_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    return (done.stdout + done.stderr).strip().splitlines()[-_TAIL:]


def _run(*command: str, timeout: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout, check=False
        )
    except FileNotFoundError:
        raise InputError.of(command[0], "no such program", "it on PATH") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError.of(" ".join(command), str(error), "an answer") from error

"""Builds the images that pods run and loads them into a kind cluster.

An image's name is derived from its content (manifests/images.py), so one that exists under its
name is not built again: a second run asks Docker and the node once each. A build sees exactly the
files that the name was derived from, with fixed modes, so that no checkout's umask or stray file
gets into an image.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from proviso.contracts.base import ContractError, InputError, Problem
from proviso.kube.programs import attempt, call
from proviso.manifests import images as named
from proviso.release.directory import Release

Progress = Callable[[str], None]

_BUILD_SECONDS = _LOAD_SECONDS = 3600.0
_REGISTRY = "docker.io"


@dataclass(frozen=True)
class Image:
    """One image to build: its name, its Dockerfile and all that the Dockerfile may copy.

    source and base: what the name was derived from; source None: a release's id is the name.
    """

    name: str
    dockerfile: Path
    files: Mapping[str, Path] = field(repr=False)
    source: named.ImageSource | None = None
    base: str = named.BASE


def needed(releases: Sequence[Release]) -> tuple[Image, ...]:
    """Every image that these releases and the Jobs around them run, each once."""
    found = [_ours(named.CONTROL, named.BASE)]
    for release in releases:
        bases = release.base_images
        found += [
            _ours(named.TRANSFORMER, bases["transformer"]),
            _ours(named.TRITON, bases["predictor"]),
            model(release),
        ]
    return tuple({image.name: image for image in found}.values())


def model(release: Release) -> Image:
    """A release's own image: the files that its id is made of, and no others of its folder."""
    files = [release.file, release.config_file, release.model_file]
    if release.baseline_file.is_file():
        files.append(release.baseline_file)
    if release.functions_file is not None:
        files.append(release.functions_file)
    return Image(
        named.model_image(release.model_name, release.id),
        named.ROOT / named.MODEL_DOCKERFILE,
        {path.relative_to(release.directory).as_posix(): path for path in files},
    )


def build_all(releases: Sequence[Release], progress: Progress) -> tuple[str, ...]:
    """Builds the images that are missing; returns the names of all that these releases need."""
    images = needed(releases)
    build(images, progress)
    return tuple(image.name for image in images)


def build(images: Sequence[Image], progress: Progress) -> tuple[str, ...]:
    """Builds the images that Docker does not have; returns the names of those.

    Raises InputError where Docker does not answer, ContractError where a build fails.
    """
    call(["docker", "version", "--format", "{{.Server.Version}}"])
    there = _in_docker([image.name for image in images])
    missing = [image for image in images if image.name not in there]
    for image in missing:
        _build(image, progress)
    progress(f"images: {len(missing)} built, {len(images) - len(missing)} there")
    return tuple(image.name for image in missing)


def load(cluster: str, names: Sequence[str], progress: Progress) -> tuple[str, ...]:
    """Copies images from Docker to a kind cluster's nodes; returns the names that one lacked.

    Listing each node once is quicker than kind's own check, which asks once an image. All missing
    images go in one archive, which has shared layers once.
    """
    nodes = call(["kind", "get", "nodes", "--name", cluster]).split()
    if not nodes:
        message, why = "has no nodes", f"create it, or look at `kind get nodes --name {cluster}`"
        raise InputError.event("cluster_without_nodes", message, f"kind cluster {cluster}", why)
    held = [_on_node(node) for node in nodes]
    missing = [name for name in names if not all(_full(name) in tags for tags in held)]
    if missing:
        progress(f"loading into {cluster}: {', '.join(missing)}")
        started = time.monotonic()
        _load(cluster, missing)
        progress(f"loaded {len(missing)} images: {time.monotonic() - started:.1f} s")
    progress(f"images on {cluster}: {len(missing)} loaded, {len(names) - len(missing)} there")
    return tuple(missing)


# --- one build -------------------------------------------------------------------------------


def _ours(source: named.ImageSource, base: str) -> Image:
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
        _run_build(image.name, arguments)
    progress(f"{image.name}: built, {time.monotonic() - started:.1f} s")


def _check_name(image: Image, context: Path) -> None:
    """Files that are edited while this runs must not be built under the old name."""
    if image.source and named.image_name(image.source, image.base, context) != image.name:
        message, why = "its files changed after it was named", "run the command again"
        problem = Problem(image.name, why=why, code="image_files_changed", message=message)
        raise ContractError([problem])


def _run_build(name: str, arguments: Sequence[str]) -> None:
    done = attempt(["docker", "build", *arguments], _BUILD_SECONDS)
    if done.status != 0:
        message = f"the build ended with exit code {done.status}; its last lines:\n{done.tail}"
        raise ContractError([Problem(name, code="image_build_failed", message=message)])


def _load(cluster: str, names: Sequence[str]) -> None:
    command = ["kind", "load", "docker-image", "--name", cluster, *names]
    done = attempt(command, _LOAD_SECONDS)
    if done.status != 0:
        message = f"loading images ended with exit code {done.status}; last lines:\n{done.tail}"
        path = f"kind cluster {cluster}"
        raise ContractError([Problem(path, code="image_load_failed", message=message)])


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
    """Which of the names Docker has. It prints those, and fails because of the others."""
    done = attempt(["docker", "image", "inspect", *names])
    return {tag for image in _parsed(done.stdout) for tag in image["RepoTags"] or ()}


def _on_node(node: str) -> set[str]:
    return set(call(["docker", "exec", node, "ctr", "-n", "k8s.io", "images", "ls", "-q"]).split())


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
        message = f"printed {text[:200]!r}, which is not JSON"
        raise InputError.event("program_failed", message, "docker image inspect") from error

"""A release directory as it states itself, before it is believed.

`read_release` stops at the first thing that is wrong, since nobody may use such a release. A
reviewer wants all of it at once, so this reads only as far as every further check needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field

from feature_runtime.core.release import ReleaseError, parse_release
from feature_runtime.core.service import ServiceSectionError
from proviso.contracts.base import ContractError, InputError, Name, Problem, Strict, Text
from proviso.contracts.loading import parse_model
from proviso.release.directory import RELEASE_FILE, Release, read_release
from proviso.release.signature import CLASSES, INPUT, OUTPUT, check_signature

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
_MAX_BYTES = 4 * 1024 * 1024


class Tensor(Strict):
    name: Text
    width: Annotated[int, Field(gt=0)]


class Stated(Strict):
    """release.yml. Its names become names in a cluster, so their form is checked here."""

    id: Annotated[str, Field(pattern=r"^r-[0-9a-f]{16}$")]
    model: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*:\d+\.\d+\.\d+$")]
    model_name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    triton_model: Name
    input: Tensor
    output: Tensor
    digests: dict[Name, Digest]
    base_images: dict[Name, Text]
    service: dict[str, Any]
    card: dict[str, Any]
    certificate: dict[str, Any] | None = None


def read_stated(directory: Path) -> Release:
    """The release as it says it is. Raises ContractError when it does not even say it."""
    path = directory / RELEASE_FILE
    parsed = _parsed(path)
    if not isinstance(parsed, dict):
        raise ContractError([Problem(str(path), type(parsed).__name__, "a mapping")])
    parse_model(str(path), parsed, Stated)
    try:
        stated = parse_release(parsed)
    except (ReleaseError, ServiceSectionError) as error:
        raise ContractError([_problem_of(path, str(error))]) from error
    return Release(
        directory,
        stated.id,
        stated.model,
        stated.model_name,
        stated.triton_model,
        stated.service,
        parsed,
    )


def content_problems(release: Release) -> Iterator[Problem]:
    """What its files are, against what release.yml says: digests, id, and the model's tensors."""
    yield from _tensors(release)
    try:
        read_release(release.directory)
    except ContractError as error:
        yield from error.problems
    except InputError:
        pass  # The signature, which is looked at below whatever the digests say.
    try:
        check_signature(release.model_file, len(release.service.vector))
    except InputError as error:
        yield from error.problems


def _tensors(release: Release) -> Iterator[Problem]:
    """release.yml names the tensors that the pod asks Triton for."""
    wanted = {
        "input": {"name": INPUT, "width": len(release.service.vector)},
        "output": {"name": OUTPUT, "width": CLASSES},
    }
    for tensor, values in wanted.items():
        for key, value in values.items():
            found = release.parsed[tensor][key]
            if found != value:
                path = f"{release.directory / RELEASE_FILE}: {tensor}.{key}"
                yield Problem(path, str(found), str(value), "what the model has")


def _parsed(path: Path) -> Any:
    """Plain data, bounded. The release format is ours, so PyYAML's own rules do."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ContractError([Problem(str(path), "a file too large", f"{_MAX_BYTES} bytes")])
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        said = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise ContractError([Problem(str(path), said, "a readable release.yml")]) from error


def _problem_of(path: Path, said: str) -> Problem:
    place, _, rest = said.partition(": found ")
    found, comma, wanted = rest.partition(", wanted ")
    if not comma:
        return Problem(str(path), said, "the release.yml of a release directory")
    key = place.removeprefix("release.yml").strip()
    return Problem(f"{path}: {key}".removesuffix(": "), found, wanted)

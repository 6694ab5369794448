"""Names of the images that pods and Jobs run, derived from their content.

A tag is a hash of the Dockerfile, of every file that it copies and of its base image's name: the
renderer knows the name before anything is built, and other content has another name (ADR 0056).
deploy/images.py builds the images from exactly the files listed here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from proviso.contracts.base import InputError

ROOT = Path(__file__).parents[2]
BASE = "python:3.11-slim"
_DIGITS = 12
_NO_CONTENT = ("__pycache__", "*.pyc", "*.egg-info", ".*")


@dataclass(frozen=True)
class ImageSource:
    """The files that an image is built from: a Dockerfile, and files or whole folders it copies."""

    name: str
    dockerfile: str
    copied: tuple[str, ...]


TRANSFORMER = ImageSource(
    "transformer",
    "transformer/Dockerfile",
    ("transformer/requirements.txt", "transformer/feature_runtime"),
)
TRITON = ImageSource(
    "triton",
    "triton/Dockerfile",
    (
        "triton/requirements.txt",
        "triton/requirements-server.txt",
        "triton/backends",
        "scripts/serve-predictor",
    ),
)
CONTROL = ImageSource(
    "control",
    "images/proviso/Dockerfile",
    (
        "requirements.txt",
        "transformer/requirements.txt",
        "transformer/feature_runtime",
        "proviso",
        "contracts",
    ),
)
MODEL_DOCKERFILE = "images/model/Dockerfile"


def transformer_image(base: str = BASE) -> str:
    """The transformer on a base image: a release's `base_images.transformer`."""
    return image_name(TRANSFORMER, base)


def triton_image(base: str = BASE) -> str:
    """The CPU predictor on a base image: a release's `base_images.predictor`."""
    return image_name(TRITON, base)


def control_image(base: str = BASE) -> str:
    """The control plane, which Jobs run; no other image depends on the sources of `proviso`."""
    return image_name(CONTROL, base)


def model_image(model_name: str, release_id: str) -> str:
    """The image that holds one release directory."""
    return f"proviso/model-{model_name}:{release_id}"


def image_name(source: ImageSource, base: str, root: Path = ROOT) -> str:
    """`proviso/<name>:<12 hex>`. Raises InputError where `root` is no checkout."""
    lines = [f"base={base}", *_lines(content(source, root))]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return f"proviso/{source.name}:{digest[:_DIGITS]}"


def content(source: ImageSource, root: Path = ROOT) -> dict[str, Path]:
    """Every file of an image's build by its path in the repository, in order.

    A link counts as the file that it leads to. Raises InputError where one is missing.
    """
    found: dict[str, Path] = {}
    for name in (source.dockerfile, *source.copied):
        files = list(_files(root / name))
        if not files:
            wanted = f"the {source.name} image's source"
            raise InputError.of(root / name, "nothing", wanted, code="image_source_missing")
        found |= {path.relative_to(root).as_posix(): path for path in files}
    return dict(sorted(found.items()))


def _lines(files: Mapping[str, Path]) -> Iterator[str]:
    for name, path in files.items():
        yield f"{name}={hashlib.sha256(path.read_bytes()).hexdigest()}"


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    elif place.is_dir():
        for path in place.iterdir():
            if not any(path.match(pattern) for pattern in _NO_CONTENT):
                yield from _files(path)

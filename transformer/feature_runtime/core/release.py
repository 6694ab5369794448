"""release.yml as the pod reads it: the release's identity, its service and its model's tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from feature_runtime.core import identity
from feature_runtime.core.service import Service, parse_service

_MAX_BYTES = 4 * 1024 * 1024
# libyaml reads a release seven times faster than Python; the pod's start waits for it.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class ReleaseError(ValueError):
    """release.yml cannot be read as a release."""


@dataclass(frozen=True)
class Release:
    """A release: its identity, its feature service and its model's tensors."""

    id: str
    model: str
    model_name: str
    triton_model: str
    input_name: str
    output_name: str
    digests: Mapping[str, str]
    service: Service


def read_release(path: Path) -> dict[str, Any]:
    """The parsed file. Raises ReleaseError when it is no YAML mapping of a sane size."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ReleaseError(f"{path}: found more than {_MAX_BYTES} bytes, wanted a release.yml")
        parsed = yaml.load(path.read_text(), Loader=_LOADER)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ReleaseError(f"{path}: found {error}, wanted a release.yml") from error
    if not isinstance(parsed, dict):
        raise ReleaseError(f"{path}: found {type(parsed).__name__}, wanted a mapping")
    return parsed


def parse_release(parsed: Mapping[str, Any]) -> Release:
    """The release in typed form. Raises ReleaseError or ServiceSectionError."""
    try:
        release = Release(
            id=parsed["id"],
            model=parsed["model"],
            model_name=parsed["model_name"],
            triton_model=parsed["triton_model"],
            input_name=parsed["input"]["name"],
            output_name=parsed["output"]["name"],
            digests=dict(parsed["digests"]),
            service=parse_service(parsed["service"]),
        )
        width = parsed["input"]["width"]
    except (KeyError, TypeError) as error:
        raise ReleaseError(f"release.yml: found no usable {error}, wanted a release") from error
    if width != len(release.service.vector):
        found = f"{width} for a vector of {len(release.service.vector)}"
        raise ReleaseError(f"release.yml input.width: found {found}, wanted them equal")
    return release


def own_fault(parsed: Mapping[str, Any]) -> str | None:
    """Why this pod does not match its release.yml; None when it does."""
    try:
        identity.verify_transformer(parsed, identity.source_digest())
    except identity.IdentityError as error:
        return str(error)
    except (KeyError, TypeError):
        return "a release.yml that lacks a part of its id"
    except OSError:
        return "sources that cannot be read"
    return None

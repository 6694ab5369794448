"""The platform's upstream manifests, pinned in k8s/platform/platform.yml by checksum.

A file comes from a mirror directory or is downloaded; kustomize then finds it as `upstream.yaml`
beside our patches.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import httpx
import yaml
from pydantic import Field, ValidationError

from proviso.contracts.base import InputError, Strict
from proviso.contracts.files import check_is_file, replacing
from proviso.rollout.deployed import Mode

PINS = "platform.yml"
_MOST = 16 * 1024 * 1024
_SECONDS = 60.0


Folder = Annotated[str, Field(pattern=r"^[a-z][a-z-]*$")]
"""A component's name, and the folder below k8s/platform."""


class Component(Strict):
    """One upstream manifest: `url` downloads `file`; without a url, `made_by` is the command that
    renders it.

    variants: by mode, the folder of its kustomization where that is not the component's name.
    """

    name: Folder
    version: str
    file: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
    url: str | None = None
    made_by: str | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    namespace: str
    modes: list[Mode]
    variants: Annotated[dict[Mode, Folder], Field(default_factory=dict)]
    images: list[str]


class Pins(Strict):
    """The whole file, in the order in which components are applied."""

    version: Literal[1]
    components: list[Component]


def read_pins(platform: Path) -> Pins:
    """Raises InputError naming what is wrong in the file."""
    path = platform / PINS
    try:
        return Pins.model_validate(yaml.safe_load(path.read_text()))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        message = f"cannot be read as the platform's pins: {error}"
        raise InputError.event("platform_pins_invalid", message, path) from error


def bring(component: Component, platform: Path, mirror: Path | None) -> None:
    """Puts a component's file where its kustomization expects it.

    Raises InputError where there is none, or one with another checksum.
    """
    place = platform / component.name / "upstream.yaml"
    if place.is_file() and _digest(place.read_bytes()) == component.sha256:
        return
    data, origin = _found(component, mirror)
    if _digest(data) != component.sha256:
        actual, wanted = f"sha256 {_digest(data)}", f"{component.sha256} ({PINS})"
        raise InputError.of(origin, actual, wanted, code="checksum_mismatch")
    with replacing(place) as temporary:
        temporary.write_bytes(data)


def _found(component: Component, mirror: Path | None) -> tuple[bytes, str]:
    """The file's bytes and where they come from."""
    if mirror is not None:
        path = mirror / component.file
        check_is_file(path, f"{component.name} {component.version}")
        return path.read_bytes(), str(path)
    if component.url is None:
        wanted = f"a mirror directory with {component.file}, made by `{component.made_by}`"
        raise InputError.of("--mirror", "none", wanted, code="mirror_required")
    return _downloaded(component.url), component.url


def _downloaded(url: str) -> bytes:
    data = bytearray()
    try:
        with httpx.stream("GET", url, timeout=_SECONDS, follow_redirects=True) as reply:
            reply.raise_for_status()
            for chunk in reply.iter_bytes():
                data += chunk
                if len(data) > _MOST:
                    message = f"the download is larger than {_MOST} bytes"
                    raise InputError.event("download_failed", message, url)
    except httpx.HTTPError as error:
        message = f"the download failed: {str(error) or type(error).__name__}"
        why = "or name a directory that has the file: --mirror, PROVISO_MIRROR"
        raise InputError.event("download_failed", message, url, why) from error
    return bytes(data)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

"""release.yml: the names of a release, the tensors of its model, and the service that it serves.

The only parser of the file. `collect_release` finds every fault, `parse_release` raises the first.
The pod needs what is read here; the control plane adds the model card and the directory around
the file (proviso.release.directory).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from feature_runtime.core import identity
from feature_runtime.core.coded import CodedError
from feature_runtime.core.service import Service, ServiceSectionError, parse_service

MODEL_PATTERN = r"[a-z][a-z0-9_]*:\d+\.\d+\.\d+"
"""A model and its version, `fraud_risk_xgboost:2.5.0`."""

_MAX_BYTES = 4 * 1024 * 1024
# libyaml reads a release seven times faster than Python; the pod's start waits for it.
_SAFE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXTS = {
    "id": (r"r-[0-9a-f]{16}", "r- and 16 hex digits"),
    "model": (MODEL_PATTERN, "a model and its version such as fraud_model:2.5.0"),
    "model_name": (r"[a-z][a-z0-9-]{0,62}", "a name of small letters, digits and -"),
    "triton_model": (r"[a-z][a-z0-9_]{0,62}", "a name of small letters, digits and _"),
    "input.name": (r".*\S.*", "the name of a tensor"),
    "output.name": (r".*\S.*", "the name of a tensor"),
}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class _Loader(_SAFE):  # type: ignore[misc]
    """YAML in which a mapping states each key once; PyYAML would keep the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        mapping = super().construct_mapping(node, deep)
        if len(mapping) != len(node.value):
            at = node.start_mark
            raise yaml.constructor.ConstructorError(None, None, "a key stated twice", at)
        return mapping


class Fault(NamedTuple):
    """One thing that is wrong in release.yml. key: where in the file; empty is the whole file."""

    code: str
    key: str
    found: str
    wanted: str


class ReleaseError(CodedError):
    """release.yml cannot be read as a release; `fault` says why."""

    def __init__(self, fault: Fault, file: str = "release.yml") -> None:
        place = f"{file} {fault.key}".rstrip()
        super().__init__(f"{place}: found {fault.found}, wanted {fault.wanted}", code=fault.code)
        self.fault = fault


class ModelRef(NamedTuple):
    """A model and its version, written `name:version`."""

    name: str
    version: str


def model_ref(reference: str) -> ModelRef:
    """`fraud_risk_xgboost:2.5.0` as a reference; without a colon the version is empty."""
    name, _, version = reference.partition(":")
    return ModelRef(name, version)


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

    @property
    def version(self) -> str:
        """The model's version, `2.5.0`."""
        return model_ref(self.model).version


def read_release(path: Path) -> dict[str, Any]:
    """The file as plain data. Raises ReleaseError when it is no YAML mapping of a sane size."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise _unreadable(path, f"more than {_MAX_BYTES} bytes")
        parsed = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
        raise _unreadable(path, reason) from error
    if not isinstance(parsed, dict):
        raise _unreadable(path, f"a {type(parsed).__name__}", "a mapping")
    return parsed


def parse_release(parsed: Mapping[str, Any]) -> Release:
    """The release in typed form. Raises ReleaseError with the first fault."""
    release, faults = collect_release(parsed)
    if release is None:
        raise ReleaseError(faults[0])
    return release


def collect_release(parsed: Mapping[str, Any]) -> tuple[Release | None, list[Fault]]:
    """The release and no fault, or None and every fault."""
    faults = [*_text_faults(parsed), *_digest_faults(parsed)]
    try:
        service = parse_service(parsed["service"])
        faults += _width_faults(parsed, service)
    except KeyError:
        faults.append(missing("service"))
    except ServiceSectionError as error:
        found = str(error).removeprefix("service section: ")
        faults.append(Fault("service_section_invalid", "service", found, "a service section"))
    if faults:
        return None, faults
    texts = {key.replace(".", "_"): value_at(parsed, key) for key in _TEXTS}
    return Release(**texts, digests=dict(parsed["digests"]), service=service), []


def own_fault(parsed: Mapping[str, Any]) -> str | None:
    """Why this pod does not match its release.yml; None when it does."""
    try:
        identity.verify_transformer(parsed, identity.source_digest())
    except identity.IdentityError as error:
        return error.printed
    except (KeyError, TypeError):
        return "a release.yml that lacks a part of its id"
    except OSError:
        return "sources that cannot be read"
    return None


def value_at(parsed: Any, key: str) -> Any:
    """The value of a dotted key; None where there is none."""
    for step in key.split("."):
        parsed = parsed.get(step) if isinstance(parsed, Mapping) else None
    return parsed


def missing(key: str) -> Fault:
    """A key that is required and not there."""
    return Fault("release_field_missing", key, "nothing", "a value")


def invalid(key: str, value: Any, wanted: str) -> Fault:
    """A value of another form."""
    return Fault("release_field_invalid", key, repr(value)[:120], wanted)


def _text_faults(parsed: Mapping[str, Any]) -> Iterator[Fault]:
    for key, (pattern, wanted) in _TEXTS.items():
        value = value_at(parsed, key)
        if value is None:
            yield missing(key)
        elif not isinstance(value, str) or not re.fullmatch(pattern, value):
            yield invalid(key, value, wanted)


def _digest_faults(parsed: Mapping[str, Any]) -> Iterator[Fault]:
    """Whether each is a digest; which ones there must be is the identity check's to say."""
    digests = parsed.get("digests")
    if digests is None:
        yield missing("digests")
    elif not isinstance(digests, Mapping):
        yield invalid("digests", digests, "digests by the part that they are of")
    else:
        for part, digest in digests.items():
            if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
                yield invalid(f"digests.{part}", digest, "sha256: and 64 hex digits")


def _width_faults(parsed: Mapping[str, Any], service: Service) -> Iterator[Fault]:
    width, vector = value_at(parsed, "input.width"), len(service.vector)
    if width is None:
        yield missing("input.width")
    elif width != vector:
        found = f"{width} for a vector of {vector}"
        yield Fault("release_width_mismatch", "input.width", found, "them equal")


def _unreadable(path: Path, found: str, wanted: str = "a readable release.yml") -> ReleaseError:
    return ReleaseError(Fault("release_unreadable", "", found, wanted), str(path))

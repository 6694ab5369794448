"""A release directory, as it is read: a Triton repository beside release.yml.

Batch scoring, replay, gates and renderers read it. Reading verifies: a directory whose files are
not what its digests say is not a release. `read_release` raises, `inspect_release` collects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from feature_runtime.core import identity
from feature_runtime.core import release as release_file
from feature_runtime.core.project_functions import (
    FUNCTIONS_FILE,
    FunctionsError,
    Library,
    load_beside,
)
from feature_runtime.core.release import Fault, ReleaseError, collect_release, invalid, missing
from proviso.contracts.base import ContractError, InputError, Problem
from proviso.release.signature import CLASSES, INPUT, OUTPUT, signature_problems

RELEASE_FILE = "release.yml"
BASELINE_FILE = "baseline.onnx"

_KEYS = {
    *("id", "model", "model_name", "triton_model", "input", "output", "digests", "service"),
    *("base_images", "card", "certificate"),
}


@dataclass(frozen=True)
class Release(release_file.Release):
    """A release directory. `parsed` is release.yml as plain data."""

    directory: Path
    parsed: Mapping[str, Any]

    @property
    def file(self) -> Path:
        return self.directory / RELEASE_FILE

    @property
    def model_file(self) -> Path:
        return self.directory / self.triton_model / "1" / "model.onnx"

    @property
    def config_file(self) -> Path:
        return self.directory / self.triton_model / "config.pbtxt"

    @property
    def functions_file(self) -> Path | None:
        """The project's functions; None where the release uses none."""
        return None if self.service.own_functions is None else self.directory / FUNCTIONS_FILE

    @cached_property
    def library(self) -> Library:
        """The project's functions that the release uses, loaded. Raises FunctionsError."""
        return load_beside(self.directory, self.service.own_functions)

    @property
    def baseline_file(self) -> Path:
        return self.directory / BASELINE_FILE

    @property
    def card(self) -> Mapping[str, Any]:
        """The model card (training/model_card.py) as the file has it; gates judge its form."""
        card: Mapping[str, Any] = self.parsed["card"]
        return card

    @property
    def certificate(self) -> Mapping[str, Any] | None:
        """The leakage certificate (training/certificate.py), likewise; None when there is none."""
        return self.parsed.get("certificate")

    @property
    def base_images(self) -> Mapping[str, str]:
        return dict(self.parsed["base_images"])


def read_release(directory: Path) -> Release:
    """A release directory, verified down to its model's tensors.

    Raises InputError when it is no release, or one whose model the plan's server cannot use;
    ContractError when its files are not what its digests say.
    """
    release, problems = _stated(directory)
    if release is None:
        raise InputError(problems)
    problems = [*_tensor_problems(release), *_digest_problems(release)]
    if problems:
        raise ContractError(problems)
    problems = signature_problems(release.model_file, len(release.service.vector))
    if problems:
        raise InputError(problems)
    return release


def inspect_release(directory: Path) -> tuple[Release | None, list[Problem]]:
    """The release as its release.yml states it, and everything that is wrong with it.

    None: release.yml is not one, so that nothing else of the directory could be judged.
    """
    release, problems = _stated(directory)
    if release is not None:
        problems += [*_tensor_problems(release), *_digest_problems(release)]
        problems += signature_problems(release.model_file, len(release.service.vector))
    return release, problems


def _stated(directory: Path) -> tuple[Release | None, list[Problem]]:
    """What release.yml says, before any file beside it is looked at."""
    path = directory / RELEASE_FILE
    try:
        parsed = release_file.read_release(path)
    except ReleaseError as error:
        return None, [_problem(path, error.fault)]
    stated, faults = collect_release(parsed)
    faults += _own_faults(parsed)
    if stated is None or faults:
        return None, [_problem(path, fault) for fault in faults]
    values = {field.name: getattr(stated, field.name) for field in fields(stated)}
    return Release(**values, directory=directory, parsed=parsed), []


def _own_faults(parsed: Mapping[str, Any]) -> Iterator[Fault]:
    """Faults of what only the control plane reads, and keys that the format does not know."""
    yield from (missing(key) for key in ("base_images", "card") if parsed.get(key) is None)
    images = parsed.get("base_images") or {}
    if not isinstance(images, dict):
        yield invalid("base_images", images, "images by the part that is built on them")
    for key in sorted(map(str, set(parsed) - _KEYS)):
        yield Fault("release_field_unknown", key, "an unknown key", "only keys of the format")


def _tensor_problems(release: Release) -> Iterator[Problem]:
    """release.yml names the tensors that the pod asks Triton for."""
    expected = {
        "input": {"name": INPUT, "width": len(release.service.vector)},
        "output": {"name": OUTPUT, "width": CLASSES},
    }
    for tensor, values in expected.items():
        for key, value in values.items():
            actual = release.parsed[tensor].get(key)
            if actual != value:
                path = f"{release.file}: {tensor}.{key}"
                why = "the model's own tensor"
                yield Problem(path, str(actual), str(value), why, "release_tensor_mismatch")


def _digest_problems(release: Release) -> list[Problem]:
    """Where the files differ from what release.yml says of them."""
    try:
        config = release.config_file.read_text(encoding="utf-8")
        model = release.model_file.read_bytes()
    except (OSError, UnicodeDecodeError) as error:
        path = getattr(error, "filename", None) or release.config_file
        found = getattr(error, "strerror", None) or "bytes that are not UTF-8"
        return [Problem(str(path), found, "a file of a release", code="release_file_unreadable")]
    actual = {
        "base_images": identity.digest_of(release.parsed["base_images"]),
        "config": identity.digest(identity.canonical_config(config).encode()),
        "decision": identity.digest_of(release.parsed["service"]["decision"]),
        "model": identity.digest(model),
        "service": identity.digest_of(release.parsed["service"]),
    }
    problems = [
        Problem(
            f"{release.file}: digests.{part}",
            digest,
            str(release.digests.get(part)),
            code="release_digest_mismatch",
        )
        for part, digest in actual.items()
        if release.digests.get(part) != digest
    ]
    served = identity.id_line(release.id)
    if served not in config.splitlines():
        found = "another id or none"
        path = str(release.config_file)
        problems.append(Problem(path, found, served, code="release_id_mismatch"))
    problems += _function_problems(release)
    return problems or _id_problems(release)


def _function_problems(release: Release) -> list[Problem]:
    """Why the directory's `functions.py` is not the one that release.yml states."""
    try:
        assert release.library is not None
    except FunctionsError as error:
        path = str(release.functions_file)
        return [Problem(path, f.found, f.wanted, code=f.code) for f in error.faults]
    return []


def _id_problems(release: Release) -> list[Problem]:
    parts = sorted(release.digests)
    if parts != sorted(identity.PARTS):
        path, wanted = f"{release.file}: digests", str(sorted(identity.PARTS))
        return [Problem(path, str(parts), wanted, code="release_digests_incomplete")]
    expected = identity.release_id(release.digests)
    if expected != release.id:
        path = f"{release.file}: id"
        return [Problem(path, release.id, expected, code="release_id_mismatch")]
    return []


def _problem(path: Path, fault: Fault) -> Problem:
    place = f"{path}: {fault.key}".removesuffix(": ")
    return Problem(place, fault.found, fault.wanted, code=fault.code)

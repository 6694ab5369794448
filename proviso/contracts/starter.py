"""Writes the files of a new project: by itself a small example, not this repository's."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from proviso.contracts.base import InputError
from proviso.contracts.files import replacing_together

README = "README.md"
_PLACE = "PROJECT"
"""Stands for the project's directory in its README."""


def template_files() -> list[str]:
    """Names of the example's files."""
    return sorted(item.name for item in _folder().iterdir() if item.is_file())


def template_text(name: str) -> str:
    """The text of one of them."""
    return (_folder() / name).read_text(encoding="utf-8")


def write_template(directory: Path) -> list[str]:
    """Writes the example into `directory`, which must be empty or absent. Raises InputError."""
    check_empty(directory)
    texts = {name: template_text(name) for name in template_files()}
    texts[README] = texts[README].replace(_PLACE, str(directory))
    return write_project(directory, texts)


def check_empty(directory: Path) -> None:
    """Refuses a directory in which something lies. Raises InputError."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        found = "a directory with files in it" if directory.is_dir() else "a file"
        wanted, why = "an empty or new directory", "nothing is overwritten"
        raise InputError.of(directory, found, wanted, why, code="directory_not_empty")


def write_project(directory: Path, texts: Mapping[str, str]) -> list[str]:
    """Writes files into `directory`, all or none, and returns their names. Raises InputError."""
    try:
        with replacing_together() as files:
            for name, text in texts.items():
                files.write_text(directory / name, text)
    except OSError as error:
        message = f"cannot write: {(error.strerror or 'error').lower()}"
        raise InputError.event("directory_unwritable", message, directory) from None
    return list(texts)


def _folder() -> Traversable:
    return resources.files("proviso.contracts") / "template"

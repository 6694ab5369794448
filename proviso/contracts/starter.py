"""The files that `proviso init` writes: a small project, not this repository's example."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from proviso.contracts.base import InputError
from proviso.contracts.files import replacing_together


def template_files() -> list[str]:
    """Names of the files that a new project starts with."""
    return sorted(item.name for item in _folder().iterdir() if item.is_file())


def template_text(name: str) -> str:
    """The text of one of them."""
    return (_folder() / name).read_text(encoding="utf-8")


def write_template(directory: Path) -> list[str]:
    """Writes them into `directory`, which must be empty or absent. Raises InputError."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        found = "a directory with files in it" if directory.is_dir() else "a file"
        wanted, why = "an empty or new directory", "nothing is overwritten"
        raise InputError.of(directory, found, wanted, why, code="directory_not_empty")
    try:
        with replacing_together() as files:
            for name in template_files():
                files.write_text(directory / name, template_text(name))
    except OSError as error:
        message = f"cannot write: {(error.strerror or 'error').lower()}"
        raise InputError.event("directory_unwritable", message, directory) from None
    return template_files()


def _folder() -> Traversable:
    return resources.files("proviso.contracts") / "template"

"""`proviso init`: a small project to start from, which is not the example of this repository."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from proviso.contracts.base import InputError


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
        raise InputError.of(directory, found, "an empty or new directory", "nothing is overwritten")
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in template_files():
            (directory / name).write_text(template_text(name), encoding="utf-8")
    except OSError as error:
        found = (error.strerror or "an error").lower()
        raise InputError.of(directory, found, "a directory that can be written") from None
    return template_files()


def _folder() -> Traversable:
    return resources.files("proviso.contracts") / "template"

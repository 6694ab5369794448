"""The folder of a rendered release: lists what a rendering would change there, and writes it."""

from __future__ import annotations

from pathlib import Path

from proviso.contracts.base import InputError
from proviso.contracts.files import replacing_together
from proviso.manifests.render import STEPS_FILE, Rendering

_OURS = ("rollout/*.yaml", "prometheus/*.yml")
"""Files that a changed plan may no longer have, such as the step of a removed share."""


def changes(rendering: Rendering, directory: Path) -> dict[str, str]:
    """Every file with new, changed, unchanged or removed.

    Raises InputError for a folder that no rendering made.
    """
    _check_place(directory)
    found = {name: _change(directory / name, text) for name, text in rendering.files.items()}
    gone = {path.relative_to(directory).as_posix() for p in _OURS for path in directory.glob(p)}
    return found | dict.fromkeys(sorted(gone - found.keys()), "removed")


def write(rendering: Rendering, directory: Path) -> dict[str, str]:
    """Writes the rendering; files that did not change are not touched."""
    made = changes(rendering, directory)
    with replacing_together() as files:
        for name, change in made.items():
            if change not in {"removed", "unchanged"}:
                files.write_text(directory / name, rendering.files[name])
    for name in (name for name, change in made.items() if change == "removed"):
        (directory / name).unlink()
    return made


def _change(path: Path, text: str) -> str:
    if not path.exists():
        return "new"
    return "unchanged" if path.read_bytes() == text.encode() else "changed"


def _check_place(directory: Path) -> None:
    if directory.is_file():
        wanted = "a directory to render into"
        raise InputError.of(directory, "a file", wanted, code="not_a_directory")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / STEPS_FILE).exists():
        actual, wanted = "files that no rendering made", "a rendered or new directory"
        raise InputError.of(directory, actual, wanted, code="not_a_rendered_directory")

"""The folder of a rendered release: what would change there, and changing it."""

from __future__ import annotations

from pathlib import Path

from proviso.contracts.base import InputError
from proviso.contracts.files import replacing
from proviso.manifests.render import STEPS_FILE, Rendering

_OURS = ("rollout/*.yaml", "prometheus/*.yml")
"""Files that another plan may no longer have, such as the step of a share that is gone."""


def changes(rendering: Rendering, directory: Path) -> dict[str, str]:
    """Every file with new, changed, unchanged or removed. Raises InputError for another's place."""
    _check_place(directory)
    found = {name: _change(directory / name, text) for name, text in rendering.files.items()}
    gone = {path.relative_to(directory).as_posix() for p in _OURS for path in directory.glob(p)}
    return found | dict.fromkeys(sorted(gone - found.keys()), "removed")


def write(rendering: Rendering, directory: Path) -> dict[str, str]:
    """Makes the folder what was rendered; files that did not change are not touched."""
    made = changes(rendering, directory)
    for name, change in made.items():
        if change == "removed":
            (directory / name).unlink()
        elif change != "unchanged":
            with replacing(directory / name) as temporary:
                temporary.write_text(rendering.files[name], encoding="utf-8")
    return made


def _change(path: Path, text: str) -> str:
    if not path.exists():
        return "new"
    return "unchanged" if path.read_bytes() == text.encode() else "changed"


def _check_place(directory: Path) -> None:
    if directory.is_file():
        raise InputError.of(directory, "a file", "a directory to render into")
    if directory.is_dir() and any(directory.iterdir()) and not (directory / STEPS_FILE).exists():
        raise InputError.of(directory, "files that no render made", "a rendered or new directory")

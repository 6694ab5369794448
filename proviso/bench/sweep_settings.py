"""Batching settings, and copies of a release that differ in that setting alone.

Not through the training station's writer: that derives a config from the present plan and source,
and a sweep is about the release as it is. So one line of its config is exchanged, and the digests
that follow from it; the launcher and `read_release` then verify the copy like any release. Such
copies live as long as the sweep.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from feature_runtime.core import identity
from proviso.contracts.base import InputError
from proviso.release.directory import RELEASE_FILE, Release, read_release
from proviso.release.pbtxt import PbtxtError, flat, parse_pbtxt

_FIELD = "dynamic_batching"
_DELAY = f"{_FIELD}.max_queue_delay_microseconds"
_LINE = re.compile(rf"^{_FIELD}\s*\{{[^{{}}]*\}}\n", re.MULTILINE)


@dataclass(frozen=True)
class Setting:
    """Triton's dynamic batching: off, or on with the longest time a request waits for others."""

    dynamic: bool
    delay_us: int = 0

    @property
    def name(self) -> str:
        return f"on, delay {self.delay_us:,} us" if self.dynamic else "off"

    @property
    def line(self) -> str:
        """The setting as text of a config.pbtxt."""
        if not self.dynamic:
            return ""
        return f"{_FIELD} {{ max_queue_delay_microseconds: {self.delay_us} }}\n"


def setting_of(leaves: dict[str, str]) -> Setting:
    """The setting among the leaves of a config (pbtxt.flat); without a delay it is 0."""
    dynamic = any(path.startswith(_FIELD) for path in leaves)
    return Setting(dynamic, int(leaves.get(_DELAY, "0")) if dynamic else 0)


def own_setting(release: Release) -> Setting:
    """The setting in the release's config."""
    return setting_of(leaves_of(release.config_file, release.config_file.read_text()))


def max_batch_size(release: Release) -> int:
    """The largest batch of the release's config; Triton's 0 is a model without batching."""
    leaves = leaves_of(release.config_file, release.config_file.read_text())
    return int(leaves.get("max_batch_size", "0"))


def leaves_of(path: Path, text: str) -> dict[str, str]:
    """Every field of a config.pbtxt by its path. Raises InputError."""
    try:
        return flat(parse_pbtxt(text))
    except PbtxtError as error:
        raise InputError.of(
            path, str(error), "a model configuration", code="model_config_invalid"
        ) from error


def release_with(release: Release, setting: Setting, directory: Path) -> Release:
    """The release itself where that is its setting, else a copy of it in a new `directory`."""
    if own_setting(release) == setting:
        return release
    shutil.copytree(release.directory, directory)
    config = _with(release, setting)
    digests = {**release.digests, "config": identity.digest(config.encode())}
    identifier = identity.release_id(digests)
    path = directory / release.triton_model / "config.pbtxt"
    path.write_text(f"{config}{identity.id_line(identifier)}\n")
    parsed = {**release.parsed, "id": identifier, "digests": digests}
    text = yaml.safe_dump(parsed, sort_keys=False, allow_unicode=True)
    (directory / RELEASE_FILE).write_text(text)
    return read_release(directory)


def _with(release: Release, setting: Setting) -> str:
    """The canonical config with the setting in place of its own."""
    before = identity.canonical_config(release.config_file.read_text())
    after = _LINE.sub("", before) + setting.line
    others = [_others(leaves_of(release.config_file, text)) for text in (before, after)]
    if others[0] != others[1] or setting_of(leaves_of(release.config_file, after)) != setting:
        found = f"{_FIELD} in a form that cannot be exchanged"
        wanted = f"`{_FIELD} {{ ... }}` on a line"
        raise InputError.of(release.config_file, found, wanted, code="config_not_editable")
    return after


def _others(leaves: dict[str, str]) -> dict[str, str]:
    return {path: value for path, value in leaves.items() if not path.startswith(_FIELD)}

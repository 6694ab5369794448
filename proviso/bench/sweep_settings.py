"""Batching settings, and copies of a release that differ in that setting alone.

Not through the writer of the training room: that derives a config from the present plan and source,
and a sweep is about the release as it is. So one field of its config is exchanged, and the digests
that follow from it; the launcher and `read_release` then verify the copy like any release. Such
copies live as long as the sweep.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_runtime.core import identity
from proviso.contracts.base import InputError
from proviso.release.directory import Release, read_release
from proviso.release.model_config import (
    ModelConfigError,
    format_model_config,
    parse_model_config,
)
from proviso.release.writing import write_release_file

_FIELD = "dynamic_batching"


@dataclass(frozen=True)
class Setting:
    """Triton's dynamic batching: off, or on with the longest time a request waits for others."""

    dynamic: bool
    delay_us: int = 0

    @property
    def name(self) -> str:
        return f"on, delay {self.delay_us:,} us" if self.dynamic else "off"


def setting_of(config: Any) -> Setting:
    """The setting of a parsed config.pbtxt; without a delay it is 0."""
    dynamic = config.HasField(_FIELD)
    return Setting(dynamic, config.dynamic_batching.max_queue_delay_microseconds)


def own_setting(release: Release) -> Setting:
    """The setting of the release's config."""
    return setting_of(parsed_config(release))


def max_batch_size(release: Release) -> int:
    """The largest batch of the release's config; Triton's 0 is a model without batching."""
    return int(parsed_config(release).max_batch_size)


def parsed_config(release: Release) -> Any:
    """The release's config.pbtxt as Triton's message. Raises InputError."""
    return _parsed(release, release.config_file.read_text(encoding="utf-8"))


def release_with(release: Release, setting: Setting, directory: Path) -> Release:
    """The release itself where that is its setting, else a copy of it in a new `directory`."""
    if own_setting(release) == setting:
        return release
    shutil.copytree(release.directory, directory)
    config = _canonical_with(release, setting)
    digests = {**release.digests, "config": identity.digest(config.encode())}
    identifier = identity.release_id(digests)
    path = directory / release.triton_model / "config.pbtxt"
    path.write_text(f"{config}{identity.id_line(identifier)}\n")
    write_release_file({**release.parsed, "id": identifier, "digests": digests}, directory)
    return read_release(directory)


def _canonical_with(release: Release, setting: Setting) -> str:
    """The canonical config with the setting in place of its own."""
    text = release.config_file.read_text(encoding="utf-8")
    config = _parsed(release, identity.canonical_config(text))
    if setting.dynamic:
        config.dynamic_batching.SetInParent()
        config.dynamic_batching.max_queue_delay_microseconds = setting.delay_us
    else:
        config.ClearField(_FIELD)
    return format_model_config(config)


def _parsed(release: Release, text: str) -> Any:
    try:
        return parse_model_config(text)
    except ModelConfigError as error:
        wanted, code = "a Triton configuration", "model_config_unreadable"
        raise InputError.of(release.config_file, str(error), wanted, code=code) from error

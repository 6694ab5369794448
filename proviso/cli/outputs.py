"""What commands read, so that no command writes over it: one check for every output."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from feature_runtime.core.project_functions import FUNCTIONS_FILE
from proviso.contracts.files import check_outputs
from proviso.contracts.loading import (
    CONTRACT_FILE,
    PAYLOADS_FILE,
    PLAN_FILE,
    SIMULATION_FILE,
    SKEW_FILE,
    load_contract,
)
from proviso.release.directory import BASELINE_FILE, RELEASE_FILE

_CONTRACTS = (
    CONTRACT_FILE,
    PLAN_FILE,
    PAYLOADS_FILE,
    SKEW_FILE,
    SIMULATION_FILE,
    "training.yml",
)


def check_written(
    contracts: Path,
    written: Iterable[Path],
    *read: Path | None,
    history: Path | None = None,
    releases: Iterable[Path] = (),
) -> None:
    """Raises InputError when a command would write a file that it reads.

    The contract files are always read. read: files, and folders of which every file is read; None:
    an option that is not given. history, releases: folders in which other files may lie.
    """
    used = [contracts / name for name in _CONTRACTS]
    used += [path for path in read if path is not None]
    used += [path for release in releases for path in _release_files(release)]
    if history is not None:
        used += _history_files(contracts, history)
    check_outputs(written, used)


def _release_files(release: Path) -> list[Path]:
    """The release's own files, and the folder of its model."""
    folders = [path for path in release.glob("*") if path.is_dir()]
    return [release / name for name in (RELEASE_FILE, BASELINE_FILE, FUNCTIONS_FILE)] + folders


def _history_files(contracts: Path, history: Path) -> list[Path]:
    """The files of the views, and those of a live writer beside them."""
    endings = (".parquet", ".published.parquet", ".stamping")
    views = load_contract(contracts).view_by_name
    return [history / f"{view}{ending}" for view in views for ending in endings]

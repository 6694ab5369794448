"""Errors of the system: a code for each kind, and no code for what is a defect."""

from __future__ import annotations

import errno
import os

import pytest

from proviso.cli.failures import file_problem


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.ENOENT, "file_not_found"),
        (errno.EACCES, "permission_denied"),
        (errno.EISDIR, "not_a_file"),
        (errno.ENOTDIR, "not_a_directory"),
        (errno.ENAMETOOLONG, "file_unusable"),
    ],
)
def test_a_path_that_the_system_refuses(number: int, code: str) -> None:
    problem = file_problem(OSError(number, os.strerror(number), "some/path"))
    assert (problem.path, problem.code) == ("some/path", code)
    assert problem.message


def test_a_full_disk_names_no_path() -> None:
    problem = file_problem(OSError(errno.ENOSPC, "No space left on device"))
    assert (problem.path, problem.code) == ("disk", "disk_full")


def test_a_full_directory_of_temporary_files_is_no_traceback() -> None:
    problem = file_problem(FileNotFoundError(errno.ENOENT, "No usable temporary directory"))
    assert (problem.path, problem.code) == ("TMPDIR", "no_temporary_directory")


def test_an_error_without_a_path_is_not_hidden() -> None:
    with pytest.raises(ConnectionResetError):
        file_problem(ConnectionResetError(errno.ECONNRESET, "reset"))

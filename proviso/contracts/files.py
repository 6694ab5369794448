"""Writing files whole or not at all, and never over a file that is still to be read.

A file is written beside its place and renamed once everything that belongs to it is complete: a
full disk or a killed process leaves what was there before. What a killed process left beside a
place goes when the place is next written.
"""

from __future__ import annotations

import errno
import fcntl
import glob
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from proviso.contracts.base import InputError, Problem

_TOKEN = "[0-9a-f]" * 8
_WRITING = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EFBIG,
    errno.EIO,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
}
"""Errors of a write that libraries report without the file's name."""


def check_is_file(path: Path, wanted: str, why: str = "") -> None:
    """Refuses a path at which no file stands: nothing, or a directory. Raises InputError."""
    if path.is_dir():
        raise InputError.of(path, "a directory", wanted, why, code="not_a_file")
    if not path.is_file():
        raise InputError.of(path, "no such file", wanted, why, code="file_not_found")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block ends well."""
    with replacing_together() as files, files.writing(path) as temporary:
        yield temporary


@contextmanager
def replacing_together() -> Iterator[Replacements]:
    """Files that take their places together when the block ends well. Raises OSError."""
    with ExitStack() as locks:
        files = Replacements(locks)
        try:
            yield files
            files.take_places()
        finally:
            files.discard()


@contextmanager
def working_folder(parent: Path, purpose: str) -> Iterator[Path]:
    """A temporary folder in `parent`, which is made where it is missing. Raises OSError.

    It stands beside what a command writes, because /tmp may be in memory and too small. Folders of
    the same purpose that killed processes left go first.
    """
    parent.mkdir(parents=True, exist_ok=True)
    prefix = f".proviso-{purpose}-"
    for left in parent.glob(f"{prefix}*"):
        _sweep_folder(left)
    folder, handle = _held_folder(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
        os.close(handle)


@dataclass
class Replacements:
    """Files that are complete, beside their places."""

    locks: ExitStack
    complete: dict[Path, Path] = field(default_factory=dict)

    def newest(self, path: Path) -> Path:
        """Where the present content of `path` is to be read: beside it once it was written."""
        return self.complete.get(_real(path), path)

    @contextmanager
    def writing(self, path: Path) -> Iterator[Path]:
        """A temporary path for `path`; complete when the block ends well. Raises OSError.

        A symbolic link stays, its target is replaced. An error names `path`, not the temporary.
        """
        place = _real(path)
        _check_place(path, place)
        temporary = self._create(path, place)
        try:
            with _named(path, temporary):
                yield temporary
        except BaseException:
            _remove(temporary)
            raise
        if earlier := self.complete.pop(place, None):
            _remove(earlier)
        self.complete[place] = temporary

    def write_text(self, path: Path, text: str) -> None:
        """Writes a text file, UTF-8. Raises OSError."""
        with self.writing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def write_bytes(self, path: Path, content: bytes) -> None:
        """Writes a file. Raises OSError."""
        with self.writing(path) as temporary:
            temporary.write_bytes(content)

    def take_places(self) -> None:
        """Renames every complete file to its place."""
        for place, temporary in self.complete.items():
            with _named(place, temporary):
                temporary.replace(place)

    def discard(self) -> None:
        """Removes the files that have not taken their places."""
        for temporary in self.complete.values():
            _remove(temporary)

    def _create(self, path: Path, place: Path) -> Path:
        """An empty file that this process holds until the end, so that no other sweeps it."""
        place.parent.mkdir(parents=True, exist_ok=True)
        _sweep(place)
        while True:
            temporary = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
            with _named(path, temporary):
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                handle = os.open(temporary, flags, 0o666)
            self.locks.callback(os.close, handle)
            with suppress(OSError):  # a file system without locks: nothing is swept there
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                os.fchmod(handle, stat.S_IMODE(place.stat().st_mode))
            if os.fstat(handle).st_nlink:  # not swept between its creation and its lock
                return temporary


def check_outputs(written: Iterable[Path], read: Iterable[Path]) -> None:
    """Raises InputError for a file that a command would both read and write.

    The same file by any name counts: links, other spellings of the path. read: files, or folders
    of which every file is read.
    """
    used = {_identity(one): path for path in read for one in _files_of(path)}
    problems = [
        Problem(
            str(path),
            "also an input" + (f", as {used[key]}" if str(used[key]) != str(path) else ""),
            "another file to write",
            "a command does not replace what it reads",
            "output_is_input",
        )
        for path in written
        if (key := _identity(path)) in used
    ]
    if problems:
        raise InputError(problems)


def _files_of(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (one for one in path.rglob("*") if not one.is_dir())
    yield path


def _identity(path: Path) -> tuple[int, int] | str:
    """What names a file: its inode where there is one, so that hard links are the same."""
    try:
        found = path.stat()
    except OSError:
        return str(_real(path))
    return found.st_dev, found.st_ino


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


def _check_place(path: Path, place: Path) -> None:
    """Raises OSError for a place that no file can take: a folder, a device, a protected file."""
    try:
        found = place.stat().st_mode
    except FileNotFoundError:
        return
    except NotADirectoryError as error:
        raise NotADirectoryError(error.errno, error.strerror, str(path.parent)) from error
    if not stat.S_ISREG(found):
        number = errno.EISDIR if stat.S_ISDIR(found) else errno.EINVAL
        raise OSError(number, os.strerror(number), str(path))
    if not os.access(place, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))


@contextmanager
def _named(path: Path, internal: Path) -> Iterator[None]:
    """Errors name the path that was asked for, not the one beside it nor none."""
    try:
        yield
    except OSError as error:
        unnamed = error.filename is None and error.errno in _WRITING
        if not unnamed and str(error.filename) != str(internal):
            raise
        raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error


def _held_folder(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new folder and the handle by which this process holds it, so that no other sweeps it."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        with suppress(OSError):  # a file system without locks: nothing is swept there
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if folder.is_dir():  # not swept between its creation and its lock
            return folder, handle
        os.close(handle)


def _sweep_folder(left: Path) -> None:
    with suppress(OSError):
        handle = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
        finally:
            os.close(handle)


def _sweep(place: Path) -> None:
    """Removes files that a process left beside a place when it was killed."""
    for left in place.parent.glob(f".{glob.escape(place.name)}.{_TOKEN}"):
        with suppress(OSError), left.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()

"""Files that appear whole and together, and outputs that are inputs."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from proviso.contracts.files import (
    Replacements,
    check_is_file,
    check_outputs,
    replacing,
    replacing_together,
    working_folder,
)
from tests.problems import refused


def _both(files: Replacements, first: Path, second: Path) -> None:
    files.write_text(first, "after")
    assert (first.read_text(), files.newest(first).read_text()) == ("before", "after")
    with files.writing(second) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, "full")


def _whole(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text)


def test_files_of_one_block_take_their_places_together(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "new" / "second"
    first.write_text("before")
    with pytest.raises(OSError, match="second"), replacing_together() as files:
        _both(files, first, second)
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["first"]
    with replacing_together() as files:
        files.write_text(first, "draft")
        files.write_text(first, "after")
        files.write_bytes(second, b"after")
    assert (first.read_text(), second.read_text()) == ("after", "after")
    assert sorted(one.name for one in tmp_path.rglob("*")) == ["first", "new", "second"]


def test_a_link_stays_and_its_target_is_replaced_with_its_mode(tmp_path: Path) -> None:
    target, link = tmp_path / "elsewhere" / "target", tmp_path / "link"
    target.parent.mkdir()
    target.write_text("before")
    target.chmod(0o640)
    link.symlink_to(target)
    _whole(link, "after")
    assert (link.is_symlink(), target.read_text()) == (True, "after")
    assert target.stat().st_mode & 0o777 == 0o640
    assert list(target.parent.iterdir()) == [target]


def _folder(path: Path) -> None:
    path.mkdir()


def _below_a_file(path: Path) -> None:
    path.parent.rmdir()
    path.parent.touch()


@pytest.mark.parametrize(
    ("make", "number", "named"),
    [
        (_folder, errno.EISDIR, "out/file"),
        (os.mkfifo, errno.EINVAL, "out/file"),
        (lambda path: path.symlink_to("/dev/null"), errno.EINVAL, "out/file"),
        (_below_a_file, errno.ENOTDIR, "out"),
    ],
)
def test_a_place_that_no_file_can_take_is_refused_by_name(
    tmp_path: Path, make: Callable[[Path], None], number: int, named: str
) -> None:
    path = tmp_path / "out" / "file"
    path.parent.mkdir()
    make(path)
    with pytest.raises(OSError, match=os.strerror(number)) as error, replacing(path):
        pass
    assert (error.value.errno, error.value.filename) == (number, str(tmp_path / named))


def test_an_error_of_a_write_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(OSError, match="No space left") as error, replacing(path):
        raise OSError(errno.ENOSPC, "a library's own words")
    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, str(path))
    with pytest.raises(ConnectionResetError) as other, replacing(path):
        raise ConnectionResetError(errno.ECONNRESET, "no error of the file")
    assert other.value.filename is None
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_a_live_one_writes_stays(tmp_path: Path) -> None:
    path = tmp_path / "data[1].parquet"
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from proviso.contracts.files import replacing\n"
        "with replacing(Path(sys.argv[1])) as one:\n"
        "    one.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", script, path], check=False)
    assert ended.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    with replacing(path) as one:
        assert not left.exists()
        _whole(path, "the other writer's")
        one.write_text("this writer's")
    assert path.read_text() == "this writer's"
    assert list(tmp_path.iterdir()) == [path]


def _same(path: Path) -> Path:
    return path


def _spelled(path: Path) -> Path:
    return path.parent / "folder" / ".." / path.name


def _linked(path: Path) -> Path:
    link = path.with_name("link")
    link.symlink_to(path)
    return link


def _hard_linked(path: Path) -> Path:
    link = path.with_name("hard")
    os.link(path, link)
    return link


def _by_another_folder(path: Path) -> Path:
    folder = path.parent.with_name("alias")
    folder.symlink_to(path.parent)
    return folder / path.name


@pytest.mark.parametrize("named", [_same, _spelled, _linked, _hard_linked, _by_another_folder])
def test_a_file_that_is_read_is_not_written_by_any_name(
    tmp_path: Path, named: Callable[[Path], Path]
) -> None:
    source = tmp_path / "data" / "source"
    source.parent.mkdir()
    (source.parent / "folder").mkdir()
    source.touch()
    out = named(source)
    with refused("output_is_input") as problems:
        check_outputs([out, tmp_path / "other"], [source])
    assert problems[0].path == str(out)
    with refused("output_is_input"):
        check_outputs([out], [source.parent])
    check_outputs([source.with_name("new"), tmp_path / "other"], [source, source.parent])


def test_a_file_that_will_be_made_is_compared_by_its_place(tmp_path: Path) -> None:
    with refused("output_is_input"):
        check_outputs([tmp_path / "a" / ".." / "new"], [tmp_path / "new"])


@pytest.mark.parametrize(("name", "code"), [("", "not_a_file"), ("absent", "file_not_found")])
def test_a_path_without_a_file_says_what_is_there(name: str, code: str, tmp_path: Path) -> None:
    with refused(code):
        check_is_file(tmp_path / name, "a file")


def test_a_working_folder_goes_with_its_process_and_no_other_takes_it(tmp_path: Path) -> None:
    left, kept = tmp_path / ".proviso-train-left", tmp_path / ".proviso-trained"
    (left / "history").mkdir(parents=True)
    (left / "history" / "rows").write_text("x")
    kept.mkdir()
    with working_folder(tmp_path, "train") as first:
        (first / "dataset").write_text("y")
        with working_folder(tmp_path, "train") as second:
            assert set(tmp_path.iterdir()) == {first, second, kept}
        assert (first / "dataset").read_text() == "y"
    assert list(tmp_path.iterdir()) == [kept]


def test_a_link_to_a_folder_is_not_followed_when_it_is_swept(tmp_path: Path) -> None:
    other, link = tmp_path / "other", tmp_path / "work" / ".proviso-train-link"
    other.mkdir()
    link.parent.mkdir()
    link.symlink_to(other)
    (other / "file").write_text("x")
    with working_folder(link.parent, "train"):
        pass
    assert (other / "file").read_text() == "x"

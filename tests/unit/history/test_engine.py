"""The offline engine's edges: bounds, spilled data, files that appear whole or not at all."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from proviso.contracts.files import replacing
from proviso.history.duckdb.engine import EngineError, connect, literal, quoted
from tests.problems import refused


def test_memory_that_is_no_size_is_wrong_use() -> None:
    with refused("engine_memory_invalid") as problems, connect("much"):
        pass
    assert (problems[0].path, problems[0].found) == ("--memory", "much")


def test_too_little_memory_is_said_plainly() -> None:
    with connect("20MB") as engine, refused("engine_out_of_memory"):
        engine.row("select list(i) from range(20000000) t(i)")


def test_spilled_data_goes_when_the_engine_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with connect() as engine:
        assert engine.row("select 1") == (1,)
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_refused_query_is_an_error_of_ours() -> None:
    with connect() as engine, pytest.raises(EngineError, match="nothing_such"):
        engine.execute("select nothing_such")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    with replacing(path) as temporary:
        temporary.write_text("whole")
    with pytest.raises(RuntimeError):
        _fail_halfway(path)
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_names_and_texts_stay_what_they_are_in_sql() -> None:
    name, text = 'a "name"', "it's"
    with connect() as engine:
        assert engine.row(f"select {literal(text)} as {quoted(name)}") == (text,)


def _fail_halfway(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError

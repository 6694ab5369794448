"""`proviso bench join` on very little data: what it prints is what the docs quote.

Peers take part where scripts/setup-peers has made their environment.
"""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from proviso.bench import join, join_growth
from proviso.bench.join_data import Size
from tests.program import call

SIZE = Size(labels=300, rows=3_000, entities=20)
OWN = tuple(entry for entry in join.ENTRIES if not entry.peer)


def _silent(_message: str) -> None:
    return


def test_what_calls_itself_exact_is_and_the_bare_join_is_not() -> None:
    bench = join.compare(SIZE, 2, "1GB", _silent, OWN[:3])
    wrong = {figures.name: figures.wrong for figures in bench.figures}
    assert wrong.pop(join.BARE) > 0
    assert set(wrong.values()) == {0}
    assert all(f.peak > 0 and f.seconds > 0 for f in bench.figures)
    assert len(bench.of(join.OURS).cold) == 2
    assert len(bench.of(join.BY_DEFINITION).cold) == 1
    lines = join.table(bench).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:5]] == [f"| {entry.name}" for entry in OWN[:3]]
    assert lines[-1].startswith("proviso, from raw files, takes ")


@pytest.mark.skipif(not join.PEERS.is_file(), reason=join.NO_PEERS)
@pytest.mark.parametrize(
    "peer", [entry for entry in join.ENTRIES if entry.peer], ids=lambda entry: entry.name
)
def test_a_peer_answers_the_same_questions(peer: join.Entry) -> None:
    bench = join.compare(SIZE, 1, "1GB", _silent, [OWN[0], peer])
    assert bench.of(peer.name).wrong == 0
    assert bench.skipped == ()


def test_peers_are_left_out_by_name_where_they_are_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(join, "PEERS", tmp_path / "python")
    bench = join.compare(SIZE, 1, "1GB", _silent, [*OWN[:3], join.ENTRIES[-1]])
    assert bench.skipped == (f"pandas: {join.NO_PEERS}",)
    assert f"Left out: pandas: {join.NO_PEERS}." in join.table(bench)


def test_growth_is_a_table_a_picture_and_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(join_growth, "STEPS", (0.5, 1))
    sizes = ["--labels", "300", "--rows", "3000", "--entities", "20", "--rounds", "1"]
    done = call("bench", "join", "--growth", *sizes, "--out", tmp_path, "--json")
    assert done.code == 0, done.err
    benches = done.json["benches"]
    assert [bench["size"]["rows"] for bench in benches] == [1_500, 3_000]
    figures = [f for bench in benches for f in bench["figures"]]
    assert all((f["wrong"] > 0) == (f["name"] == join.BARE) for f in figures)
    assert json.loads((tmp_path / "join-growth.json").read_text())["benches"] == benches
    table = (tmp_path / "join-growth.md").read_text()
    assert len([line for line in table.splitlines() if line.startswith("| ")]) == 2 + len(figures)
    assert "Time grows with rows to the power of: DuckDB, running maxima: " in table
    picture = ElementTree.parse(tmp_path / "join-growth.svg")
    lines = picture.findall(".//{http://www.w3.org/2000/svg}path[@class]")
    assert len(lines) == 2 * len(join.GROWING)


def test_a_line_of_the_growth_table_rises_by_its_exponent() -> None:
    benches = [_bench(rows, seconds=rows**1.5) for rows in (10, 20, 50)]
    assert "proviso: 1.50" in join_growth.growth_table(benches)


def _bench(rows: int, seconds: float) -> join.Bench:
    figures = (join.Figures(join.OURS, cold=[seconds], cpu=[2 * seconds]),)
    return join.Bench(Size(1, rows, 1), "1GB", figures, (), "nowhere")

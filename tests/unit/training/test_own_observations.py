"""Observations with rows of their own, end to end: what is predicted lies in a table of its own."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml

from feature_runtime.core.moments import DAY, format_moment
from proviso.contracts.loading import load_contract
from proviso.history.oracle import LabelRow, naive_join
from tests.history_data import read_history
from tests.promise_project import END, VIEW, PromiseProject, make, write_sources


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> PromiseProject:
    return make(tmp_path_factory.mktemp("observations"))


def test_the_dataset_is_of_the_questions_and_the_views_are_of_the_other_sources(
    project: PromiseProject,
) -> None:
    history, out = project.folder / "h", project.folder / "dataset.parquet"
    project.call("features", "--out", history)
    start, end = END - 2 * DAY, END
    span = ["--start", format_moment(start), "--end", format_moment(end)]
    project.call("dataset", "--history", history, *span, "--out", out)
    table = pq.read_table(out)
    promises = pq.read_table(project.folder / "promises.parquet")
    at = promises["asked_at"].cast(pa.int64())
    mine = promises.filter(pc.and_(pc.greater_equal(at, start), pc.less(at, end)))
    assert sorted(table["promise_id"].to_pylist()) == sorted(mine["PROMISE"].to_pylist())
    contract = load_contract(project.folder / "contracts")
    for view in contract.feature_views:
        rows = read_history(contract, view, history)
        keys = zip(*(table[key].to_pylist() for key in contract.join_keys(view)), strict=True)
        moments = table["scoring_ts"].cast(pa.int64()).to_pylist()
        labels = [LabelRow(ids, t) for ids, t in zip(keys, moments, strict=True)][::40]
        statuses = table[f"{view.name}__status"].to_pylist()[::40]
        name = view.features[0].name
        values = table[f"{view.name}__{name}"].to_pylist()[::40]
        for found, (winner, status) in zip(
            zip(values, statuses, strict=True), naive_join(view.times, rows, labels), strict=True
        ):
            assert found == (winner.values[0] if winner else None, status.name)


def test_a_model_is_trained_scored_and_certified_on_the_questions(project: PromiseProject) -> None:
    predictions = project.train("release")
    promises = pq.read_table(project.folder / "promises.parquet")
    at = promises["asked_at"].cast(pa.int64())
    mine = promises.filter(pc.and_(pc.greater_equal(at, END - 2 * DAY), pc.less(at, END)))
    assert sorted(predictions["promise_id"].to_pylist()) == sorted(mine["PROMISE"].to_pylist())
    release = project.folder / "release"
    stated = yaml.safe_load((release / "release.yml").read_text())
    assert stated["certificate"]["of_tables"]["compared"].keys() == {VIEW}
    assert stated["certificate"]["test"]["rows"] == mine.num_rows
    history, scored = project.folder / "h", project.folder / "scored.parquet"
    span = ["--start", format_moment(END - 2 * DAY), "--end", format_moment(END)]
    project.call("features", "--out", history)
    project.call("score", "--release", release, "--history", history, *span, "--out", scored)
    again = pq.read_table(scored)
    found = zip(again["promise_id"].to_pylist(), again["probability"].to_pylist(), strict=True)
    served = {one: value for one, value in found if value is not None}
    wanted = zip(*(predictions[n].to_pylist() for n in ("promise_id", "score")), strict=True)
    assert served == {one: value for one, value in wanted if one in served}
    assert len(served) > 50


def test_no_score_depends_on_a_label_that_was_not_known_yet(project: PromiseProject) -> None:
    before = project.train("whole")
    try:
        write_sources(project.folder, cut=END - 2 * DAY)
        after = project.train("cut")
    finally:
        write_sources(project.folder)
    assert after.sort_by("promise_id").equals(before.sort_by("promise_id"))

"""No score depends on what nobody could have known: cutting and blanking it changes nothing.

Trained on made transactions: shops go bad for some days, most labels become known after the
contract's delay, some at a moment of their own; some transactions arrive late.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from feature_runtime.core.moments import DAY, HOUR, MINUTE, parse_moment
from proviso.contracts.base import InputError
from proviso.contracts.contract import Contract
from proviso.contracts.loading import CONTRACT_FILE, load_contract, load_plan
from proviso.history.duckdb.features import compute_history
from proviso.training.data import Project, Request
from proviso.training.metrics import Metrics
from proviso.training.score import score_file
from proviso.training.spec import Boosting, TrainingSpec
from proviso.training.train import PREDICTIONS_FILE, Trained, train
from proviso.training.weeks import Days

CONTRACTS = Path(__file__).parents[2] / "contracts"
FIRST = parse_moment("2026-03-01T00:00:00Z")
DAYS = 40
TEST = Days(FIRST + 33 * DAY, FIRST + 39 * DAY)
TRAIN = Days(FIRST + 19 * DAY, FIRST + 25 * DAY)
NEVER = FIRST + 10_000 * DAY
CUT = TEST.first + 3 * DAY + 7 * HOUR + 11 * MINUTE

Scores = dict[int, float]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("honesty")


@pytest.fixture(scope="module")
def project() -> Project:
    spec = TrainingSpec(boosting=Boosting(trees=30, max_depth=3, min_child_weight=1))
    return Project(load_contract(CONTRACTS), load_plan(CONTRACTS), spec)


@pytest.fixture(scope="module")
def transactions(folder: Path) -> Path:
    """12,000 transactions of 150 customers at 60 merchants, in no order."""
    random = np.random.default_rng(11)
    count = 12_000
    at = FIRST + random.integers(0, DAYS * DAY, count)
    merchant = random.integers(0, 60, count)
    bad = merchant % 12 == 0
    fraud = random.random(count) < np.where(bad, 0.4, 0.005)
    late = np.where(random.random(count) < 0.05, random.integers(0, 3 * HOUR, count), 0)
    stated = random.random(count) < 0.3
    table = pa.table(
        {
            "transaction_id": pa.array(random.permutation(count)),
            "event_ts": pa.array(at, pa.timestamp("us", tz="UTC")),
            "customer_id": [f"C{n}" for n in random.integers(0, 150, count)],
            "merchant_id": [f"M{n}" for n in merchant],
            "amount": pa.array(np.round(random.lognormal(3, 1, count), 2)),
            "is_fraud": pa.array(fraud.astype(np.int8)),
            "arrival_ts": pa.array(at + late, pa.timestamp("us", tz="UTC")),
            "label_ts": pa.array(
                at + random.integers(DAY, 12 * DAY, count),
                pa.timestamp("us", tz="UTC"),
                mask=~stated,
            ),
        }
    )
    path = folder / "transactions.parquet"
    pq.write_table(table, path)
    return path


@dataclass(frozen=True)
class Bench:
    """Trains on variants of one file."""

    project: Project
    folder: Path

    def run(
        self, name: str, transactions: Path, label_delay: int = 7 * DAY, days: Days = TRAIN
    ) -> Trained:
        request = Request(transactions, days, TEST, label_delay)
        return train(self.project, request, self.folder / name, lambda _: None)

    def scores(self, trained: Trained) -> Scores:
        table = pq.read_table(trained.release.directory / PREDICTIONS_FILE)
        return dict(
            zip(table["transaction_id"].to_pylist(), table["score"].to_pylist(), strict=True)
        )


@pytest.fixture(scope="module")
def bench(project: Project, folder: Path) -> Bench:
    return Bench(project, folder)


@pytest.fixture(scope="module")
def trained(bench: Bench, transactions: Path) -> Trained:
    return bench.run("whole", transactions)


def moments(table: pa.Table, column: str) -> np.ndarray:
    return np.asarray(pc.fill_null(table[column].cast(pa.int64()), NEVER))


def known_at(table: pa.Table, contract: Contract) -> np.ndarray:
    """When each label is known: by its own moment, else by the contract's delay."""
    own = moments(table, "label_ts")
    default = moments(table, "event_ts") + contract.observations_of().label.delay
    return np.where(own == NEVER, default, own)


def as_known_at(transactions: Path, contract: Contract, moment: int, out: Path) -> Path:
    """The file as it stood at a moment: later transactions cut, labels not known yet blanked."""
    table = pq.read_table(transactions)
    table = table.filter(pa.array(moments(table, "event_ts") < moment))
    unknown = pa.array(known_at(table, contract) > moment)
    blanked = pc.if_else(unknown, pa.scalar(None, pa.int8()), table["is_fraud"])
    table = table.set_column(table.schema.get_field_index("is_fraud"), "is_fraud", blanked)
    pq.write_table(table, out)
    return out


def test_every_transaction_of_the_test_days_has_a_score(
    bench: Bench, trained: Trained, transactions: Path
) -> None:
    table = pq.read_table(transactions)
    at = moments(table, "event_ts")
    wanted = table.filter(pa.array((at >= TEST.first) & (at < TEST.end)))
    scores = bench.scores(trained)
    assert set(scores) == set(wanted["transaction_id"].to_pylist())
    assert all(0 <= score <= 1 for score in scores.values())


def test_the_model_has_learned_something(trained: Trained) -> None:
    assert trained.metrics.auc is not None
    assert trained.metrics.auc > 0.6


def test_cutting_and_blanking_after_the_test_changes_no_score(
    bench: Bench, trained: Trained, transactions: Path
) -> None:
    variant = as_known_at(
        transactions, bench.project.contract, TEST.end, bench.folder / "at_end.parquet"
    )
    assert bench.scores(bench.run("at_end", variant)) == bench.scores(trained)


def test_cutting_at_any_moment_changes_no_score_before_it(
    bench: Bench, trained: Trained, transactions: Path
) -> None:
    variant = as_known_at(
        transactions, bench.project.contract, CUT, bench.folder / "at_cut.parquet"
    )
    before = bench.scores(trained)
    after = bench.scores(bench.run("at_cut", variant))
    assert 0 < len(after) < len(before)
    assert after == {row: before[row] for row in after}


def test_unknown_labels_are_no_zeros_and_allow_no_figures(
    bench: Bench, trained: Trained, transactions: Path
) -> None:
    table = pq.read_table(transactions)
    in_test = pa.array(moments(table, "event_ts") >= TEST.first)
    blanked = pc.if_else(in_test, pa.scalar(None, pa.int8()), table["is_fraud"])
    table = table.set_column(table.schema.get_field_index("is_fraud"), "is_fraud", blanked)
    path = bench.folder / "unlabelled.parquet"
    pq.write_table(table, path)
    found = bench.run("unlabelled", path)
    assert found.metrics == Metrics(None, None, None, rows=0, positives=0)
    assert found.release.card["metrics"]["beats_baseline"] is None
    assert len(bench.scores(found)) == len(bench.scores(trained))
    assert found.release.digests["model"] == trained.release.digests["model"]


def test_the_label_delay_limits_what_is_trained_on_but_no_feature(
    bench: Bench, trained: Trained, transactions: Path
) -> None:
    """With ten days of delay the labels of the last train days come too late, unless stated."""
    found = bench.run("slow_labels", transactions, label_delay=10 * DAY)
    few, many = found.release.card["rows"]["train"], trained.release.card["rows"]["train"]
    assert few["label_not_known"] > many["label_not_known"]
    assert found.release.digests["service"] == trained.release.digests["service"]
    table = pq.read_table(transactions)
    at, own = moments(table, "event_ts"), moments(table, "label_ts")
    days = (at >= TRAIN.first) & (at < TRAIN.end)
    known = np.where(own == NEVER, at + 10 * DAY, own) <= TEST.first
    assert few["transactions"] - few["label_not_known"] == int((days & known).sum())


def test_batch_scoring_answers_as_the_predictions_do(
    bench: Bench, trained: Trained, transactions: Path
) -> None:
    contract, history = bench.project.contract, bench.folder / "history"
    compute_history(contract, transactions, history, TEST.first - 31 * DAY, TEST.end)
    out = bench.folder / "scores.parquet"
    counts = score_file(
        trained.release, contract, history, transactions, (TEST.first, TEST.end), out
    )
    table, expected = pq.read_table(out), bench.scores(trained)
    assert counts["rows"] == len(expected) == table.num_rows
    threshold = trained.release.service.decision.threshold
    for row in table.select(["transaction_id", "probability", "decision", "rejected"]).to_pylist():
        if row["rejected"]:
            assert (row["probability"], row["decision"]) == (None, "REVIEW")
        else:
            assert row["probability"] == expected[row["transaction_id"]]
            assert row["decision"] == ("REVIEW" if row["probability"] >= threshold else "APPROVE")


def test_batch_scoring_refuses_features_of_another_meaning(
    bench: Bench, trained: Trained, transactions: Path
) -> None:
    text = (CONTRACTS / CONTRACT_FILE).read_text()
    (bench.folder / CONTRACT_FILE).write_text(
        text.replace("population: P365D", "population: P300D")
    )
    changed = load_contract(bench.folder)
    with pytest.raises(InputError) as refused:
        score_file(trained.release, changed, bench.folder, transactions, (0, 1), bench.folder / "x")
    assert {problem.code for problem in refused.value.problems} == {"contract_schema_mismatch"}


def bad_days() -> Iterator[tuple[Days, Days, str, str]]:
    yield Days(TRAIN.last, TRAIN.first), TEST, "--train-end", "days_out_of_order"
    yield TRAIN, Days(TEST.last, TEST.first), "--test-end", "days_out_of_order"
    yield TRAIN, Days(TRAIN.last, TEST.last), "--test-start", "days_overlap"


@pytest.mark.parametrize(("train_days", "test_days", "path", "code"), list(bad_days()))
def test_days_that_overlap_or_run_backwards_are_refused(
    bench: Bench, transactions: Path, train_days: Days, test_days: Days, path: str, code: str
) -> None:
    request = Request(transactions, train_days, test_days, 7 * DAY)
    with pytest.raises(InputError) as refused:
        train(bench.project, request, bench.folder / "never", lambda _: None)
    [problem] = refused.value.problems
    assert (problem.path, problem.code) == (path, code)


def test_train_days_without_a_known_positive_are_refused(bench: Bench, transactions: Path) -> None:
    with pytest.raises(InputError) as refused:
        bench.run("too_early", transactions, label_delay=100 * DAY, days=Days(FIRST, FIRST))
    assert [problem.code for problem in refused.value.problems] == ["training_rows_of_one_class"]

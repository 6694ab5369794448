"""A training set with a value that could not be used is refused; so is history that is wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feature_runtime.core.availability import Row, ViewTimes, availability
from feature_runtime.core.moments import DAY, HOUR, parse_moment
from proviso.contracts.base import ContractError, InputError
from proviso.contracts.contract import Contract
from proviso.contracts.sources import KnownAt
from proviso.history.duckdb.features import compute_history
from proviso.history.duckdb.join import build_dataset
from proviso.history.duckdb.loaded import LoadedTransactions
from proviso.history.files import history_file
from proviso.history.journal import Stamped, open_journal
from proviso.history.values import DatasetSummary
from proviso.release.directory import Release, read_release
from proviso.release.writing import rebind, replace_certificate
from proviso.training import certificate, entity_rows
from proviso.training.certificate import SEED
from proviso.training.certificate_renewal import certify_again, renew
from proviso.training.data import Project, Request, joined_inputs, rows_of, training_data
from proviso.training.dataset_check import CheckedView, DatasetToCheck, Winner, check_dataset
from proviso.training.entity_rows import EntityRows
from proviso.training.spec import Boosting, TrainingSpec
from proviso.training.train import certified, train
from proviso.training.weeks import Days
from tests import parcel_data
from tests.history_data import allowing

END = parse_moment("2026-03-29T00:00:00Z")
VIEW = "courier_load_6h"
SAMPLE = 6
JOIN = LoadedTransactions.build_dataset
Tamper = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True)
class Made:
    """A parcels project, its request, and where releases may go."""

    folder: Path
    project: Project
    request: Request

    @property
    def history(self) -> Path:
        assert self.request.history is not None
        return self.request.history

    def certify(self, **changes: Any) -> dict[str, Any]:
        request = replace(self.request, **changes)
        return certified(self.project, request, self.folder / "release", _quiet)[1]

    def other_history(self, name: str) -> Path:
        """A copy of the history that may be damaged."""
        copy = self.folder / name
        shutil.copytree(self.history, copy)
        return copy


def _quiet(_: str) -> None:
    pass


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    folder = tmp_path_factory.mktemp("certificate")
    parcels = parcel_data.make(folder, END, 40, days=10)
    spec = TrainingSpec(boosting=Boosting(trees=20, max_depth=3))
    request = Request(
        parcels.transactions,
        Days(END - 6 * DAY, END - 4 * DAY),
        Days(END - 2 * DAY, END - DAY),
        parcels.contract.observations_of().label.delay,
        parcels.history,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificate, "SAMPLE", SAMPLE)
        yield Made(folder, Project(parcels.contract, parcels.plan, spec), request)


def test_a_certificate_says_what_was_set_aside(made: Made) -> None:
    assert "quarantine" not in made.certify()
    table = pq.read_table(made.request.transactions)
    path = made.folder / "with_bad_rows.parquet"
    rows = made.project.contract.observations_of().rows
    pq.write_table(pa.concat_tables([table, _unusable(table.slice(0, 3), rows.id)]), path)
    project = replace(made.project, contract=allowing(made.project.contract, 0.05))
    request = replace(made.request, transactions=path)
    found = certified(project, request, made.folder / "release", _quiet)[1]["quarantine"]
    assert found == {
        rows.name: {
            "rows": 3,
            "of": len(table) + 3,
            "share": round(3 / (len(table) + 3), 6),
            "reasons": {f"{rows.id}: source_id_null": 3},
        }
    }


def _unusable(table: pa.Table, column: str) -> pa.Table:
    """Rows without an id."""
    place = table.schema.get_field_index(column)
    return table.set_column(
        place, table.schema.field(column), pa.nulls(len(table), table[column].type)
    )


@pytest.fixture(scope="module")
def release(made: Made) -> Release:
    return train(made.project, made.request, made.folder / "release", _quiet).release


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], None]:
    """Puts another join in the place of training's."""
    return lambda join: monkeypatch.setattr(LoadedTransactions, "build_dataset", join)


def column(table: pa.Table, name: str, change: Callable[[Any], Any], row: int) -> pa.Table:
    """The table with one cell changed."""
    cells = table[name].to_pylist()
    cells[row] = change(cells[row])
    place = table.schema.get_field_index(name)
    return table.set_column(place, table.schema.field(name), pa.array(cells, table[name].type))


def tampering(change: Tamper) -> Callable[..., DatasetSummary]:
    """A join whose dataset is changed after it was written."""

    def join(*arguments: Any, **options: Any) -> DatasetSummary:
        summary = JOIN(*arguments, **options)
        pq.write_table(change(pq.read_table(summary.path)), summary.path)
        return summary

    return join


def an_ok_row(table: pa.Table) -> int:
    """Where the view's value was usable, on the train days."""
    return pc.index(table[f"{VIEW}__status"], "OK").as_py()  # type: ignore[no-any-return]


def test_every_row_of_train_and_test_days_is_judged(release: Release) -> None:
    found, rows = release.parsed["certificate"], release.card["rows"]
    assert found["differences"] == 0
    for days in ("train", "test"):
        assert found[days]["rows"] == rows[days]["transactions"] > 0
        for name, view in found[days]["views"].items():
            assert sum(view["status"].values()) == found[days]["rows"]
            consumed = sum(v == name for v, _ in release.service.consumed)
            assert view["values"] == found[days]["rows"] * consumed
    assert found["recomputed"] == dict.fromkeys(found["train"]["views"], 2 * SAMPLE)
    assert found["digests"]["model"] == release.digests["model"]


def test_the_same_data_gives_the_same_certificate_with_any_history_that_covers_it(
    made: Made, release: Release
) -> None:
    computed = made.certify(history=None)
    kept = release.parsed["certificate"]
    digests = {k: v for k, v in kept["digests"].items() if k != "model"}
    assert computed == {**kept, "digests": digests}


def test_parts_leave_no_trace(
    made: Made, release: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proviso.history.duckdb.loaded._PART", 100)
    assert made.certify()["train"] == release.parsed["certificate"]["train"]


def hasty(contract: Contract) -> Contract:
    """The contract as if every row could be read at its own event time."""
    views = [v.model_copy(update={"source_delay": 0}) for v in contract.feature_views]
    return contract.model_copy(update={"feature_views": views})


def test_a_join_that_looks_ahead_makes_training_fail(
    made: Made, joined: Callable[..., None]
) -> None:
    leaky = made.other_history("leaky")
    for view in made.project.contract.feature_views:
        path = history_file(leaky, view)
        table = pq.read_table(path).replace_schema_metadata(None)
        place = table.schema.get_field_index("created_ts")
        event = table["event_ts"].cast(table["created_ts"].type)
        pq.write_table(table.set_column(place, "created_ts", event), path)

    def join(_: LoadedTransactions, __: Path, *rest: Any, **options: Any) -> DatasetSummary:
        contract, transactions = hasty(made.project.contract), made.request.transactions
        return build_dataset(contract, leaky, transactions, *rest, **options)

    joined(join)
    out = made.folder / "never"
    with pytest.raises(ContractError, match=f"{VIEW}: event_ts differs in") as refused:
        train(made.project, made.request, out, _quiet)
    assert {problem.code for problem in refused.value.problems} == {"training_set_leaks"}
    assert "differences in total" in refused.value.problems[-1].found
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("event_ts", lambda t: t - HOUR, "event_ts differs in 1 rows"),
        ("created_ts", lambda t: t + 1, "created_ts differs in 1 rows"),
        ("status", lambda _: "STALE", "status of deliveries_24h differs in 1 rows"),
        ("deliveries_24h", lambda n: n + 1, "deliveries_24h differs in 1 rows"),
        ("deliveries_24h", lambda _: None, "deliveries_24h differs in 1 rows"),
    ],
)
def test_one_altered_cell_of_the_dataset_is_named(
    made: Made,
    joined: Callable[..., None],
    name: str,
    change: Callable[[Any], Any],
    said: str,
) -> None:
    def tamper(table: pa.Table) -> pa.Table:
        place, full_name = an_ok_row(table), f"{VIEW}__{name}"
        if not name.endswith("_ts"):
            return column(table, full_name, change, place)
        at = table.schema.get_field_index(full_name)
        kept = table[full_name].type
        moments = table.set_column(at, full_name, table[full_name].cast(pa.int64()))
        moved = column(moments, full_name, change, place)
        return moved.set_column(at, full_name, moved[full_name].cast(kept))

    joined(tampering(tamper))
    with pytest.raises(ContractError, match=f"{VIEW}: {said}"):
        made.certify()


def test_a_row_that_is_not_the_transaction_is_refused(
    made: Made, joined: Callable[..., None]
) -> None:
    joined(tampering(lambda table: column(table, "courier_id", lambda k: k + 1, 0)))
    with pytest.raises(ContractError, match="courier_id: found others than those of the obs"):
        made.certify()


def sampled_rows(made: Made, size: int = SAMPLE) -> tuple[Winner, ...]:
    """Rows that the certificate will compute again."""
    with training_data(made.project, made.request, made.folder / "release", _quiet) as data:
        rows = rows_of(made.project, joined_inputs(data, _quiet), made.request.train)
        task = DatasetToCheck(
            made.project, data.transactions, data.history, rows.inputs, made.request.train
        )
        checked = next(iter(check_dataset(task, size, SEED, _quiet)))
    assert isinstance(checked, CheckedView)
    assert checked.view == VIEW
    return checked.sample


def test_a_row_of_many_transactions_is_sampled_once(made: Made) -> None:
    sampled = sampled_rows(made, 10_000)
    distinct = {(winner.ids, winner.row.event_ts, winner.row.created_ts) for winner in sampled}
    assert len(distinct) == len(sampled) > SAMPLE
    assert sampled[:SAMPLE] == sampled_rows(made)


def test_one_altered_value_of_history_is_found_in_the_transactions(made: Made) -> None:
    """Join and rule agree on what history says; only the transactions know better."""
    winner = sampled_rows(made)[0]
    history = made.other_history("altered")
    contract = made.project.contract
    view = contract.view_by_name[VIEW]
    path = history_file(history, view)
    table = pq.read_table(path)
    key = contract.join_keys(view)[0]
    mine = pc.and_(
        pc.equal(table[key], winner.ids[0]),
        pc.equal(table["event_ts"].cast(pa.int64()), winner.row.event_ts),
    )
    place = pc.index(mine, True).as_py()
    pq.write_table(column(table, "deliveries_24h", lambda n: n + 1, place), path)
    with pytest.raises(ContractError, match=f"{VIEW}: the row of") as refused:
        made.certify(history=history)
    assert f"{VIEW}: the row of {winner.ids} at" in str(refused.value)


def known_a_day_later(contract: Contract) -> Contract:
    """The contract of an outcome that is known a day after its event."""
    observed = contract.observations_of()
    label = observed.rows.columns[observed.label.column]
    known_at = KnownAt.model_validate({"delay": "P1D"})
    column = label.model_copy(update={"known_at": known_at})
    columns = {**observed.rows.columns, observed.label.column: column}
    rows = observed.rows.model_copy(update={"columns": columns})
    sources = [rows if one.name == rows.name else one for one in contract.sources]
    return contract.model_copy(update={"sources": sources})


def test_an_outcome_that_counts_before_it_is_known_is_found(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`validate` refuses to count it at its event (label_leak); an edited history is found here.

    The history is right but for the outcome's share, which counts each delivery at once.
    """
    monkeypatch.setattr(certificate, "SAMPLE", 100)
    contract, history = known_a_day_later(made.project.contract), made.folder / "leaking"
    later = replace(made, project=replace(made.project, contract=contract))
    view = contract.view_by_name[VIEW]
    compute_history(contract, made.request.transactions, history)
    later.certify(history=history)
    table, hasty = (pq.read_table(history_file(d, view)) for d in (history, made.history))
    keys = ["event_ts", "created_ts", *contract.join_keys(view)]
    assert table.select(keys).equals(hasty.select(keys))
    place = table.schema.get_field_index("late_share_7d")
    leaking = table.set_column(place, table.schema.field(place), hasty["late_share_7d"])
    pq.write_table(leaking, history_file(history, view))
    with pytest.raises(ContractError, match=f"{VIEW}: the row of") as refused:
        later.certify(history=history)
    assert {problem.code for problem in refused.value.problems} == {"training_set_leaks"}


def test_a_row_published_late_is_judged_by_its_stamp(
    made: Made, joined: Callable[..., None]
) -> None:
    """With the stamp the row may be read later; a join that does not know of it is refused."""
    winner = sampled_rows(made)[0]
    stamped = made.other_history("stamped")
    view = made.project.contract.view_by_name[VIEW]
    row = winner.row
    late = row.created_ts + 12 * HOUR
    stamp = Stamped(winner.ids, row.event_ts, row.created_ts, late, b"key", b"rows")
    with open_journal(made.project.contract, stamped, view) as journal:
        journal.acknowledge(journal.intend("0" * 16, [stamp]), late)
    assert made.certify(history=stamped)["train"] != made.certify()["train"]
    joined(lambda loaded, _, *rest, **options: JOIN(loaded, made.history, *rest, **options))
    with pytest.raises(ContractError, match=f"{VIEW}: event_ts differs in"):
        made.certify(history=stamped)


def test_binding_again_keeps_the_certificate_as_it_was(made: Made, release: Release) -> None:
    plan = made.project.plan
    changed = plan.decision.model_copy(update={"threshold": 0.25})
    copy = made.folder / "rebound"
    shutil.copytree(release.directory, copy)
    again = rebind(copy, made.project.contract, plan.model_copy(update={"decision": changed}))
    assert again.id != release.id
    assert again.parsed["certificate"] == release.parsed["certificate"]
    meaning = certificate.meaning_digest(again.parsed["service"])
    assert meaning == again.parsed["certificate"]["digests"]["contract"]


def test_a_default_of_another_value_is_another_meaning(release: Release) -> None:
    service = release.parsed["service"]
    before = certificate.meaning_digest(service)
    policy = service["views"][0]["features"][0]["policy"]
    approved = {**policy, "approved_by": "somebody@else.example", "expires": None}
    other = {**policy, "kind": "default", "value": 41.0}
    digests = []
    for changed in (approved, other):
        first, *features = service["views"][0]["features"]
        view = {**service["views"][0], "features": [{**first, "policy": changed}, *features]}
        views = [view, *service["views"][1:]]
        digests.append(certificate.meaning_digest({**service, "views": views}))
    assert digests[0] == before != digests[1]


def edited(release: Release, folder: Path, change: Callable[[dict[str, Any]], object]) -> Release:
    """A copy of the release whose certificate somebody edited."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(release.directory, folder)
    copy = read_release(folder)
    found = dict(copy.parsed["certificate"])
    change(found)
    return replace_certificate(copy, found)


def test_certifying_again_names_what_was_edited(made: Made, release: Release) -> None:
    def forge(found: dict[str, Any]) -> None:
        found["train"]["views"][VIEW]["status"]["OK"] += 1

    forged = edited(release, made.folder / "forged", forge)
    again = certify_again(made.project, forged, made.request.transactions, made.history, _quiet)
    [problem] = again.problems
    assert problem.path == f"release.yml: certificate.train.views.{VIEW}.status.OK"
    with pytest.raises(InputError) as refused:
        renew(forged, again)
    assert [problem.code for problem in refused.value.problems] == ["certificate_not_renewable"]


def test_only_a_certificate_by_older_code_is_renewed(made: Made, release: Release) -> None:
    old = edited(release, made.folder / "old", lambda c: c["code"].update(rule="sha256:0"))
    again = certify_again(made.project, old, made.request.transactions, made.history, _quiet)
    assert [p.path for p in again.problems] == ["release.yml: certificate.code.rule"]
    renewed = renew(old, again)
    assert renewed.parsed["certificate"] == release.parsed["certificate"]
    assert renewed.id == release.id


def test_other_transactions_cannot_certify_a_release(made: Made, release: Release) -> None:
    other = made.folder / "other.parquet"
    pq.write_table(pq.read_table(made.request.transactions).slice(1), other)
    with pytest.raises(InputError) as refused:
        certify_again(made.project, release, other, made.history, _quiet)
    assert [problem.code for problem in refused.value.problems] == ["transactions_digest_mismatch"]


MOMENT = st.integers(0, 4)


@settings(max_examples=1_000)
@given(st.lists(st.tuples(MOMENT, MOMENT), max_size=9), st.integers(0, 8), st.integers(0, 1))
def test_what_the_rule_is_not_shown_would_have_changed_nothing(
    pairs: list[tuple[int, int]], t: int, delay: int
) -> None:
    """Also with rows that repeat the times of others, and with many that are not visible yet."""
    ordered = sorted((event, event + late) for event, late in pairs)
    mine = EntityRows(100, [event for event, _ in ordered], [created for _, created in ordered])
    rows = [Row(event, created, (), 100 + i) for i, (event, created) in enumerate(ordered)]
    times = ViewTimes(delay, lookback=3, ttl=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entity_rows, "_NEWEST", 2)
        assert mine.winner_at(times, t) == availability(times, rows, t)

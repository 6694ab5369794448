"""A history that has forgotten an entity goes on as if the entity had never been in its source."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_runtime.core.keys import EntityId
from feature_runtime.core.moments import DAY, HOUR
from proviso.contracts.contract import Contract
from proviso.forget.report import Report
from proviso.forget.run import Places, forget
from proviso.forget.subject import parse_subject
from proviso.history.duckdb.features import compute_history
from proviso.history.duckdb.incremental import update_history
from proviso.history.extent import read_extent
from proviso.history.files import MOMENT, history_file
from proviso.history.journal import open_journal
from proviso.history.segments import segment_path, stamping_directory, stamps_file
from proviso.history.values import Event
from tests.history_data import (
    LABEL,
    ZERO,
    contract,
    ids_for,
    labelled,
    random_events,
    read_history,
    write_transactions,
)
from tests.problems import refused
from tests.stamps import Stamp, record_stamps

LATER = 3 * DAY
CLOCK = ZERO + 5 * DAY


class Shop:
    """Sales of a day with their history; `more` is three days later."""

    def __init__(self, folder: Path, dtype: str = "string", seed: int = 1) -> None:
        self.folder, self.dtype = folder, dtype
        self.contract: Contract = contract(dtype)
        self.who: EntityId = ids_for(dtype, "b", 3)[0]
        self.sales = random_events(seed, dtype, 60)
        self.more = [_later(one) for one in random_events(seed + 100, dtype, 30)]
        self.history = folder / "history"
        self.source = write_transactions(self.sales, dtype, folder / "sales.parquet")
        compute_history(self.contract, self.source, self.history, end=ZERO + DAY)

    @property
    def places(self) -> Places:
        return Places(self.source, self.history)

    def forget(self, places: Places | None = None, *, dry_run: bool = False) -> Report:
        subject = parse_subject(self.contract, f"buyer:{self.who}")
        return forget(self.contract, subject, places or self.places, dry_run=dry_run)

    def without(self, sales: list[Event]) -> list[Event]:
        return [one for one in sales if one.ids["buyer_id"] != self.who]


def _later(one: Event) -> Event:
    known = one.known[LABEL]
    moved = replace(one, event_ts=one.event_ts + LATER, arrival_ts=one.arrival_ts + LATER)
    return moved if known is None else labelled(moved, one.columns[LABEL], known + LATER)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("dtype", ["string", "int64"])
def test_what_is_left_is_the_history_of_the_others(dtype: str, seed: int, tmp_path: Path) -> None:
    """The naive reference: a full run over transactions that never had the entity. Rows of shops
    are published and stay; runs that are not final yet, and later ones, are the full run's."""
    shop = Shop(tmp_path, dtype, seed)
    views = shop.contract.feature_views
    before = {view.name: read_history(shop.contract, view, shop.history) for view in views}
    assert shop.forget().finished
    ends = {
        view.name: read_extent(shop.contract, view, history_file(shop.history, view)).end
        for view in views
    }
    grown = shop.folder / "grown.parquet"
    _appended(shop, grown)
    update_history(shop.contract, grown, shop.history, CLOCK)
    compute_history(shop.contract, grown, shop.folder / "naive", end=CLOCK)
    for view in views:
        kept = read_history(shop.contract, view, shop.history)
        naive = read_history(shop.contract, view, shop.folder / "naive")
        if "buyer" not in view.entities:
            end = ends[view.name]
            naive = [row for row in naive if row.row.event_ts >= end]
            naive += [row for row in before[view.name] if row.row.event_ts < end]
        assert sorted(kept, key=repr) == sorted(naive, key=repr), view.name


def _appended(shop: Shop, out: Path) -> None:
    """What forgetting left of the source, with the next day behind it."""
    left = pq.read_table(shop.source)
    more = pq.read_table(
        write_transactions(shop.without(shop.more), shop.dtype, shop.folder / "more.parquet")
    )
    ids = pa.array(range(1000, 1000 + more.num_rows), pa.int64())
    pq.write_table(pa.concat_tables([left, more.set_column(0, "sale_id", ids)]), out)


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    was = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    planned = shop.forget(dry_run=True)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == was
    done = shop.forget()
    assert planned.removed == done.removed
    assert sum(one.count for one in done.removed if one.place.endswith("sales.parquet")) == len(
        shop.sales
    ) - len(shop.without(shop.sales))
    assert shop.forget().removed == []


@pytest.mark.parametrize("kept", [1, 2, 3, 4])
def test_an_interrupted_call_is_ended_by_the_next(
    kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after some files have taken their places, whichever they are."""
    shop, done = Shop(tmp_path), list[Path]()
    real = Path.replace

    def until_killed(self: Path, target: Path) -> Path:
        if len(done) == kept:
            raise KeyboardInterrupt
        done.append(target)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", until_killed)
    with pytest.raises(KeyboardInterrupt):
        shop.forget()
    monkeypatch.undo()
    assert done
    assert shop.forget().finished
    for view in shop.contract.feature_views:
        rows = read_history(shop.contract, view, shop.history)
        assert not [r for r in rows if "buyer" in view.entities and shop.who in r.ids]
    update_history(shop.contract, shop.source, shop.history, CLOCK)


def test_other_transactions_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    write_transactions(
        [replace(one, columns={**one.columns, "pieces": 5}) for one in shop.sales],
        "string",
        shop.source,
    )
    was = {path: path.read_bytes() for path in shop.history.glob("*.parquet")}
    with refused("transactions_changed"):
        shop.forget()
    assert {path: path.read_bytes() for path in shop.history.glob("*.parquet")} == was


def test_a_history_without_its_transactions_is_refused(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    with refused("option_missing"):
        shop.forget(Places(None, shop.history))


def test_stamps_and_batches_of_a_journal_lose_it(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    view = shop.contract.view_by_name["buyer_stream"]
    others = ids_for("string", "b", 3)[1:]
    stamps = [
        Stamp((who,), ZERO, ZERO + HOUR, ZERO + 2 * HOUR, ZERO) for who in (shop.who, *others)
    ]
    record_stamps(shop.contract, shop.history, view, stamps)
    directory = stamping_directory(shop.history, view)
    directory.mkdir()
    whole = segment_path(directory, 1, "0" * 16, None)
    mixed = segment_path(directory, 2, "0" * 16, ZERO)
    for path, buyers in ((whole, [shop.who]), (mixed, [shop.who, others[0]])):
        table = {
            "buyer_id": pa.array(buyers),
            **{
                name: pa.array([ZERO] * len(buyers), MOMENT)
                for name in ("event_ts", "planned_ts", "created_ts")
            },
            "_schema": pa.array([shop.contract.schema_of(view)] * len(buyers)),
            "_key": pa.array([str(b).encode() for b in buyers]),
            "_blob": pa.array([b"x"] * len(buyers)),
        }
        pq.write_table(pa.table(table), path)
    shop.forget()
    assert not whole.exists()
    assert pq.read_table(mixed)["buyer_id"].to_pylist() == [others[0]]
    assert set(pq.read_table(stamps_file(shop.history, view))["buyer_id"].to_pylist()) == set(
        others
    )


def test_a_live_writer_is_not_disturbed(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    view = shop.contract.view_by_name["buyer_stream"]
    with (
        open_journal(shop.contract, shop.history, view),
        refused("history_writer_active"),
    ):
        shop.forget()
    assert shop.who in pq.read_table(history_file(shop.history, view))["buyer_id"].to_pylist()


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("courier:1", "entity_unknown"),
        ("buyer", "entity_id_invalid"),
        ("buyer:", "entity_id_invalid"),
        ("buyer:" + "x" * 257, "entity_id_invalid"),
    ],
)
def test_an_entity_is_named_as_the_contract_names_it(text: str, code: str) -> None:
    with refused(code):
        parse_subject(contract(), text)


@pytest.mark.parametrize("text", ["buyer:x", "buyer:", f"buyer:{2**63}"])
def test_an_integer_id_is_one(text: str) -> None:
    with refused("entity_id_invalid"):
        parse_subject(contract("int64"), text)


def test_a_timeline_is_known_by_its_key() -> None:
    subject = parse_subject(contract(), "buyer:a|b:7")
    own = [
        b"fs:{buyer:a%7Cb%3A7}:v:0",
        b"fs:{buyer:a%7Cb%3A7|shop:s}:v:0",
        b"fs:{shop:s|buyer:a%7Cb%3A7}:v:0",
    ]
    others = [b"fs:{buyer:a}:v:0", b"fs:watermark:v:0", b"fs:{buyer:a%7Cb%3A77}:v:0", b"other"]
    assert all(map(subject.owns, own))
    assert not any(map(subject.owns, others))

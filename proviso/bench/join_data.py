"""The data of the join bench: transactions and a view's history of any size, and the exact answer.

Nearly every row is published soon after its event; some are late, some stamped before they
happened, some corrected. Made by hashes of row numbers, so equal sizes give equal bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feature_runtime.core.moments import DAY, HOUR, MINUTE, parse_moment
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.loading import load_contract_file
from proviso.history.duckdb.engine import Engine, connect, parquet_rows, write_parquet
from proviso.history.files import history_file

START = parse_moment("2025-06-01T00:00:00Z")
DAYS = 30
DELAY = 10 * MINUTE
LOOKBACK = 7 * DAY
FEATURES = ("f1", "f2", "f3", "f4")
_LATE, _EARLY, _CORRECTED = 0.03, 0.005, 0.01
_STRANGERS = 1.01  # asked about: one entity in a hundred has no row


@dataclass(frozen=True)
class Size:
    """How much of everything."""

    labels: int
    rows: int
    entities: int

    @property
    def text(self) -> str:
        return f"{self.labels:,} labels, {self.rows:,} rows, {self.entities:,} entities"


@dataclass(frozen=True)
class Data:
    """Where the files are."""

    folder: Path

    @property
    def transactions(self) -> Path:
        return self.folder / "transactions.parquet"

    @property
    def history(self) -> Path:
        return self.folder / "history"

    @property
    def rows(self) -> Path:
        return history_file(self.history, view())

    @property
    def available(self) -> Path:
        """The rows with the moment from which each is visible, for contestants without the rule."""
        return self.folder / "available.parquet"

    @property
    def exact(self) -> Path:
        return self.folder / "exact.parquet"


def contract() -> Contract:
    """One view of one entity, published on events."""
    return load_contract_file(Path(__file__).with_name("join.yml"))


def view() -> FeatureView:
    """The contract's only view."""
    return contract().feature_views[0]


def make_data(size: Size, folder: Path) -> Data:
    """Writes transactions and history into `folder`, which is made."""
    data = Data(folder)
    data.history.mkdir(parents=True, exist_ok=True)
    with connect() as engine:
        write_parquet(engine, _transactions(size), data.transactions)
        write_parquet(engine, _history(size), data.rows)
        visible = f"greatest(epoch_us(event_ts) + {DELAY:d}, epoch_us(created_ts))"
        write_parquet(
            engine,
            f"select *, make_timestamptz({visible}) as available_ts from {parquet_rows(data.rows)}",
            data.available,
        )
    return data


def _share(number: str, salt: int) -> str:
    """A number of [0, 1) that depends on a row's number only."""
    return f"((hash({number}, {salt:d}) % 1000000007) / 1000000007)"


def _transactions(size: Size) -> str:
    at = f"{START:d} + ({_share('i', 1)} * {DAYS * DAY:d})::bigint"
    customer = f"({_share('i', 2)} * {size.entities * _STRANGERS:.0f})::bigint"
    return (
        f"select i as id, make_timestamptz({at}) as asked_at, {customer} as customer_id,"
        f" (i % 50 = 0)::tinyint as label, (i % 9973) / 100 as amount"
        f" from range({size.labels:d}) t(i)"
    )


def _history(size: Size) -> str:
    """Rows sorted by event, entity and creation, as `proviso features` writes them."""
    corrections = int(size.rows * _CORRECTED)
    luck = _share("i", 3)
    created = (
        f"case when {luck} < {_LATE} then _event + {DELAY:d} + ({_share('i', 4)}"
        f" * {12 * HOUR:d})::bigint"
        f" when {luck} < {_LATE + _EARLY} then _event - ({_share('i', 4)} * {HOUR:d})::bigint"
        f" else _event + {DELAY:d} + ({_share('i', 4)} * {5 * MINUTE:d})::bigint end"
    )
    event = f"{START:d} + ({_share('i', 5)} * {DAYS * DAY:d})::bigint"
    values = ", ".join(
        f"(hash(i, {7 + number}) % 1000)::bigint as {name}" for number, name in enumerate(FEATURES)
    )
    return (
        f"with made as (select i, i % {size.entities:d} as customer_id, {event} as _event"
        f" from range({size.rows - corrections:d}) t(i)),"
        f" planned as (select *, {created} as _created from made),"
        f" published as (select * from planned union all select i + {size.rows:d}, customer_id,"
        f" _event, _created + 1 + ({_share('i', 6)} * {DAY:d})::bigint from planned"
        f" where i < {corrections:d})"
        f" select customer_id, make_timestamptz(_event) as event_ts,"
        f" make_timestamptz(_created) as created_ts, {values}"
        f" from published order by _event, customer_id, _created"
    )


def exact_answers(engine: Engine, data: Data, out: Path) -> int:
    """Writes the answers as the rule is worded: the greatest of all visible rows in the lookback.

    Every pair of a question and a row of its entity is looked at.
    """
    asked, rows = (parquet_rows(path) for path in (data.transactions, data.rows))
    fields = ", ".join(f"'{name}': {name}" for name in ("event_ts", "created_ts", *FEATURES))
    return write_parquet(
        engine,
        f"with found as (select id, max_by({{{fields}}}, (event_ts, created_ts)) as winner"
        f" from {asked} join {rows} using (customer_id)"
        f" where greatest(epoch_us(event_ts) + {DELAY:d}, epoch_us(created_ts))"
        f" <= epoch_us(asked_at) and epoch_us(event_ts) >= epoch_us(asked_at) - {LOOKBACK:d}"
        f" group by id) select id, winner.* from {asked} left join found using (id)",
        out,
    )


def wrong_answers(engine: Engine, data: Data, out: Path, prefix: str = "") -> int:
    """How many transactions have no row in the answers, or other values than the exact ones."""
    differs = " or ".join(f'a."{prefix}{name}" is distinct from e.{name}' for name in FEATURES)
    found = engine.row(
        f"select count(*) from {parquet_rows(data.exact)} e"
        f" left join {parquet_rows(out)} a using (id) where {differs}"
    )
    return int(found[0])

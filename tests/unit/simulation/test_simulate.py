"""Made-up events: of the contract's form, repeatable, and with what the demonstration needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from feature_runtime.core.moments import DAY
from proviso.contracts.base import ContractError, InputError
from proviso.contracts.contract import Contract
from proviso.contracts.loading import load_contract
from proviso.contracts.starter import write_template
from proviso.history.duckdb.engine import connect
from proviso.history.duckdb.transactions import load_transactions
from proviso.simulation.simulate import simulate, simulate_transactions
from proviso.simulation.spec import load_simulation

EXAMPLE = Path(__file__).parents[3] / "contracts"


@pytest.fixture(scope="module")
def example() -> Contract:
    return load_contract(EXAMPLE)


@pytest.fixture(scope="module")
def ten_weeks(example: Contract, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("simulated") / "transactions.parquet"
    simulate(EXAMPLE, example, out)
    return out


def _ask(path: Path, query: str) -> tuple[Any, ...]:
    with duckdb.connect() as connection:
        connection.execute("set timezone='UTC'")
        connection.execute(f"create view s as select * from read_parquet('{path}')")
        row: tuple[Any, ...] = connection.execute(query).fetchall()[0]
    return row


def test_the_default_has_the_size_that_the_demonstration_needs(ten_weeks: Path) -> None:
    rows, customers, merchants, days = _ask(
        ten_weeks,
        "select count(*), count(distinct customer_id), count(distinct merchant_id),"
        " count(distinct event_ts::date) from s",
    )
    assert rows >= 250_000
    assert customers >= 2_000
    assert merchants >= 4_000
    assert days == 70


def test_fraud_is_rare_and_some_events_are_late(ten_weeks: Path) -> None:
    fraud, late = _ask(
        ten_weeks,
        "select avg(is_fraud), avg((arrival_ts > event_ts + interval 10 minute)::int) from s",
    )
    assert 0.005 <= fraud <= 0.01
    assert 0.02 <= late <= 0.03


def test_frauds_become_known_days_later_and_all_others_after_the_delay(ten_weeks: Path) -> None:
    row = _ask(
        ten_weeks,
        "select min(label_ts - event_ts) filter (is_fraud = 1) >= interval 1 day,"
        " max(label_ts - event_ts) <= interval 7 day,"
        " min(label_ts - event_ts) filter (is_fraud = 0) = interval 7 day from s",
    )
    assert row == (True, True, True)


def test_the_last_week_brings_entities_that_nobody_has_seen(ten_weeks: Path) -> None:
    (unseen,) = _ask(
        ten_weeks,
        "select count(*) from (select event_ts, min(event_ts) over (partition by customer_id) c,"
        " min(event_ts) over (partition by merchant_id) m from s)"
        " where event_ts in (c, m) and event_ts >= timestamptz '2026-05-25'",
    )
    assert unseen >= 40


def test_frauds_are_larger_and_come_in_bursts(ten_weeks: Path) -> None:
    larger, busier = _ask(
        ten_weeks,
        "select avg(amount) filter (is_fraud = 1) > 1.5 * avg(amount) filter (is_fraud = 0),"
        " avg(n) filter (is_fraud = 1) > 1.5 * avg(n) filter (is_fraud = 0) from (select *,"
        " count(*) over (partition by customer_id order by event_ts"
        " range between interval 1 hour preceding and current row) as n from s)",
    )
    assert (larger, busier) == (True, True)


def test_nothing_has_arrived_after_the_end(ten_weeks: Path) -> None:
    assert _ask(
        ten_weeks,
        "select max(arrival_ts) <= timestamptz '2026-06-01',"
        " min(event_ts) >= timestamptz '2026-03-23' from s",
    ) == (True, True)


def test_the_source_loads_by_its_contract(example: Contract, ten_weeks: Path) -> None:
    with connect() as engine:
        loaded = load_transactions(engine, example, ten_weeks)
    assert loaded.rows == loaded.labelled == pq.read_metadata(ten_weeks).num_rows


def test_one_seed_gives_the_same_bytes_and_another_seed_others(
    example: Contract, tmp_path: Path
) -> None:
    made = {}
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        simulate(EXAMPLE, example, tmp_path / name, days=2, seed=seed)
        made[name] = (tmp_path / name).read_bytes()
    assert made["a"] == made["b"] != made["c"]


def test_a_history_may_end_at_any_moment(example: Contract, tmp_path: Path) -> None:
    end = 1_700_000_123_456_789
    done = simulate(EXAMPLE, example, tmp_path / "s.parquet", days=3, end=end)
    assert (done.start, done.end) == (end - 3 * DAY, end)
    first, last = _ask(
        done.path, "select epoch_us(min(event_ts)), epoch_us(max(arrival_ts)) from s"
    )
    assert end - 3 * DAY <= first < end - 2 * DAY
    assert end - DAY < last <= end


def test_another_contract_gets_its_own_columns_and_integer_ids(tmp_path: Path) -> None:
    write_template(tmp_path / "project")
    contract = load_contract(tmp_path / "project")
    simulate(tmp_path / "project", contract, tmp_path / "made.parquet", days=5)
    schema = pq.read_schema(tmp_path / "made.parquet")
    names = "delivery_id set_out_at reported_at courier_id zone_id fee parcels distance_km is_late"
    assert schema.names == names.split()
    assert str(schema.field("courier_id").type) == "int64"
    with connect() as engine:
        assert load_transactions(engine, contract, tmp_path / "made.parquet").rows > 1_000


def test_sizes_are_bounded(example: Contract, tmp_path: Path) -> None:
    spec = load_simulation(EXAMPLE, example)
    many = spec.actor.events_per_day.model_copy(update={"mean": 10_000.0})
    actor = spec.actor.model_copy(update={"events_per_day": many})
    large = spec.model_copy(update={"actor": actor})
    with pytest.raises(InputError) as refused:
        simulate_transactions(example, large, tmp_path / "x")
    [problem] = refused.value.problems
    assert (problem.code, problem.path) == ("simulation_too_large", "--days")
    assert problem.found == "about 1820000000 events"
    with pytest.raises(InputError) as refused:
        simulate(EXAMPLE, example, tmp_path / "x", end=DAY)
    assert [problem.code for problem in refused.value.problems] == ["simulation_before_1970"]


@pytest.mark.parametrize(
    ("found", "changed", "message"),
    [
        ("entity: merchant\n", "entity: shop\n", "wanted ['customer', 'merchant']"),
        ("amount: {kind: amount", "price: {kind: amount", "columns: found ['price'], wanted"),
        ("prefix: C, digits: 5}", "prefix: C, digits: 0}", "actor.ids.digits: found 0"),
        ("column: amount, above", "column: price, above", "[large_amounts].column: found price"),
        ("entity: merchant, per", "entity: shop, per", "[bad_terminals].entity: found shop"),
        (
            "multiply: {amount: 5}",
            "multiply: {price: 5}",
            "[stolen_accounts].multiply: found price",
        ),
        ("lasts: P21D", "lasts: P1M", "ISO 8601"),
        ("days: 70", "days: 70\nweather: rain", "weather: found an unknown key"),
        ("hours: [2,", "hours: [", "hours"),
        (
            "entity: merchant, per_day: 0.5, lasts: P21D",
            "entity: merchant, per_day: 0.5, lasts: P21D, burst: {events: 2, within: PT1H}",
            "[bad_terminals].burst: found merchant, wanted customer",
        ),
    ],
)
def test_a_simulation_that_does_not_fit_is_refused_with_its_place(
    example: Contract, tmp_path: Path, found: str, changed: str, message: str
) -> None:
    text = (EXAMPLE / "simulation.yml").read_text()
    assert found in text
    (tmp_path / "simulation.yml").write_text(text.replace(found, changed))
    with pytest.raises(ContractError) as refused:
        load_simulation(tmp_path, example)
    assert message in str(refused.value)

"""`proviso init --from`: files that validate for many shapes of data, and honest refusals."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import duckdb
import pytest

from proviso.checks.lab import checks
from proviso.contracts.loading import load_contract, load_plan
from proviso.contracts.plan import Plan
from proviso.contracts.sources import EventsSource, ObservedRows, TableSource
from proviso.survey.start import start_project
from proviso.training.spec import load_spec
from tests.problems import refused
from tests.program import Done, call

DAY = 86_400
ROWS = 2_000
AT = f"timestamptz '2024-01-01 00:00+00' + to_seconds(i * {60 * DAY // ROWS})"
PAYMENTS = f"""select 'p' || i as payment_id, {AT} as paid_at, 'c' || i % 40 as customer_id,
    i % 7 as shop_id, round(5 + (i * 37 % 500) / 10, 2) as amount, i % 3 as items,
    (i * 37 % 500) > 400 and i % 2 = 0 as is_fraud from range({ROWS}) as r(i)"""


def write(path: Path, query: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(f"copy ({query}) to '{path}'")
    return path


def without(query: str, column: str) -> str:
    return f"select * exclude ({column}) from ({query})"


def problems(directory: Path) -> list[str]:
    return [problem.code for check in checks(directory) for problem in check.problems]


def test_a_draft_of_payments(tmp_path: Path) -> None:
    data = write(tmp_path / "payments.parquet", PAYMENTS)
    start_project([str(data)], tmp_path / "mine", None)
    assert problems(tmp_path / "mine") == []
    contract, plan = load_contract(tmp_path / "mine"), load_plan(tmp_path / "mine")
    [source, asked] = contract.sources
    assert isinstance(source, EventsSource)
    assert (source.id, source.event_timestamp) == ("payment_id", "paid_at")
    assert isinstance(asked, ObservedRows)
    assert {name: column.dtype for name, column in source.columns.items()} == {
        "is_fraud": "bool",
        "amount": "money",
        "items": "int64",
    }
    assert {entity.name: entity.dtype for entity in contract.entities} == {
        "customer": "string",
        "shop": "int64",
    }
    assert source.location
    assert source.location.path == str(data)
    assert contract.observations_of().label.column == "is_fraud"
    assert asked.name == "payments_asked"
    assert load_spec(tmp_path / "mine", contract, plan).version == 1


def test_a_draft_is_signed_by_nobody(tmp_path: Path) -> None:
    data = write(tmp_path / "payments.parquet", PAYMENTS)
    start_project([str(data)], tmp_path / "mine", None)
    plan: Plan = load_plan(tmp_path / "mine")
    assert plan.unsigned
    assert not list((tmp_path / "mine").glob("*.jsonl"))
    assert not list((tmp_path / "mine").glob("*.csv"))


def test_no_word_of_our_examples_is_in_a_draft(tmp_path: Path) -> None:
    data = write(tmp_path / "rides.parquet", PAYMENTS.replace("payment", "ride"))
    texts = start_project([str(data)], tmp_path / "mine", None).texts
    words = "card|merchant|courier|parcel|deliver|turanmart|chargeback|reschedule|transaction"
    found = {name: re.findall(rf"[^\n]*(?:{words})[^\n]*", text) for name, text in texts.items()}
    assert found == {name: [] for name in texts}


ODD = {
    "a csv file": (
        "odd.csv",
        f"""select i as "Order ID", {AT} as "ORDER TIME", i % 30 as "group", i % 9 as "Größe",
        i % 5 as "select", 'x' || i % 4 as "event_ts", i % 7 = 0 as "Was It: late?",
        null as nothing from range({ROWS}) as r(i)""",
    ),
    "names that would be other yaml": (
        "odd.parquet",
        f"""select i as "{{id}}", {AT} as "at: #", i % 30 as "user: b, c", i % 5 as '"quoted"',
        i % 9 as "- [x", i % 7 = 0 as "late: # QUESTION" from range({ROWS}) as r(i)""",
    ),
    "two columns of one name": (
        "odd.parquet",
        f"""select i as id, {AT} as at, i % 30 as "User", i % 20 as "USER ", i % 5 as "Amount",
        i % 7 as "AMOUNT!", i % 7 = 0 as late from range({ROWS}) as r(i)""",
    ),
    "names that cannot be stated": (
        "odd.parquet",
        f"""select i as id, {AT} as at, i % 30 as user_id, i % 5 as "a\nb: c", i % 9 as {"z" * 300},
        i % 4 as n, i % 7 = 0 as late from range({ROWS}) as r(i)""",
    ),
    "long names": (
        "odd.parquet",
        f"""select i as id, {AT} as at, i % 30 as {"k" * 120}_id, i % 20 as {"k" * 121}_id,
        i % 5 as {"n" * 100}, i % 7 = 0 as {"y" * 100} from range({ROWS}) as r(i)""",
    ),
    "our own names": (
        "odd.parquet",
        f"""select i as score, {AT} as event_ts, 's' || i % 30 as status, i % 20 as label_known_at,
        i % 5 as hour_of_day, i % 7 = 0 as label from range({ROWS}) as r(i)""",
    ),
    "arrivals and a moment of the label": (
        "odd.parquet",
        f"""select i as id, {AT} as happened_at, {AT} + interval 3 hours as reported_at,
        case when i % 9 > 0 then {AT} + interval 2 days end as known_at,
        case when i % 9 > 0 then i % 7 = 0 end as late, i % 30 as user_id, i % 5 as n
        from range({ROWS}) as r(i)""",
    ),
    "four days": (
        "odd.parquet",
        """select i as id, timestamp '2024-01-01' + to_hours(i) as at, i % 5 as user_id,
        i % 3 as n, i % 7 = 0 as late from range(96) as r(i)""",
    ),
    "many columns": (
        "odd.parquet",
        f"""select i as id, {AT} as at, i % 30 as user_id, i % 7 = 0 as late,
        {", ".join(f"(i * {k + 3}) % 11 as n{k}" for k in range(40))}
        from range({ROWS}) as r(i)""",
    ),
}


@pytest.mark.parametrize("shape", ODD)
def test_odd_data_has_a_draft_that_validates(tmp_path: Path, shape: str) -> None:
    name, query = ODD[shape]
    start_project([str(write(tmp_path / name, query))], tmp_path / "mine", None)
    assert problems(tmp_path / "mine") == []
    load_spec(tmp_path / "mine", load_contract(tmp_path / "mine"), load_plan(tmp_path / "mine"))


def test_what_is_not_used_is_said_with_the_reason(tmp_path: Path) -> None:
    query = f"""select *, epoch(paid_at)::bigint // 60 as odometer, null as gap,
        date '2024-01-01' as day, case when is_fraud then 9 else 1 end as verdict
        from ({PAYMENTS})"""
    texts = start_project(
        [str(write(tmp_path / "payments.parquet", query))], tmp_path / "mine", "is_fraud"
    ).texts
    unused = dict(re.findall(r"#   (\w+): (.*)", texts["feature_store_contract.yml"]))
    assert set(unused) == {"odometer", "gap", "day", "verdict"}
    assert "tells the label" in unused["verdict"]
    assert "grows with time" in unused["odometer"]


def test_the_user_names_the_label(tmp_path: Path) -> None:
    query = f"select *, items % 2 as odd from ({PAYMENTS})"
    write(tmp_path / "data" / "payments.parquet", query)
    write(tmp_path / "data" / "other.parquet", PAYMENTS)
    start_project([str(tmp_path / "data")], tmp_path / "mine", "payments.odd")
    observed = load_contract(tmp_path / "mine").observations_of()
    assert (observed.rows.name, observed.label.column) == ("payments", "odd")


REFUSED = {
    "moment_not_found": without(PAYMENTS, "paid_at"),
    "id_not_found": without(PAYMENTS, "payment_id"),
    "label_not_found": without(PAYMENTS, "is_fraud"),
    "key_not_found": f"""select i as id, {AT} as at, i % 7 = 0 as late, (i % 9)::double as n
        from range({ROWS}) as r(i)""",
    "field_not_found": f"""select i as id, {AT} as at, i % 7 = 0 as late, i % 30 as user_id,
        null::double as n from range({ROWS}) as r(i)""",
    "data_too_short": PAYMENTS.replace("to_seconds", "to_milliseconds"),
}


@pytest.mark.parametrize("code", REFUSED)
def test_data_that_cannot_be_drafted_for(tmp_path: Path, code: str) -> None:
    data = write(tmp_path / "payments.parquet", REFUSED[code])
    with refused(code):
        start_project([str(data)], tmp_path / "mine", None)
    assert not (tmp_path / "mine").exists()


def test_labels_that_cannot_be(tmp_path: Path) -> None:
    data = str(write(tmp_path / "payments.parquet", PAYMENTS))
    with refused("label_unknown"):
        start_project([data], tmp_path / "mine", "churned")
    with refused("label_not_binary"):
        start_project([data], tmp_path / "mine", "items")


def test_a_place_that_is_none(tmp_path: Path) -> None:
    with refused("address_not_supported"):
        start_project(["http://example.com/x.csv"], tmp_path / "mine", None)
    with refused("data_format_unknown"):
        start_project(["https://example.com/"], tmp_path / "mine", None)
    assert not (tmp_path / "mine").exists()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    data = write(tmp_path / "mine" / "payments.parquet", PAYMENTS)
    with refused("directory_not_empty"):
        start_project([str(data)], tmp_path / "mine", None)


TICKETS = f"""select i as ticket_id, {AT} as opened_at, 'A' || i * 7 % 90 as account_id,
    ['low', 'normal', 'high'][1 + i % 3] as priority, i % 50 as words,
    case when i % 5 > 0 then i % 9 * 1.5 end as value,
    case when i < {ROWS - 100} then {AT} + interval 20 hours end as closed_at,
    case when i < {ROWS - 100} then i % 60 end as minutes_open,
    case when i < {ROWS - 100} then i % 2 end as reopened_count,
    case when i < {ROWS - 100} then i * 7 % 90 < 30 or i % 11 = 0 end as breached
    from range({ROWS}) as r(i)"""
USAGE = f"""select 'e' || i as event_id, {AT} as at, 'A' || i % 90 as account_id,
    i % 600 / 10 as minutes, ['login', 'export'][1 + i % 2] as feature, i % 4 = 0 as is_mobile
    from range({ROWS}) as r(i)"""
ACCOUNTS = """select 'A' || i % 90 as account,
    timestamp '2023-12-01' + to_days(30 * (i // 90)) as as_of,
    timestamp '2023-12-01 05:00' + to_days(30 * (i // 90)) as loaded_at, i % 7 as seats,
    ['basic', 'team'][1 + i % 2] as plan from range(270) as r(i)"""
NAMES = "select 'A' || i as account_id, i as size from range(90) as r(i)"
WEATHER = f"""select i as reading_id, {AT} as at, 'station' || i % 5 as station, i % 9 as wind
    from range(900) as r(i)"""


def tickets(folder: Path) -> list[str]:
    """Support tickets, what accounts did and were, and two tables that do not fit."""
    rows = {"tickets.csv": TICKETS, "usage.parquet": USAGE, "accounts.csv": ACCOUNTS}
    rows |= {"names.csv": NAMES, "weather.parquet": WEATHER}
    return [str(write(folder / name, query)) for name, query in rows.items()]


def test_several_tables_become_sources_that_share_keys(tmp_path: Path) -> None:
    started = start_project(tickets(tmp_path), tmp_path / "mine", None)
    assert problems(tmp_path / "mine") == []
    contract = load_contract(tmp_path / "mine")
    asked, usage, accounts, _ = contract.sources
    assert isinstance(asked, EventsSource)
    assert isinstance(usage, EventsSource)
    assert isinstance(accounts, TableSource)
    assert contract.observations_of().label.column == "breached"
    assert contract.observations_of().label.known_at == "closed_at"
    assert [entity.name for entity in contract.entities] == ["account"]
    assert (accounts.event_timestamp, accounts.created_timestamp) == ("as_of", "loaded_at")
    assert accounts.keys == {"account": "account"}
    assert {view.source for view in contract.feature_views} == {"tickets", "usage", "accounts"}
    assert started.decided[0] == f"predicts breached of tickets, {ROWS:,} rows"
    left_out = " ".join(started.decided)
    assert "leaves out names: it has no timestamp" in left_out
    assert "leaves out weather: no key in common" in left_out


def test_texts_are_encoded_and_what_may_be_missing_may_be_null(tmp_path: Path) -> None:
    start_project(tickets(tmp_path), tmp_path / "mine", None)
    contract = load_contract(tmp_path / "mine")
    [service] = contract.feature_services
    assert set(service.encodings) == {
        "priority",
        "account_tickets:usual_priority_7d",
        "account_usage:usual_feature_7d",
        "accounts_values:plan",
    }
    source = contract.source_by_name["tickets"]
    assert isinstance(source, EventsSource)
    assert source.columns["value"].nullable
    assert "value" in service.fields


def test_what_is_known_later_is_no_field(tmp_path: Path) -> None:
    texts = start_project(tickets(tmp_path), tmp_path / "mine", None).texts
    contract = load_contract(tmp_path / "mine")
    assert contract.feature_services[0].fields == ["priority", "words", "value"]
    source = contract.source_by_name["tickets"]
    assert isinstance(source, EventsSource)
    assert set(source.late_columns) == {"breached", "minutes_open", "reopened_count"}
    aggregates = {a.name: a.dated for v in contract.feature_views for a in v.aggregates}
    assert aggregates["mean_minutes_open_7d"] == "known"
    query = f"select * exclude (closed_at), ticket_id % 3 as delay from ({TICKETS})"
    start_project([str(write(tmp_path / "late.parquet", query))], tmp_path / "more", "breached")
    text = (tmp_path / "more" / "feature_store_contract.yml").read_text()
    unused = dict(re.findall(r"#   (\w+): (.*)", text))
    assert "null in the latest rows" in unused["minutes_open"]
    assert "called like an outcome" in unused["delay"]
    assert "QUESTION" in unused["delay"]
    assert "QUESTION" in texts["feature_store_contract.yml"]


def test_a_label_that_later_rows_lack_is_known_after_as_long(tmp_path: Path) -> None:
    query = f"select * exclude (closed_at, minutes_open, reopened_count) from ({TICKETS})"
    start_project([str(write(tmp_path / "late.parquet", query))], tmp_path / "mine", None)
    label = load_contract(tmp_path / "mine").observations_of().label
    assert label.delay == 3 * DAY * 1_000_000
    readme = (tmp_path / "mine" / "README.md").read_text()
    assert "--label-delay P3D" in readme
    assert "--test-end 2024-02-26" in readme


def test_a_prediction_is_kept_until_its_label_is_known(tmp_path: Path) -> None:
    query = f"select * exclude (closed_at, minutes_open, reopened_count) from ({TICKETS})"
    rare = (
        f"select * replace (case when ticket_id < 800 then breached end as breached) from ({query})"
    )
    start_project([str(write(tmp_path / "late.parquet", rare))], tmp_path / "mine", None)
    assert problems(tmp_path / "mine") == []
    delay = load_contract(tmp_path / "mine").observations_of().label.delay
    assert delay > 30 * DAY * 1_000_000


def test_the_location_is_the_data_itself(tmp_path: Path) -> None:
    data = write(tmp_path / "payments.csv", PAYMENTS)
    start_project([str(data)], tmp_path / "mine", None)
    source = load_contract(tmp_path / "mine").source_by_name["payments"]
    assert isinstance(source, EventsSource)
    assert source.location
    assert source.location.path == str(data)
    assert not (tmp_path / "mine" / "data").exists()


def proviso_lines(readme: Path) -> list[list[str]]:
    """The commands of a README but those that start a stack."""
    joined = readme.read_text().replace("\\\n", " ")
    lines = re.findall(r"^    proviso (.*)$", joined, re.MULTILINE)
    return [shlex.split(line) for line in lines if "local" not in line]


def test_the_commands_of_the_readme_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    places = [word for place in tickets(tmp_path) for word in ("--from", place)]
    assert call("init", "mine", *places).code == 0
    training = tmp_path / "mine" / "training.yml"
    training.write_text(training.read_text().replace("trees: 200", "trees: 20"))
    commands = proviso_lines(tmp_path / "mine" / "README.md")
    assert [line[2] for line in commands] == ["validate", "features", "train", "gate"]
    done: list[Done] = [call(*line) for line in commands]
    assert [one.code for one in done[:3]] == [0, 0, 0], [one.err for one in done]
    assert (done[3].code, "PASS register" in done[3].out) == (0, True), done[3].out


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = call("init", tmp_path / "mine", "--from", "absent.csv", "--dry-run")
    assert (done.code, done.out.count("would write")) == (0, 4)
    assert not (tmp_path / "mine").exists()

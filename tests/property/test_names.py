"""Whatever the names of a contract, they are refused by a code or change nothing but names.

The names are words of the history room's own source, where every name of ours stands, and words of
SQL and of the files that are written.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import proviso.history
from feature_runtime.core.moments import DAY, HOUR
from proviso.contracts.contract import Contract, Scheduled
from proviso.contracts.definitions import feature_scalar
from proviso.contracts.loading import load_plan
from proviso.contracts.section import runtime_service
from proviso.contracts.sql import SqlError, parse_scalar
from proviso.contracts.validation.contract import contract_problems
from proviso.history.arrays import read_inputs
from proviso.history.engines import history_engine
from proviso.history.values import Horizon, SampleRequest
from tests.history_data import ZERO, contract, random_events, write_transactions

ROOM = Path(str(proviso.history.__file__)).parent
PLAN = load_plan(Path("contracts")).model_copy(update={"service": "returns_v1"})
TODAY = date(2026, 1, 1)
SALES = random_events(3, "string", 40)


def sql_words() -> set[str]:
    """The words of the texts in the room's source: of its SQL, and some of messages."""
    texts = [
        node.value
        for path in ROOM.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value
    ]
    return {word for text in texts for word in re.findall(r"(?<!_)\b[a-z][a-z0-9_]*\b", text)}


_FILES = """rowid filename file_row_number score rejected label label_known_at scoring_ts event_ts
    created_ts planned_ts acknowledged_ts status scored_at probability release decision"""
WORDS = sorted(sql_words() | set(_FILES.split()))
_ONCE_OURS = """t e g s w v r event_us created_us visible_us planned_us acknowledged_us events
    label_rows entities states past pending seen nulls stale expired fresh held newest readable
    writable candidates repeated found suspected used cases placed digests"""
ONCE_OURS = _ONCE_OURS.split()
_SOURCE = "sale_id sold_at heard_at was_returned returned_at price pieces weight is_gift"
_KEYS_AND_VIEWS = "buyer_id shop_id buyer_hourly shop_daily buyer_at_shop buyer_stream"
_AGGREGATES = """sales_1h gifts_3h minor_3h square_3h count_3h returned bad judged visits last_hour
    minor_2h returns_3h"""
_FEATURES = "spent_3h deviation_3h big_spender return_share spent_2h hour_of_day"
OF_SQL = {*_SOURCE.split()[3:], *_AGGREGATES.split()}
NAMES = f"{_SOURCE} {_KEYS_AND_VIEWS} {_AGGREGATES} {_FEATURES}".split()
END = ZERO + DAY


def renamed(data: Any, named: Mapping[str, str]) -> Any:
    """A contract's data with other names, also within SQL and references."""
    if isinstance(data, dict):
        return {
            named.get(key, key): value if key == "function" else renamed(value, named)
            for key, value in data.items()
        }
    if isinstance(data, list):
        return [renamed(item, named) for item in data]
    if isinstance(data, str):
        return re.sub(r"[a-z][a-z0-9_]*", lambda word: named.get(word[0], word[0]), data)
    return data


def owner(named: Mapping[str, str]) -> Contract:
    return Contract.model_validate(renamed(contract().model_dump(mode="json"), named))


CODES = {
    "known_at_column_early",
    "known_at_not_timestamp",
    "name_repeated",
    "name_taken",
    "sql_missing",
    "sql_not_allowed",
    "sql_type_mismatch",
}


def refused_words(named: Mapping[str, str]) -> set[str]:
    """The words of what is refused as names; other problems the plain contract has too."""
    problems = [p for p in contract_problems(owner(named), TODAY) if p.code in CODES]
    return {
        word for p in problems for word in re.findall(r"[a-z][a-z0-9_]*", f"{p.found} {p.path}")
    }


def accepted(named: Mapping[str, str]) -> dict[str, str]:
    """The names that are accepted together, once the refused ones are as before."""
    kept = dict(named)
    while words := refused_words(kept) & set(kept.values()):
        kept = {name: word for name, word in kept.items() if word not in words}
    assert not refused_words(kept)
    return kept


def column(name: str, named: Mapping[str, str]) -> str:
    """A column of a file under other names, also `view__feature`."""
    return "__".join(named.get(part, part) for part in name.split("__"))


Found = list[tuple[str, Any]]


def everything(mine: Contract, named: Mapping[str, str], work: Path) -> Iterator[tuple[str, Found]]:
    """What the history room makes of the sales: of each operation its columns, in order."""
    engine = history_engine()
    plain = write_transactions(SALES, "string", work / "plain.parquet")
    table = pq.read_table(plain)
    source = work / "sales.parquet"
    pq.write_table(table.rename_columns([column(n, named) for n in table.column_names]), source)
    engine.compute_history(mine, source, work / "whole", ZERO - DAY, END)
    for moment in (ZERO, END):
        engine.update_history(mine, source, work / "grown", moment)
    engine.backfill_history(mine, source, work / "grown", ZERO - DAY, END, END + HOUR)
    for place in ("whole", "grown"):
        for view in mine.feature_views:
            yield f"{place} {view.name}", _columns(work / place / f"{view.name}.parquet")
    engine.build_dataset(mine, work / "grown", source, ZERO - DAY, END, work / "dataset.parquet")
    yield "dataset", _columns(work / "dataset.parquet")
    service = runtime_service(mine, PLAN)
    inputs = read_inputs(work / "dataset.parquet", mine, service)
    yield "inputs", [("values", inputs.values.tolist()), ("labels", inputs.labels.tolist())]
    for view in mine.feature_views:
        yield from _reads(mine, view.name, work)
    with engine.open_transactions(mine, source) as loaded:
        for view in mine.feature_views:
            history = loaded.entity_history(work / "grown", view, ZERO - DAY, END)
            parts = [part.table for part in history.parts]
            yield view.name, [(n, parts[0][n].to_pylist()) for n in parts[0].column_names]
        keys = [entity.join_key for entity in mine.entities]
        newest = loaded.newest(9, keys, service.fields)
        known = loaded.labels_known(ZERO - DAY, END, HOUR, END).tolist()
        yield "loaded", [("newest", newest), ("known", known)]
    yield "sent", [("rows", [list(row.values()) for row in _sent(mine, source)])]


def _sent(mine: Contract, source: Path) -> Iterator[dict[str, Any]]:
    for rows in history_engine().by_arrival(mine, source, 16):
        yield from rows


def _reads(mine: Contract, name: str, work: Path) -> Iterator[tuple[str, Found]]:
    engine, view, history = history_engine(), mine.view_by_name[name], work / "grown"
    nulls = [feature.name for feature in view.features]
    sample = engine.sample_entities(mine, history, view, SampleRequest(ZERO, 5, 1, nulls))
    figures = engine.view_statistics(mine, history, view)
    with engine.writable_rows(mine, history, view, Horizon(ZERO, HOUR)) as (count, rows):
        written = [count, *rows]
    entities = [
        sorted(found(mine, history, view, ZERO))
        for found in (engine.live_entities, engine.visible_entities)
    ]
    yield name, [("sample", sample), ("written", written), ("entities", entities)]
    yield name, [("statistics", None if figures is None else list(figures.features.values()))]
    if not isinstance(view.publication, Scheduled):
        with engine.open_arrivals(mine, [view], "1GB") as arriving:
            arriving.take(work / "sales.parquet", fresh=True)
            yield name, [("arriving", list(arriving.rows(view)))]


def _columns(path: Path) -> Found:
    table = pq.read_table(path)
    return [(name, table[name].to_pylist()) for name in table.column_names]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Sequence[tuple[str, Found]]:
    return list(everything(contract(), {}, tmp_path_factory.mktemp("plain")))


def compare(plain: Sequence[tuple[str, Found]], named: Mapping[str, str]) -> None:
    with TemporaryDirectory() as work:
        found = list(everything(owner(named), named, Path(work)))
    for (name, wanted), (_, columns) in zip(plain, found, strict=True):
        assert [n for n, _ in columns] == [column(n, named) for n, _ in wanted], name
        assert repr([c for _, c in columns]) == repr([c for _, c in wanted]), name


def usable(name: str, word: str) -> bool:
    """Whether SQL reads a word as a name, where the name stands in SQL."""
    try:
        return name not in OF_SQL or parse_scalar(word, {word: "int"}).columns == {word}
    except SqlError:
        return False


def named_by(words: Sequence[str]) -> dict[str, str]:
    """The contract's names, each with a word in its place, as far as SQL lets it."""
    pairs = zip(NAMES, words, strict=False)
    return {n: w for n, w in pairs if usable(n, w) and w not in NAMES}


@settings(max_examples=3)
@given(words=st.lists(st.sampled_from(WORDS), min_size=len(NAMES), max_size=len(NAMES)))
def test_words_of_our_own_sql_are_names_like_any_other(
    plain: Sequence[tuple[str, Found]], words: list[str]
) -> None:
    compare(plain, accepted(named_by(words)))


@pytest.mark.long
@settings(max_examples=100)
@given(words=st.lists(st.sampled_from(WORDS), min_size=len(NAMES), max_size=len(NAMES)))
def test_words_of_our_own_sql_are_names_like_any_other_often(
    plain: Sequence[tuple[str, Found]], words: list[str]
) -> None:
    compare(plain, accepted(named_by(words)))


@pytest.mark.parametrize("turn", range(0, len(ONCE_OURS), 12))
def test_names_that_queries_once_had_are_names_like_any_other(
    plain: Sequence[tuple[str, Found]], turn: int
) -> None:
    compare(plain, accepted(named_by(ONCE_OURS[turn:] + ONCE_OURS[:turn])))


@pytest.mark.parametrize("word", ["null", "true", "select", "case"])
def test_a_feature_without_sql_is_the_aggregate_of_its_name_whatever_sql_makes_of_it(
    word: str,
) -> None:
    named = owner({"sales_1h": word})
    view = named.view_by_name["buyer_hourly"]
    assert feature_scalar(named, view, view.features[0]).columns == {word}


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("price", "label"),
        ("price", "scoring_ts"),
        ("price", "event_ts"),
        ("price", "rowid"),
        ("sale_id", "shop_daily__status"),
        ("buyer_id", "label_known_at"),
        ("buyer_id", "created_ts"),
        ("buyer_id", "planned_ts"),
        ("sale_id", "label"),
        ("sale_id", "rejected"),
        ("sale_id", "probability"),
        ("spent_3h", "event_ts"),
        ("spent_3h", "status"),
        ("spent_3h", "file_row_number"),
        ("spent_3h", "buyer_id"),
        ("spent_3h", "sales_1h__status"),
        ("hour_of_day", "pieces"),
        ("hour_of_day", "shop_daily__event_ts"),
    ],
)
def test_a_name_that_a_written_column_has_is_refused_once(name: str, word: str) -> None:
    problems = [p for p in contract_problems(owner({name: word}), TODAY) if p.code in CODES]
    assert [(p.code, p.found) for p in problems] == [("name_taken", word)]


@pytest.mark.parametrize(
    ("name", "word"),
    [("was_returned", "label"), ("returned_at", "label_known_at"), ("sold_at", "event_ts")],
)
def test_the_name_of_the_very_same_column_is_accepted(
    plain: Sequence[tuple[str, Found]], name: str, word: str
) -> None:
    assert accepted({name: word}) == {name: word}
    compare(plain, {name: word})

"""The engine is picked by name; what is loaded once gives what is loaded each time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_runtime.core.moments import HOUR
from proviso.history import engines
from proviso.history.engines import history_engine
from proviso.history.files import MOMENT
from tests.history_data import ZERO, contract, event, read_rows, write_transactions
from tests.problems import refused

SALES = [
    event(f"b{hour % 3}", "s0", ZERO + hour * HOUR, late=HOUR // 3, price=hour * 100)
    for hour in range(1, 30)
]
SPAN = (ZERO + 5 * HOUR, ZERO + 20 * HOUR)


def test_an_unknown_engine_is_refused_with_those_there_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(engines.VARIABLE, "spark")
    with refused("history_engine_unknown") as problems:
        history_engine()
    assert (problems[0].found, problems[0].wanted) == ("spark", "one of duckdb")


def test_a_registered_engine_is_used_by_every_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    other = SimpleNamespace()
    monkeypatch.setattr(engines, "import_module", lambda name: {"a.spark": other}[name])
    monkeypatch.setitem(engines.ENGINES, "spark", "a.spark")
    monkeypatch.setenv(engines.VARIABLE, "spark")
    assert history_engine() is other


def test_one_load_gives_the_history_and_datasets_of_many(tmp_path: Path) -> None:
    owner, engine = contract(), history_engine()
    source = write_transactions(SALES, "string", tmp_path / "sales.parquet")
    once, each = tmp_path / "once", tmp_path / "each"
    spans = (SPAN, (ZERO, ZERO + 3 * HOUR), SPAN)
    with engine.open_transactions(owner, source) as loaded:
        assert loaded.summary.rows == len(SALES)
        loaded.compute_history(once)
        for number, (start, end) in enumerate(spans):
            loaded.build_dataset(once, start, end, once / f"dataset{number}")
            loaded.compute_history(once / f"again{number}", views=["buyer_hourly"])
    engine.compute_history(owner, source, each)
    for number, (start, end) in enumerate(spans):
        engine.build_dataset(owner, each, source, start, end, each / f"dataset{number}")
        engine.compute_history(owner, source, each / f"again{number}", views=["buyer_hourly"])
    files = sorted(p.relative_to(each) for p in each.rglob("*") if p.is_file())
    assert len(files) == len(owner.feature_views) + 2 * len(spans)
    for file in files:
        assert read_rows(once / file) == read_rows(each / file), file


def test_labels_are_known_by_their_own_moment_or_after_another_delay(tmp_path: Path) -> None:
    sales = [
        event("b0", "s0", ZERO, label=True),
        event("b1", "s0", ZERO + HOUR, label=True, known=ZERO + 2 * HOUR),
        event("b2", "s0", ZERO + 2 * HOUR, label=None),
    ]
    source = write_transactions(sales, "string", tmp_path / "sales.parquet")
    own = pq.read_table(source)
    moments = pa.array([None, ZERO + 2 * HOUR, None], MOMENT)
    place = own.schema.get_field_index("returned_at")
    pq.write_table(own.set_column(place, "returned_at", moments), source)
    with history_engine().open_transactions(contract(), source) as loaded:
        known = [
            loaded.labels_known(ZERO, ZERO + 3 * HOUR, delay, ZERO + 2 * HOUR).tolist()
            for delay in (2 * HOUR, 2 * HOUR + 1)
        ]
    assert known == [[True, True, False], [False, True, False]]

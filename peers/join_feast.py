"""Feast's DuckDB offline store, as near as its settings come: rows that were not there yet are
left out by a created timestamp, which is made beforehand (`available.parquet`), and by its TTL.
"""

from __future__ import annotations

import os
import tempfile
from datetime import timedelta
from pathlib import Path

os.environ["FEAST_USAGE"] = "False"

import pandas as pd
from answers import FEATURES, FOLDER, OUT, TRANSACTIONS, run
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.infra.offline_stores.duckdb import DuckDBOfflineStoreConfig
from feast.types import Int64
from feast.value_type import ValueType


def prepare() -> FeatureStore:
    """A store with one view, registered."""
    folder = Path(tempfile.mkdtemp())
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64)
    view = FeatureView(
        name="activity",
        entities=[customer],
        ttl=timedelta(days=7),
        schema=[Field(name=name, dtype=Int64) for name in FEATURES],
        source=FileSource(
            path=str((FOLDER / "available.parquet").resolve()),
            timestamp_field="event_ts",
            created_timestamp_column="available_ts",
        ),
    )
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry=str(folder / "registry.db"),
            offline_store=DuckDBOfflineStoreConfig(type="duckdb"),
            entity_key_serialization_version=3,
        )
    )
    store.apply([customer, view])
    return store


def answer(store: FeatureStore) -> None:
    """Its training join."""
    asked = pd.read_parquet(TRANSACTIONS, columns=["id", "customer_id", "asked_at"])
    found = store.get_historical_features(
        entity_df=asked.rename(columns={"asked_at": "event_timestamp"}),
        features=[f"activity:{name}" for name in FEATURES],
        filter_by_created_timestamp=True,
    ).to_df()
    found[["id", *FEATURES]].to_parquet(OUT, compression="zstd", compression_level=1, index=False)


if __name__ == "__main__":
    run(prepare, answer, warm=False)

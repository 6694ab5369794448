"""polars, exact: rows that are visible before every greater one, then one ASOF join."""

from __future__ import annotations

import polars as pl
from answers import DELAY, FEATURES, LOOKBACK, OUT, ROWS, TRANSACTIONS, run


def prepare() -> pl.DataFrame:
    """The rows that can win, in order of their visibility."""
    order = ["customer_id", "event_us", "created_us"]
    visible = pl.max_horizontal(pl.col("event_us") + DELAY, "created_us")
    sooner = pl.col("visible").cum_min().shift(1).over("customer_id")
    return (
        pl.scan_parquet(ROWS)
        .with_columns(
            event_us=pl.col("event_ts").dt.epoch("us"),
            created_us=pl.col("created_ts").dt.epoch("us"),
        )
        .with_columns(visible=visible)
        .sort(order, descending=[False, True, True])
        .filter((pl.col("visible") < sooner).fill_null(True))
        .select("customer_id", "visible", "event_us", *FEATURES)
        .sort("visible")
        .collect()
    )


def answer(rows: pl.DataFrame) -> None:
    """The last of them that is visible at each moment, unless it is too old."""
    asked = pl.scan_parquet(TRANSACTIONS).select(
        "id", "customer_id", asked_us=pl.col("asked_at").dt.epoch("us")
    )
    usable = pl.col("event_us") >= pl.col("asked_us") - LOOKBACK
    (
        asked.sort("asked_us")
        .join_asof(
            rows.lazy(),
            left_on="asked_us",
            right_on="visible",
            by="customer_id",
            check_sortedness=False,
        )
        .select("id", *(pl.when(usable).then(pl.col(name)).alias(name) for name in FEATURES))
        .collect()
        .write_parquet(OUT, compression="zstd", compression_level=1)
    )


if __name__ == "__main__":
    run(prepare, answer)

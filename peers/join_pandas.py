"""pandas, exact: rows that are visible before every greater one, then merge_asof."""

from __future__ import annotations

import numpy as np
import pandas as pd
from answers import DELAY, FEATURES, LOOKBACK, OUT, ROWS, TRANSACTIONS, run


def prepare() -> pd.DataFrame:
    """The rows that can win, in order of their visibility."""
    rows = pd.read_parquet(ROWS)
    event, created = (rows[name].astype("int64") for name in ("event_ts", "created_ts"))
    rows["event_us"], rows["created_us"] = event, created
    rows["visible"] = np.maximum(event + DELAY, created)
    order = ["customer_id", "event_us", "created_us"]
    rows = rows.sort_values(order, ascending=[True, False, False], kind="stable")
    sooner = rows.groupby("customer_id", sort=False)["visible"].cummin()
    sooner = sooner.groupby(rows["customer_id"], sort=False).shift(1)
    can_win = sooner.isna() | (rows["visible"] < sooner)
    columns = ["customer_id", "visible", "event_us", *FEATURES]
    return rows.loc[can_win, columns].sort_values("visible")


def answer(rows: pd.DataFrame) -> None:
    """The last of them that is visible at each moment, unless it is too old."""
    asked = pd.read_parquet(TRANSACTIONS, columns=["id", "customer_id", "asked_at"])
    asked["asked_us"] = asked["asked_at"].astype("int64")
    found = pd.merge_asof(
        asked.sort_values("asked_us"),
        rows,
        left_on="asked_us",
        right_on="visible",
        by="customer_id",
    )
    usable = found["event_us"] >= found["asked_us"] - LOOKBACK
    found[FEATURES] = found[FEATURES].where(usable)
    found[["id", *FEATURES]].to_parquet(OUT, compression="zstd", compression_level=1, index=False)


if __name__ == "__main__":
    run(prepare, answer)

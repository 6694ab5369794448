"""Where the Handbook's transactions are; tests that need them are skipped without."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parents[1]


HANDBOOK = Path(
    os.environ.get(
        "PROVISO_HANDBOOK", ROOT.parent / "shared/data/handbook_transactions_2018q2.parquet"
    )
)

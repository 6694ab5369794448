"""In how many rows do two datasets differ, column by column?

python docs/lab/compare.py ONE.parquet OTHER.parquet
"""

from __future__ import annotations

import sys

import pyarrow.parquet as pq


def main(one: str, other: str) -> None:
    left, right = pq.read_table(one), pq.read_table(other)
    for name in left.column_names:
        pairs = zip(left[name].to_pylist(), right[name].to_pylist(), strict=True)
        if changed := sum(a != b for a, b in pairs):
            print(f"{name}: {changed} of {len(left)}")


if __name__ == "__main__":
    main(*sys.argv[1:])

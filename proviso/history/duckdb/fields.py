"""Columns of the loaded observations as request fields, in SQL."""

from __future__ import annotations

from proviso.contracts.sources import Column


def field_value(value: str, column: Column) -> str:
    """A column's value as a dataset has it: numbers and truth values as doubles (money in major
    units), strings as they are, moments as timestamps."""
    if column.dtype == "string":
        return value
    if column.dtype == "timestamp":
        return f"make_timestamptz({value})"
    return f"{value}::double / {10**column.scale}"

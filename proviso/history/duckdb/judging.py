"""Rows that a stream's messages state, judged and converted as a file's rows are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa

from proviso.contracts.contract import Contract
from proviso.history.duckdb.columns import SourceColumn
from proviso.history.duckdb.engine import Engine, quoted
from proviso.history.duckdb.quarantine import content, reasons_of
from proviso.history.duckdb.source import (
    ARRIVAL,
    EVENT,
    columns_of,
    known_moments,
    said_of,
)
from proviso.history.values import JudgedRow

_MESSAGES = "_messages"


def judge(
    engine: Engine, contract: Contract, messages: Sequence[Mapping[str, str]]
) -> list[JudgedRow]:
    """The rows of messages, in their order. An absent field is null, as is an empty one that is
    not of a string column."""
    rows = contract.observations_of().rows
    columns = [replace(c, type="VARCHAR", text=True) for c in columns_of(contract, rows)]
    texts = {c.place: pa.array([_stated(c, m) for m in messages], pa.string()) for c in columns}
    engine.lend(_MESSAGES, pa.table({**texts, "_proviso_number": pa.array(range(len(messages)))}))
    values = ", ".join(f"{column.value} as {quoted(column.name)}" for column in columns)
    names = [column.name for column in columns]
    made = f"select _proviso_number, {reasons_of(columns)} as _reasons, {values} from {_MESSAGES}"
    known = known_moments(rows, lambda n: quoted(n) if n in names else "null::bigint")
    engine.execute(
        f"select *, {content(said_of(rows, columns))} from (select *{known} from ({made}))"
        f" order by _proviso_number"
    )
    keys = contract.key_columns(rows)
    judged = []
    for _, reasons, *cells, said in engine.fetchall():
        found = dict(zip(names, cells, strict=False))
        judged.append(
            JudgedRow(
                str(found[rows.id]),
                found[EVENT],
                found.get(ARRIVAL),
                {key: found[key] for key in keys},
                {column.place: _cell(column, found[column.name]) for column in columns},
                said,
                tuple(map(_reason, reasons)),
            )
        )
    return judged


def _stated(column: SourceColumn, message: Mapping[str, str]) -> str | None:
    text = message.get(column.place)
    return None if text == "" and column.kind != "text" else text


def _cell(column: SourceColumn, value: Any) -> Any:
    """A value as a landed file has it: money in major units."""
    minor = column.kind == "money" and value is not None
    return Decimal(value).scaleb(-column.scale) if minor else value


def _reason(one: Mapping[str, str | None]) -> str:
    found = "nothing" if one["found"] is None else one["found"]
    return f"{one['column']}: found {found}, wanted {one['wanted']} [{one['code']}]"

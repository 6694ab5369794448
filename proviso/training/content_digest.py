"""A digest of a table's content, independent of how its rows are split into parts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass
class ContentDigest:
    """Digest of a table that is read in parts: one hash a column, over all parts."""

    columns: dict[str, Any] = field(default_factory=dict)

    def update(self, table: pa.Table) -> None:
        """Adds the next rows."""
        for name in table.column_names:
            for what, content in _content(table[name]).items():
                self.columns.setdefault(f"{name} {what}", hashlib.sha256()).update(content)

    def digest(self) -> str:
        """`sha256:<hex>` of all rows so far."""
        lines = "".join(f"{n}={d.hexdigest()}\n" for n, d in sorted(self.columns.items()))
        return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def _content(column: pa.ChunkedArray) -> dict[str, bytes]:
    """A column's values and its null mask as bytes, the same for any chunking."""
    missing = np.asarray(column.is_null().to_numpy(), dtype=np.bool_).tobytes()
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        texts = [text or "" for text in column.to_pylist()]
        return {"missing": missing, "values": "".join(f"{len(t)}:{t}" for t in texts).encode()}
    filled = pc.fill_null(column, pa.scalar(0).cast(column.type))
    wide = np.float64 if pa.types.is_floating(column.type) else np.int64
    return {"missing": missing, "values": np.asarray(filled.to_numpy(), dtype=wide).tobytes()}

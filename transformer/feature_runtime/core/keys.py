"""Entity ids, and names in the online store: the timeline key of an entity, a view's watermark.

`valid_id` is the one rule of which ids there are: of the pod's requests, a stream's messages and
files of transactions.
"""

from __future__ import annotations

from collections.abc import Sequence

_RESERVED = str.maketrans({c: f"%{ord(c):02X}" for c in "%{}:|"})

EntityId = int | str

MAX_ID_BYTES = 256
STRING_ID = f"1 to {MAX_ID_BYTES} bytes of UTF-8"
INTEGER_ID = "an integer of 64 bits"


def valid_id(value: EntityId) -> bool:
    """Whether an id may name an entity: STRING_ID for strings, INTEGER_ID for integers."""
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    try:
        return 0 < len(value.encode()) <= MAX_ID_BYTES
    except UnicodeEncodeError:  # a lone surrogate
        return False


def entity_key(names: Sequence[str], ids: Sequence[EntityId]) -> str:
    """`customer:123`; of a view over two entities `courier:7|zone:12`, in contract order."""
    return "|".join(
        f"{name}:{str(value).translate(_RESERVED)}" for name, value in zip(names, ids, strict=True)
    )


def timeline_key(entity: str, view: str, schema: str) -> bytes:
    """`fs:{customer:123}:customer_velocity_1h:<schema>`: braces keep an entity's views together."""
    return f"fs:{{{entity}}}:{view}:{schema}".encode()


def watermark_key(view: str, schema: str) -> bytes:
    """Key of a view's watermark: rows visible up to that moment are all written."""
    return f"fs:watermark:{view}:{schema}".encode()

"""Names in the online store: the timeline key of an entity and the watermark of a view."""

from __future__ import annotations

from collections.abc import Sequence

_RESERVED = str.maketrans({c: f"%{ord(c):02X}" for c in "%{}:|"})

EntityId = int | str


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

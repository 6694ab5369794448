"""Names for a contract from names in files: small letters, digits and `_`, none twice or taken."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

OURS = frozenset(
    {
        "created_ts",
        "decision",
        "event_ts",
        "file_row_number",
        "label",
        "label_known_at",
        "planned_ts",
        "acknowledged_ts",
        "probability",
        "rejected",
        "release",
        "rowid",
        "score",
        "scored_at",
        "scoring_ts",
        "status",
    }
)
"""Columns that we write beside the contract's."""

_WORDS = """
all analyse analyze and any array as asc asymmetric both case cast check collate column constraint
create default deferrable desc describe distinct do else end except false fetch for foreign from
group having in initially intersect into is lambda lateral leading like limit not null offset on
only or order pivot pivot_longer pivot_wider placing primary qualify references returning select
show some summarize symmetric table then to trailing true union unique unpivot using variadic when
where window with
"""
RESERVED = frozenset(_WORDS.split())
"""Words that SQL reserves: such a name could not stand in a `where`."""

LONGEST = 40
"""Characters of a name: a contract takes 63, and others are made of it."""


def contract_names(names: Iterable[str]) -> dict[str, str]:
    """A name of its own for each, in order."""
    chosen: dict[str, str] = {}
    taken: set[str] = set()
    for number, name in enumerate(names, 1):
        base = plain_name(name) or f"column_{number}"
        if base in OURS | RESERVED:
            base = f"{base[: LONGEST - 6]}_value"
        chosen[name] = _free(base, taken)
        taken.add(chosen[name])
    return chosen


def plain_name(text: str) -> str:
    """A text as a name: `TAIL NUM` is tail_num, `arrDelay` arr_delay; empty if nothing is left."""
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", ascii_text).lower()
    name = re.sub(r"[^a-z0-9]+", "_", words).strip("_")
    if name[:1].isdigit():
        name = f"n{name}"
    return name[:LONGEST].rstrip("_")


def _free(base: str, taken: set[str]) -> str:
    name, number = base, 2
    while name in taken:
        suffix = f"_{number}"
        name, number = base[: LONGEST - len(suffix)] + suffix, number + 1
    return name

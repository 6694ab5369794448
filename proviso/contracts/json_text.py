"""The rule for keys of JSON that a person may have edited: each stands once in its object.

Python's reader keeps the last of a repeated key, so that a second `"passed": true` would decide.
"""

from __future__ import annotations

from typing import Any


def keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of its pairs: the `object_pairs_hook` of `json.loads`. Raises ValueError."""
    once = dict(pairs)
    if len(once) != len(pairs):
        raise ValueError("a key stated twice")
    return once

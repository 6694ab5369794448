"""Whether a request is a client's (live) or the mirror of one (shadow), and its former spelling.

Records and metrics called this `arm`, with the values serve and shadow; both spellings are written
for one release (docs/adr/0070).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Traffic = Literal["live", "shadow"]

LIVE: Traffic = "live"
SHADOW: Traffic = "shadow"

_FORMER: Mapping[Traffic, str] = {LIVE: "serve", SHADOW: "shadow"}
_PRESENT: Mapping[str, Traffic] = {former: present for present, former in _FORMER.items()}


def former_arm(traffic: Traffic) -> str:
    """The deprecated `arm` of some traffic."""
    return _FORMER[traffic]


def traffic_of(arm: str) -> Traffic:
    """The traffic that a former `arm` names. Raises ValueError for anything else."""
    if arm not in _PRESENT:
        raise ValueError(f"found arm {arm!r}, wanted one of {sorted(_PRESENT)}")
    return _PRESENT[arm]

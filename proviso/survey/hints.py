"""What the name of a column says about it."""

from __future__ import annotations

import re

_PATTERNS = {
    "moment": r"event|occurred|happened|^ts$|timestamp|^time$|^date_?time$|asked",
    "arrival": r"arrival|report|ingest|receiv|insert|created|load|etl|synced",
    "label": r"^(is|has|was)_|label|target|outcome|churn|fraud|default|late|convert|click|cancel"
    r"|return|fail|success|won|approved|bought|paid",
    "known": r"label|known|settl|resol|clos",
    "key": r"(^|_)(id|key|code|no|nr|num|number|uuid|guid|ref)$"
    r"|^(account|airport|card|carrier|city|client|country|customer|device|driver|employee|item"
    r"|merchant|patient|product|region|seller|shop|sku|station|store|user|vendor|zone)(_|$)",
    "amount": r"amount|price|fee|fare|cost|total|paid|payment|charge|tip|toll|tax|revenue|balance"
    r"|salary",
    "outcome": r"delay|status|outcome|result|resol|closed|closing|complet|finish|final|actual"
    r"|elapsed|duration|refund|rating|feedback|satisf|review",
    "clock": r"time|date|(^|_)ts(_|$)|unix|epoch|_at$",
}
_COMPILED = {meaning: re.compile(pattern) for meaning, pattern in _PATTERNS.items()}


def named_like(meaning: str, name: str) -> bool:
    """Whether a column's name is one that columns of a meaning often have (`_PATTERNS`)."""
    return _COMPILED[meaning].search(_words(name)) is not None


def _words(name: str) -> str:
    """`arrDelay` and `ARR DELAY` as arr_delay."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return re.sub(r"[^a-z0-9]+", "_", words).strip("_")

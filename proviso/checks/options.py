"""Options that several checks share, so that one name means one thing in all of them.

The demo supplies `store`, `history`, `record` and `as_of` by these names to every check it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from proviso.checks.registry import Option
from proviso.online.store import OnlineStore

Store = Annotated[OnlineStore, Option("Online store, redis://HOST:PORT/DB.")]
History = Annotated[Path, Option("Directory of the feature history.")]
Records = Annotated[tuple[Path, ...], Option("Prediction record, JSONL (repeatable).")]
AsOf = Annotated[int | None, Option("Moment to measure at, or `now`.", moment=True)]
Seed = Annotated[int, Option("Selects the sample.", min=0, max=2**31)]

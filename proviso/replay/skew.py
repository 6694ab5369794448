"""The outcomes of a replay as skew rows: each consumed feature, online against offline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from feature_runtime.core.availability import Value
from proviso.checks.skew.rows import Compared, SkewRow, row_of
from proviso.checks.skew.verdict import Side
from proviso.contracts.contract import Contract
from proviso.replay.replay import Outcome


def skew_rows(contract: Contract, outcomes: Iterable[Outcome]) -> Iterator[SkewRow]:
    """Every consumed feature of every outcome, judged."""
    for outcome in outcomes:
        yield from map(row_of, _compared(contract, outcome))


def _compared(contract: Contract, outcome: Outcome) -> Iterator[Compared]:
    request, expected, seen = outcome.case.request, outcome.case.expected, outcome.seen
    for k, ref in enumerate(outcome.case.consumed):
        view = contract.view_by_name[ref.view]
        feature = next(f for f in view.features if f.name == ref.feature)
        stored = _as_stored(expected.values[k], feature.dtype)
        yield Compared(
            case_id=f"{request.request_id}:{ref}",
            view=view,
            feature=feature,
            entity_key="|".join(str(request.ids[key]) for key in contract.join_keys(view)),
            as_of=request.t,
            offline=Side(expected.status[k], stored, expected.event_ts[k]),
            online=Side(seen.status[k], seen.values[k], seen.event_ts[k]),
        )


def _as_stored(value: float, dtype: str) -> Value:
    """An offline value, which is a double in arrays, as the feature's own type."""
    if value != value:
        return None
    if dtype == "int64":
        return int(value)
    return bool(value) if dtype == "bool" else value

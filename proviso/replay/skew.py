"""The results of a replay as skew rows: each consumed feature, online against offline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from proviso.checks.skew.rows import Compared, SkewRow, row_of
from proviso.checks.skew.verdict import Side
from proviso.contracts.contract import Contract
from proviso.replay.replay import CaseResult


def skew_rows(contract: Contract, results: Iterable[CaseResult]) -> Iterator[SkewRow]:
    """Every consumed feature of every result, judged."""
    for result in results:
        yield from map(row_of, _compared(contract, result))


def _compared(contract: Contract, result: CaseResult) -> Iterator[Compared]:
    request, expected, stored = result.case.request, result.case.expected, result.stored
    for k, ref in enumerate(result.case.consumed):
        view = contract.view_by_name[ref.view]
        feature = next(f for f in view.features if f.name == ref.feature)
        yield Compared(
            case_id=f"{request.request_id}:{ref}",
            view=view,
            feature=feature,
            entity_key="|".join(str(request.ids[key]) for key in contract.join_keys(view)),
            as_of=request.t,
            offline=Side(expected.status[k], expected.values[k], expected.event_ts[k]),
            online=Side(stored.status[k], stored.values[k], stored.event_ts[k]),
        )

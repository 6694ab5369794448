"""The decisions of a request with their reasons, decided from numbers alone, and its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import orjson
from numpy.typing import NDArray

from feature_runtime.core.availability import Status
from feature_runtime.core.decision import decide
from feature_runtime.core.encode import Encoded, rejections
from feature_runtime.core.moments import format_moment
from feature_runtime.core.policy import policy_table
from feature_runtime.core.service import Decision, Service
from feature_runtime.serving.lookup import Lookup


@dataclass(frozen=True)
class Outcome:
    """n decisions. at: scoring moments [n]. probability: [n], NaN where a row is rejected.

    reasons: per row, why it got the fallback; None where it was scored. statuses: per row, what
    the client is told about its features, as JSON; serialised here, once for every protocol.
    """

    at: NDArray[np.int64]
    probability: NDArray[np.float64]
    decisions: Sequence[str]
    reasons: Sequence[str | None]
    statuses: Sequence[bytes]

    @property
    def scored_at(self) -> str:
        """The request's scoring moment; in a replay of many moments the last of them."""
        return format_moment(int(self.at.max()))

    @property
    def all_rejected(self) -> bool:
        return None not in self.reasons

    def probability_of(self, i: int) -> float | None:
        """The probability of row i; None where it was rejected."""
        return None if self.reasons[i] is not None else float(self.probability[i])

    @property
    def probabilities(self) -> list[float | None]:
        return [self.probability_of(i) for i in range(len(self.decisions))]


@dataclass(frozen=True)
class Answer:
    """The outcome of one request, and the parameters that every protocol sends with it."""

    request_id: str
    release: str
    outcome: Outcome

    @property
    def parameters(self) -> dict[str, str]:
        return {
            "request_id": self.request_id,
            "release": self.release,
            "scored_at": self.outcome.scored_at,
        }


class Decider:
    """Decides for one service; stateless after construction."""

    def __init__(self, service: Service) -> None:
        self._decision: Decision = service.decision
        self._table = policy_table(service)

    def outcome(
        self,
        at: NDArray[np.int64],
        lookup: Lookup,
        encoded: Encoded,
        probability: NDArray[np.float64],
    ) -> Outcome:
        """Decisions of n rows; `probability` [n] counts only where a row is not rejected."""
        reasons = rejections(self._table, lookup.status, encoded)
        decisions = [
            decide(self._decision, score, rejected=reason is not None)
            for score, reason in zip(probability.tolist(), reasons, strict=True)
        ]
        statuses = [
            self._status(int(at[i]), lookup, encoded, i, reasons[i]) for i in range(len(at))
        ]
        return Outcome(at, probability, decisions, reasons, statuses)

    def _status(
        self, at: int, lookup: Lookup, encoded: Encoded, i: int, reason: str | None
    ) -> bytes:
        names, policies = self._table.names, self._table.policies
        statuses = lookup.status[i].tolist()
        replaced = np.flatnonzero(encoded.applied.replaced[i])
        return orjson.dumps(
            {
                "scored_at": format_moment(at),
                "features": {
                    name: Status(code).name for name, code in zip(names, statuses, strict=True)
                },
                "defaults": {names[k]: policies[k].value for k in replaced.tolist()},
                "reason": reason,
            }
        )

"""Policies by status: reject, an approved default, or an approved missing value.

Training and serving use the same table, so a value that is STALE in serving is replaced in
training too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core.availability import Status
from feature_runtime.core.functions import Floats
from feature_runtime.core.moments import format_moment
from feature_runtime.core.service import Policy, Service
from feature_runtime.core.values import NO_TEXTS, Texts

Bools = NDArray[np.bool_]

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class PolicyTable:
    """The policies of a service's K consumed features, in its order; names: `view:feature`."""

    policies: tuple[Policy, ...]
    names: tuple[str, ...]

    @cached_property
    def rejects(self) -> Bools:
        return np.array([p.kind == "reject" for p in self.policies], dtype=np.bool_)

    @cached_property
    def replacements(self) -> Floats:
        """What replaces a missing number; NaN where nothing does, and for strings."""
        values = (np.nan if isinstance(v, str) or v is None else v for v in self._defaults)
        return np.array(list(values), dtype=np.float64)

    @cached_property
    def texts(self) -> Mapping[str, tuple[int, str | None]]:
        """The position of each feature by name, and the string that replaces a missing one."""
        return {
            name: (k, value if isinstance(value, str) else None)
            for k, (name, value) in enumerate(zip(self.names, self._defaults, strict=True))
        }

    @cached_property
    def expires(self) -> NDArray[np.int64]:
        ends = (_NEVER if p.expires is None else p.expires for p in self.policies)
        return np.array(list(ends), dtype=np.int64)

    @property
    def _defaults(self) -> list[float | str | None]:
        return [p.value if p.kind == "default" else None for p in self.policies]

    def reason(self, status: NDArray[np.int8], rejecting: Bools) -> str | None:
        """Why a row, [K] each, gets the fallback; None where no feature rejects it."""
        if not rejecting.any():
            return None
        return "; ".join(
            f"{self.names[k]} is {Status(int(status[k])).name} and {self._why(k)}"
            for k in np.flatnonzero(rejecting).tolist()
        )

    def _why(self, k: int) -> str:
        policy = self.policies[k]
        if policy.kind == "reject":
            return "the contract allows no default"
        expired = "an unknown day" if policy.expires is None else format_moment(policy.expires)
        return f"the approval of its default expired at {expired}"


@dataclass(frozen=True)
class Applied:
    """values[n, K] after policy; replaced[n, K] where an approval was used; rejecting[n, K].

    texts: the string features after policy by `view:feature`; their columns of values are NaN.
    """

    values: Floats
    replaced: Bools
    rejecting: Bools
    texts: Mapping[str, Texts]

    @cached_property
    def rejected(self) -> Bools:
        """Rows, [n], that must get the plan's fallback."""
        return np.asarray(self.rejecting.any(axis=1))


def policy_table(service: Service) -> PolicyTable:
    """The policies of the features that `service` consumes."""
    found = {(v.name, f.name): f.policy for v in service.views for f in v.features}
    policies = tuple(p for name in service.consumed if (p := found[name]) is not None)
    return PolicyTable(policies, tuple(map(str, service.consumed)))


def apply_policies(
    table: PolicyTable,
    values: Floats,
    status: NDArray[np.int8],
    at: NDArray[np.int64],
    texts: Mapping[str, Texts] = NO_TEXTS,
) -> Applied:
    """Policies for n rows: `values` and `status` are [n, K], `at` [n] is the scoring moment."""
    missing = status != Status.OK
    over = at[:, None] >= table.expires[None, :]
    rejecting = missing & (table.rejects[None, :] | over)
    replaced = missing & ~rejecting
    given = {}
    for name, column in texts.items():
        k, default = table.texts[name]
        given[name] = column.copy()
        given[name][missing[:, k]] = default
    return Applied(np.where(missing, table.replacements, values), replaced, rejecting, given)

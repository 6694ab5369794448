"""Policies by status: reject, an approved default, or an approved missing value.

Training and serving use the same table, so a value that is STALE in serving is replaced in
training too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core.availability import Status
from feature_runtime.core.functions import Floats
from feature_runtime.core.service import Policy, Service

Bools = NDArray[np.bool_]

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class PolicyTable:
    """The policies of a service's K consumed features, in its order, as arrays."""

    policies: tuple[Policy, ...]

    @cached_property
    def rejects(self) -> Bools:
        return np.array([p.kind == "reject" for p in self.policies], dtype=np.bool_)

    @cached_property
    def replacements(self) -> Floats:
        values = (p.value if p.kind == "default" else np.nan for p in self.policies)
        return np.array(list(values), dtype=np.float64)

    @cached_property
    def expires(self) -> NDArray[np.int64]:
        ends = (_NEVER if p.expires is None else p.expires for p in self.policies)
        return np.array(list(ends), dtype=np.int64)


@dataclass(frozen=True)
class Applied:
    """values[n, K] after policy; replaced[n, K] where an approval was used; rejecting[n, K]."""

    values: Floats
    replaced: Bools
    rejecting: Bools

    @cached_property
    def rejected(self) -> Bools:
        """Rows, [n], that must get the plan's fallback."""
        return np.asarray(self.rejecting.any(axis=1))


def policy_table(service: Service) -> PolicyTable:
    """The policies of the features that `service` consumes."""
    found = {(v.name, f.name): f.policy for v in service.views for f in v.features}
    policies = tuple(p for name in service.consumed if (p := found[name]) is not None)
    return PolicyTable(policies)


def apply_policies(
    table: PolicyTable, values: Floats, status: NDArray[np.int8], at: NDArray[np.int64]
) -> Applied:
    """Policies for n rows: `values` and `status` are [n, K], `at` [n] is the scoring moment."""
    missing = status != Status.OK
    over = at[:, None] >= table.expires[None, :]
    rejecting = missing & (table.rejects[None, :] | over)
    replaced = missing & ~rejecting
    return Applied(np.where(missing, table.replacements, values), replaced, rejecting)

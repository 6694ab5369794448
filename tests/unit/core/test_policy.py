"""Every policy at every status, before its approval's end, at it and after it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from feature_runtime.core.availability import Status
from feature_runtime.core.policy import PolicyTable, apply_policies
from feature_runtime.core.service import Policy

END = 1_780_272_000_000_000
MISSING = [status for status in Status if status is not Status.OK]
APPROVED = [
    Policy("default", 7.0, "someone", "known to be harmless", END),
    Policy("nan", None, "someone", "the model knows a missing value", END),
]
EVERY = list(product(APPROVED, MISSING))


def applied(policy: Policy, status: Status, at: int) -> tuple[float, bool, bool]:
    """The value that the model gets for 3.0, whether it was replaced, whether the row is out."""
    found = apply_policies(
        PolicyTable((policy,), ("v:f",)),
        np.array([[3.0]]),
        np.array([[status]], dtype=np.int8),
        np.array([at]),
    )
    return float(found.values[0, 0]), bool(found.replaced[0, 0]), bool(found.rejected[0])


@pytest.mark.parametrize("policy", [*APPROVED, Policy("reject")])
@pytest.mark.parametrize("at", [END - 1, END, END + 1])
def test_a_value_that_is_ok_needs_no_policy(policy: Policy, at: int) -> None:
    assert applied(policy, Status.OK, at) == (3.0, False, False)


@pytest.mark.parametrize(("policy", "status"), EVERY)
def test_an_approval_holds_for_every_status_until_its_end(policy: Policy, status: Status) -> None:
    value, replaced, rejected = applied(policy, status, END - 1)
    assert (replaced, rejected) == (True, False)
    assert value == policy.value or (policy.value is None and np.isnan(value))


@pytest.mark.parametrize(("policy", "status"), EVERY)
@pytest.mark.parametrize("at", [END, END + 1])
def test_an_expired_approval_rejects_and_is_no_use_of_a_default(
    policy: Policy, status: Status, at: int
) -> None:
    _, replaced, rejected = applied(policy, status, at)
    assert (replaced, rejected) == (False, True)


@pytest.mark.parametrize("status", MISSING)
def test_reject_needs_no_end_and_an_approval_without_one_has_none(status: Status) -> None:
    far = 2**62
    assert applied(Policy("reject"), status, 0)[2]
    assert applied(Policy("default", 7.0, "someone", "no end"), status, far) == (7.0, True, False)

"""The one encoder: order, policies, request and derived features, one row or many."""

from __future__ import annotations

import numpy as np
import pytest

from feature_runtime.core.availability import Status
from feature_runtime.core.encode import Encoded, Encoder
from feature_runtime.core.moments import parse_moment
from feature_runtime.core.service import Service, ServiceSectionError, parse_service
from tests.service_section import section


@pytest.fixture
def service() -> Service:
    return parse_service(section())


def encode(service: Service, values: list[float], status: list[Status], t: str) -> Encoded:
    return Encoder(service).encode(
        {"amount": np.array([10.0])},
        np.array([parse_moment(t)]),
        np.array([values]),
        np.array([status], dtype=np.int8),
    )


OK = [Status.OK] * 3
SATURDAY_NIGHT = "2026-05-30T03:59:59.999999Z"


def test_the_vector_is_in_contract_order(service: Service) -> None:
    found = encode(service, [0.5, 4.0, 2.0], OK, SATURDAY_NIGHT)
    assert service.vector == (
        "amount",
        "hour",
        "weekday",
        "weekend",
        "night",
        "v__c",
        "v__a",
        "v__b",
        "per_a",
        "over_b",
        "z",
    )
    assert found.vector.tolist() == [[10, 3, 5, 1, 1, 0.5, 4, 2, 2.5, 8, 3]]
    assert found.vector.dtype == np.float32
    assert not found.rejected[0]


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.OK])
def test_a_missing_critical_feature_rejects_whatever_is_missing_about_it(
    service: Service, status: Status
) -> None:
    found = encode(service, [0.5, 4.0, 2.0], [Status.OK, status, Status.OK], SATURDAY_NIGHT)
    assert found.rejected.tolist() == [True]
    assert found.applied.rejecting.tolist() == [[False, True, False]]


def test_an_approved_default_replaces_the_value_until_its_approval_ends(service: Service) -> None:
    missing = [Status.OK, Status.OK, Status.STALE]
    before = encode(service, [0.5, 4.0, 99.0], missing, "2026-05-31T23:59:59.999999Z")
    assert before.vector[0, 7] == 7
    assert before.applied.replaced.tolist() == [[False, False, True]]
    assert not before.rejected[0]
    after = encode(service, [0.5, 4.0, 99.0], missing, "2026-06-01T00:00:00Z")
    assert after.rejected.tolist() == [True]


def test_an_approved_missing_value_reaches_the_model_as_nan(service: Service) -> None:
    found = encode(service, [0.5, 4.0, 2.0], [Status.NULL, *OK[1:]], SATURDAY_NIGHT)
    assert np.isnan(found.vector[0, 5])
    assert not found.rejected[0]


def test_a_ratio_to_nothing_is_missing(service: Service) -> None:
    found = encode(service, [0.5, 0.0, 2.0], OK, SATURDAY_NIGHT)
    assert np.isnan(found.vector[0, 8])


def test_one_row_and_many_are_encoded_alike(service: Service) -> None:
    rng = np.random.default_rng(1)
    n = 257
    amount, at = rng.normal(50, 30, n), rng.integers(0, 2**51, n)
    values, status = rng.normal(0, 5, (n, 3)), rng.integers(0, 5, (n, 3)).astype(np.int8)
    encoder = Encoder(service)
    many = encoder.encode({"amount": amount}, at, values, status)
    for i in range(n):
        one = encoder.encode(
            {"amount": amount[i : i + 1]}, at[i : i + 1], values[i : i + 1], status[i : i + 1]
        )
        np.testing.assert_array_equal(one.vector[0], many.vector[i])
        assert one.rejected[0] == many.rejected[i]


@pytest.mark.parametrize("key", ["views", "limits", "decision", "hash_entity_keys"])
def test_a_section_with_a_key_missing_or_unknown_is_refused(key: str) -> None:
    lacking = {k: v for k, v in section().items() if k != key}
    with pytest.raises(ServiceSectionError, match=key):
        parse_service(lacking)
    with pytest.raises(ServiceSectionError, match="surprise"):
        parse_service({**section(), "surprise": 1})


def test_a_consumed_feature_without_a_policy_is_refused() -> None:
    with pytest.raises(ServiceSectionError, match="policy"):
        parse_service({**section(), "features": ["v:c", "v:a", "v:unused"]})


@pytest.mark.parametrize(
    ("amount", "a", "b"),
    [
        (3e38, 1e-3, 7.0),
        (3e38, 5e-324, 7.0),
        (3e38, 4.0, -3e38),
        (-3e38, 4.0, 3e38),
        (1.0, 4e38, 3.5e38),
    ],
)
def test_what_the_models_type_cannot_hold_is_missing(
    service: Service, amount: float, a: float, b: float
) -> None:
    """A ratio, a difference or a stored value beyond float32: the record must say the same."""
    found = Encoder(service).encode(
        {"amount": np.array([amount])},
        np.array([parse_moment(SATURDAY_NIGHT)]),
        np.array([[0.5, a, b]]),
        np.array([OK], dtype=np.int8),
    )
    assert not np.isinf(found.vector).any()
    assert np.isnan(found.vector).any()
    assert np.isfinite(found.vector[0, :6]).all()

"""The encoder over strings: policies, encodings, their place in the vector, one row or many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_runtime.core.availability import Status
from feature_runtime.core.encode import Encoded, Encoder
from feature_runtime.core.moments import parse_moment
from feature_runtime.core.service import Service, ServiceSectionError, parse_service
from feature_runtime.core.values import texts_of
from tests.service_section import section as numeric

VOCABULARY = ["AA", "", "UA"]
ENCODINGS: list[dict[str, Any]] = [
    {"element": "carrier", "kind": "one_hot", "vocabulary": VOCABULARY},
    {"element": "stops", "kind": "ordinal", "vocabulary": [0, 2]},
    {"element": "v:c", "kind": "ordinal", "vocabulary": ["x", "y"]},
]
AT = parse_moment("2026-05-30T03:59:59Z")


def section(**changes: Any) -> dict[str, Any]:
    """The numeric service with string fields, a string feature, and encodings."""
    made: dict[str, Any] = numeric()
    policy = {"kind": "default", "value": "y", "approved_by": "a", "reason": "b", "expires": None}
    made["views"][0]["features"][3] = {"name": "c", "dtype": "string", "policy": policy}
    made["fields"] = [
        "amount",
        {"name": "carrier", "dtype": "string", "nullable": True},
        {"name": "stops", "dtype": "int64", "nullable": True},
        {"name": "booked", "dtype": "timestamp", "nullable": True},
    ]
    made["request_features"] = [
        {"name": name, "function": "field", "inputs": [name]}
        for name in ("carrier", "amount", "stops")
    ]
    return {**made, "encodings": ENCODINGS, **changes}


@pytest.fixture(scope="module")
def service() -> Service:
    return parse_service(section())


def encode(service: Service, rows: list[tuple[Any, Any, Any, Status]]) -> Encoded:
    """Rows of (carrier, stops, v:c, its status)."""
    carriers, stops, values, status = (list(column) for column in zip(*rows, strict=True))
    n = len(rows)
    fields = {
        "amount": np.full(n, 10.0),
        "carrier": texts_of(carriers),
        "stops": np.array([np.nan if s is None else s for s in stops], dtype=np.float64),
        "booked": np.zeros(n, dtype=np.int64),
    }
    statuses = np.full((n, 3), Status.OK, dtype=np.int8)
    statuses[:, 0] = status
    numbers = np.tile([np.nan, 4.0, 2.0], (n, 1))
    at = np.full(n, AT, dtype=np.int64)
    return Encoder(service).encode(fields, at, numbers, statuses, {"v:c": texts_of(values)})


def test_an_encoded_element_stands_where_it_would_stand_as_a_number(service: Service) -> None:
    assert service.vector[:8] == (
        "carrier=AA",
        "carrier=",
        "carrier=UA",
        "carrier__unknown",
        "carrier__missing",
        "amount",
        "stops",
        "v__c",
    )
    found = encode(
        service,
        [("UA", 2, "x", Status.OK), (None, None, None, Status.NULL), ("aa", 7, "z", Status.OK)],
    )
    assert found.vector[:, :8].tolist() == [
        [0, 0, 1, 0, 0, 10, 1, 0],
        [0, 0, 0, 0, 1, 10, 3, 1],
        [0, 0, 0, 1, 0, 10, 2, 2],
    ]
    assert found.vector[:, 8:10].tolist() == [[4, 2]] * 3, "the numbers beside it"


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.OK])
def test_a_string_default_replaces_whatever_is_missing(service: Service, status: Status) -> None:
    found = encode(service, [("AA", 0, "x", status)])
    assert found.vector[0, 7] == 1
    assert found.applied.texts["v:c"].tolist() == ["y"]
    assert found.applied.replaced[0].tolist() == [True, False, False]


def test_a_missing_string_that_is_approved_has_the_code_of_missing() -> None:
    made = section()
    made["views"][0]["features"][3]["policy"] |= {"kind": "nan", "value": None}
    found = encode(parse_service(made), [("AA", 0, "x", Status.STALE)])
    assert found.vector[0, 7] == 3
    assert not found.rejected[0]


ROWS = st.lists(
    st.tuples(
        st.none() | st.sampled_from([*VOCABULARY, "other", "\0"]),
        st.none() | st.integers(-1, 3),
        st.none() | st.sampled_from(["x", "y", "z"]),
        st.sampled_from(list(Status)),
    ),
    min_size=1,
    max_size=9,
)


@given(ROWS)
def test_a_batch_is_its_rows_one_by_one(rows: list[tuple[Any, Any, Any, Status]]) -> None:
    service = parse_service(section())
    many = encode(service, rows)
    for i, row in enumerate(rows):
        one = encode(service, [row])
        np.testing.assert_array_equal(one.vector[0], many.vector[i])
        assert one.applied.texts["v:c"][0] == many.applied.texts["v:c"][i]
        assert one.rejected[0] == many.rejected[i]


def without(element: str) -> dict[str, Any]:
    return section(encodings=[e for e in ENCODINGS if e["element"] != element])


def changed(place: int, **changes: Any) -> dict[str, Any]:
    return section(encodings=[e | changes if i == place else e for i, e in enumerate(ENCODINGS)])


def asking(field: str) -> dict[str, Any]:
    """A section with one request feature more, of a field."""
    made = section()
    made["request_features"] += [{"name": "more", "function": "field", "inputs": [field]}]
    return made


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (without("carrier"), "carrier: found string"),
        (without("v:c"), "v:c: found string"),
        (asking("booked"), "more: found timestamp"),
        (changed(0, element="amount"), "encodings.amount: found float64"),
        (changed(0, element="v:unused"), "encodings.v:unused: found no element"),
        (changed(1, element="carrier", vocabulary=["AA"]), "twice"),
        (changed(1, vocabulary=["AA"]), "encodings.stops"),
        (changed(1, vocabulary=[True]), "encodings.stops"),
        (changed(0, kind="hashed"), "hashed"),
        (changed(0, vocabulary=["AA", "AA"]), "twice"),
        (section(fields=[{"name": "amount", "dtype": "decimal", "nullable": False}]), "decimal"),
        (section(fields=[{"name": "amount", "dtype": "float64"}]), "nullable"),
    ],
)
def test_a_section_that_cannot_be_encoded_is_refused(made: dict[str, Any], named: str) -> None:
    with pytest.raises(ServiceSectionError, match=named):
        parse_service(made)

"""Reading requests without a server: integer entities, every prefix of a body, raw tensors."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_runtime.core.service import parse_service
from feature_runtime.serving.codecs import tensors, v1, v2
from feature_runtime.serving.codecs.values import json_object
from feature_runtime.serving.errors import ErrorStatus, ServingError
from feature_runtime.serving.request import Input, Inputs, ScoringRequest, Served, request_id
from tests.local.pod_stack import section

COURIER = {
    "entities": [
        {"name": "courier", "join_key": "courier_id", "dtype": "int64"},
        {"name": "zone", "join_key": "zone_id", "dtype": "string"},
    ],
    "fields": ["weight", "distance"],
    "request_features": [{"name": "weight", "function": "field", "inputs": ["weight"]}],
}
INPUTS = Inputs(parse_service(section(**COURIER)))
SERVED = Served("parcels", "1.2.0")
ROW = {
    "courier_id": 7,
    "zone_id": "north",
    "weight": 2,
    "distance": 3.5,
    "event_ts": "2026-01-05T10:00:00+01:00",
}
BODY = orjson.dumps({"instances": [ROW, ROW]})


def test_inputs_follow_the_services_entities_and_fields() -> None:
    assert [(i.name, i.datatype) for i in INPUTS.all] == [
        ("courier_id", "INT64"), ("zone_id", "BYTES"), ("weight", "FP64"), ("distance", "FP64"),
        ("event_ts", "BYTES"),
    ]  # fmt: skip


def test_a_request_of_integer_entities() -> None:
    found = INPUTS.request(v1.columns_of(INPUTS, BODY), "id", "live", "v1")
    assert found.ids == {"courier": [7, 7], "zone": ["north", "north"]}
    assert found.fields["weight"].tolist() == [2.0, 2.0]
    assert found.fields["weight"].dtype == np.float64
    assert found.event_ts.tolist() == [1767603600000000] * 2


@pytest.mark.parametrize("wrong", [2**63, -(2**63) - 1, 7.0, "7", True, None])
def test_an_integer_id_is_an_integer_of_64_bits(wrong: Any) -> None:
    body = (
        orjson.dumps({"instances": [ROW | {"courier_id": wrong}]})
        if wrong != -(2**63) - 1
        else (BODY.replace(b"7", str(wrong).encode(), 1))
    )
    with pytest.raises(ServingError) as refused:
        v1.columns_of(INPUTS, body)
    error = refused.value
    assert (error.code, error.field) == ("wrong_type", "courier_id[0]")
    assert error.wanted == "a 64-bit integer"


@pytest.mark.parametrize("key", ["a", "\\n"])
@pytest.mark.parametrize(
    "value", ["[" * 254 + "]" * 254, "[" * 1000 + "]" * 1000, '{"a":' * 300 + "1" + "}" * 300]
)
def test_a_deeply_nested_body_is_read_or_refused(key: str, value: str) -> None:
    """orjson reads deeper than it writes, and Python's own parser has another limit."""
    with suppress(ServingError):
        assert isinstance(json_object(f'{{"{key}":{value}}}'.encode()), dict)


@pytest.mark.parametrize("number", ["9" * 5000, "1" + "0" * 5000 + ".5", "1e400", "-1e400"])
def test_a_number_beyond_every_type_is_refused_beside_an_escaped_key(number: str) -> None:
    with pytest.raises(ServingError) as refused:
        json_object(f'{{"\\n":{number}}}'.encode())
    assert refused.value.code == "invalid_json"


@pytest.mark.parametrize("second", ["a", "\\u0061"])
def test_a_key_stands_once_however_it_is_spelled(second: str) -> None:
    with pytest.raises(ServingError) as refused:
        json_object(f'{{"x":{{"a":1,"{second}":{"9" * 50}}}}}'.encode())
    assert refused.value.code == "json_key_repeated"


@pytest.mark.parametrize("cut", range(len(BODY)))
def test_no_prefix_of_a_body_is_a_request(cut: int) -> None:
    with pytest.raises(ServingError) as refused:
        v1.columns_of(INPUTS, BODY[:cut])
    assert refused.value.status is ErrorStatus.BAD_INPUT


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["name", "shape", "datatype", "data", "parameters", "inputs", "outputs",
                         "instances", "binary_data_size", *ROW]), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@given(JSON)
def test_any_json_is_refused_or_read(document: Any) -> None:
    """Nothing but a ServingError comes out, whatever goes in."""
    tensors = [
        {"name": i.name, "datatype": i.datatype, "shape": [1, 1], "data": [document]}
        for i in INPUTS.all
    ]
    for body in (document, {"inputs": document}, {"inputs": [document]}, {"inputs": tensors},
                 {"inputs": tensors, "outputs": document}):  # fmt: skip
        with pytest.raises(ServingError):
            INPUTS.request(
                v2.parse(INPUTS, SERVED, orjson.dumps(body), None)[0], "id", "live", "v1"
            )
    for body in (document, {"instances": document}, {"instances": [document]}):
        with pytest.raises(ServingError):
            v1.columns_of(INPUTS, orjson.dumps(body))


TEXT = Input("zone_id", "BYTES")


@given(st.lists(st.text(max_size=20), min_size=1, max_size=5))
def test_raw_strings_come_back(values: list[str]) -> None:
    raw = tensors.raw_strings([value.encode() for value in values])
    assert tensors.raw_values(TEXT, raw, len(values)) == values


@given(st.binary(max_size=40), st.integers(1, 4))
def test_any_bytes_are_strings_or_refused(raw: bytes, size: int) -> None:
    with suppress(ServingError):
        texts = tensors.raw_values(TEXT, raw, size)
        assert tensors.raw_strings([text.encode() for text in texts]) == raw


def test_raw_integers_and_numbers_keep_their_bits() -> None:
    ints = np.array([-(2**63), 2**63 - 1], dtype="<i8")
    assert tensors.raw_values(Input("courier_id", "INT64"), ints.tobytes(), 2) == ints.tolist()
    floats = np.array([0.1, -0.0], dtype="<f8")
    found = tensors.raw_values(Input("weight", "FP64"), floats.tobytes(), 2)
    assert found.tobytes() == floats.tobytes()


BEYOND = [3.4028235677973366e38, -3.5e38, 1e39, 1.7e308]
WITHIN = [3.4028235e38, -3.4028235e38, 5e-324, -0.0, 2.0**53 + 2]


@pytest.mark.parametrize("value", [*BEYOND, *WITHIN])
@pytest.mark.parametrize("form", ["v1", "v2", "binary"])
def test_a_number_is_finite_in_the_models_type(form: str, value: float) -> None:
    def read() -> ScoringRequest:
        row = ROW | {"distance": value}
        if form == "v1":
            body = orjson.dumps({"instances": [ROW, row]})
            return INPUTS.request(v1.columns_of(INPUTS, body), "id", "live", "v1")
        document: dict[str, list[dict[str, Any]]] = {"inputs": []}
        tail = b""
        for tensor in INPUTS.all:
            inputs: dict[str, Any] = {"name": tensor.name, "datatype": tensor.datatype}
            inputs |= {"shape": [2, 1], "data": [ROW[tensor.name], row[tensor.name]]}
            if form == "binary" and tensor.name == "distance":
                tail = np.array(inputs.pop("data"), dtype="<f8").tobytes()
                inputs["parameters"] = {"binary_data_size": len(tail)}
            document["inputs"].append(inputs)
        head = orjson.dumps(document)
        columns, _ = v2.parse(INPUTS, SERVED, head + tail, str(len(head)) if tail else None)
        return INPUTS.request(columns, "id", "live", "v2")

    if value in WITHIN:
        assert read().fields["distance"].tolist() == [3.5, value]
        return
    with pytest.raises(ServingError) as refused:
        read()
    error = refused.value
    assert (error.status.http, error.code, error.field) == (400, "not_finite", "distance[1]")


def test_a_binary_length_beyond_the_body_is_refused() -> None:
    for length in ("-1", "x", str(len(BODY) + 1)):
        with pytest.raises(ServingError) as refused:
            v2.parse(INPUTS, SERVED, BODY, length)
        assert refused.value.code == "wrong_json_length"


def test_a_request_id_is_kept_or_made() -> None:
    assert request_id("client-1") == "client-1"
    assert request_id(None) != request_id("")
    with pytest.raises(ServingError) as refused:
        request_id("caf\u00e9")
    assert (refused.value.code, refused.value.field) == ("invalid_request_id", "x-request-id")

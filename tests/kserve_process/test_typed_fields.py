"""Typed request fields over every protocol: what is read, refused and declared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

from feature_runtime.core import moments
from feature_runtime.core.record import field_value
from feature_runtime.core.service import parse_service
from feature_runtime.serving.codecs import grpc, tensors, v1, v2
from feature_runtime.serving.description import Description
from feature_runtime.serving.errors import ErrorStatus, ServingError
from feature_runtime.serving.model_config import ModelConfigResponse
from feature_runtime.serving.request import Inputs, ScoringRequest, Served
from tests.local.pod_stack import section

DTYPES = {
    "amount": "float64",
    "stops": "int64",
    "member": "bool",
    "carrier": "string",
    "booked": "timestamp",
}
DATATYPES = {
    "amount": "FP64",
    "stops": "INT64",
    "member": "BOOL",
    "carrier": "BYTES",
    "booked": "BYTES",
    "customer_id": "BYTES",
    "merchant_id": "INT64",
    "event_ts": "BYTES",
}
AT = "2026-01-05T10:00:00Z"
ROW: Mapping[str, Any] = {
    "customer_id": "c1",
    "merchant_id": 7,
    "amount": 2.5,
    "stops": -3,
    "member": True,
    "carrier": "AA",
    "booked": AT,
    "event_ts": AT,
}
SERVED = Served("parcels", "1.2.0")


def inputs(*, nullable: bool) -> Inputs:
    fields = [{"name": n, "dtype": d, "nullable": nullable} for n, d in DTYPES.items()]
    fields += [
        {"name": "customer_id", "dtype": "string", "nullable": False},
        {"name": "merchant_id", "dtype": "int64", "nullable": False},
    ]
    entities = [
        {"name": "customer", "join_key": "customer_id", "dtype": "string"},
        {"name": "merchant", "join_key": "merchant_id", "dtype": "int64"},
    ]
    return Inputs(parse_service(section(fields=fields, entities=entities)))


PLAIN, NULLABLE = inputs(nullable=False), inputs(nullable=True)


def raw(datatype: str, value: Any) -> bytes:
    if datatype == "BYTES":
        return tensors.raw_strings([value if isinstance(value, bytes) else value.encode()])
    if isinstance(value, bytes):
        return value
    kinds = {"FP64": "<f8", "INT64": "<i8", "BOOL": "?"}
    return np.array([value], dtype=kinds[datatype]).tobytes()


def read_v1(asked: Inputs, row: Mapping[str, Any]) -> ScoringRequest:
    body = orjson.dumps({"instances": [row]})
    return asked.request(v1.columns_of(asked, body), "id", "live", "v1")


def read_v2(asked: Inputs, row: Mapping[str, Any]) -> ScoringRequest:
    given = [
        {"name": n, "datatype": DATATYPES[n], "shape": [1, 1], "data": [v]} for n, v in row.items()
    ]
    columns, _ = v2.parse(asked, SERVED, orjson.dumps({"inputs": given}), None)
    return asked.request(columns, "id", "live", "v2")


def read_binary(asked: Inputs, row: Mapping[str, Any]) -> ScoringRequest:
    given, tail = [], b""
    for name, value in row.items():
        part = raw(DATATYPES[name], value)
        size = {"binary_data_size": len(part)}
        one = {"name": name, "datatype": DATATYPES[name], "shape": [1, 1], "parameters": size}
        given.append(one)
        tail += part
    head = orjson.dumps({"inputs": given})
    columns, _ = v2.parse(asked, SERVED, head + tail, str(len(head)))
    return asked.request(columns, "id", "live", "v2")


def read_raw_grpc(asked: Inputs, row: Mapping[str, Any]) -> ScoringRequest:
    request = pb.ModelInferRequest(model_name="parcels")
    for name, value in row.items():
        request.inputs.add(name=name, datatype=DATATYPES[name], shape=[1, 1])
        request.raw_input_contents.append(raw(DATATYPES[name], value))
    return asked.request(grpc.columns_of(asked, request), "id", "live", "grpc")


def read_grpc(asked: Inputs, row: Mapping[str, Any]) -> ScoringRequest:
    request = pb.ModelInferRequest(model_name="parcels")
    kinds = {"FP64": "fp64", "INT64": "int64", "BOOL": "bool", "BYTES": "bytes"}
    for name, value in row.items():
        tensor = request.inputs.add(name=name, datatype=DATATYPES[name], shape=[1, 1])
        given = value.encode() if isinstance(value, str) else value
        getattr(tensor.contents, f"{kinds[DATATYPES[name]]}_contents").append(given)
    return asked.request(grpc.columns_of(asked, request), "id", "live", "grpc")


EVERY = [read_v1, read_v2, read_binary, read_raw_grpc, read_grpc]
JSON = [read_v1, read_v2]
RAW = [read_binary, read_raw_grpc]


@pytest.mark.parametrize("asked", [PLAIN, NULLABLE], ids=["plain", "nullable"])
@pytest.mark.parametrize("read", EVERY)
def test_every_protocol_reads_every_type(read: Any, asked: Inputs) -> None:
    found = read(asked, ROW)
    assert found.ids == {"customer": ["c1"], "merchant": [7]}
    kinds = {name: column.dtype for name, column in found.fields.items()}
    assert kinds == {
        "amount": np.float64,
        "stops": np.float64,
        "member": np.float64,
        "carrier": np.object_,
        "booked": np.int64,
        "customer_id": np.object_,
        "merchant_id": np.float64,
    }
    values = {name: column.tolist() for name, column in found.fields.items()}
    assert values == {
        "amount": [2.5],
        "stops": [-3.0],
        "member": [1.0],
        "carrier": ["AA"],
        "booked": [moments.parse_moment(AT)],
        "customer_id": ["c1"],
        "merchant_id": [7.0],
    }


MISSING = {"amount": None, "stops": None, "member": None, "carrier": None, "booked": None}


@pytest.mark.parametrize("read", EVERY)
def test_a_nullable_field_may_be_absent(read: Any) -> None:
    found = read(NULLABLE, {n: v for n, v in ROW.items() if n not in DTYPES})
    assert {n: _cell(found, n) for n in DTYPES} == MISSING


@pytest.mark.parametrize("read", JSON)
def test_a_nullable_field_may_be_null(read: Any) -> None:
    found = read(NULLABLE, {**ROW, **MISSING})
    assert {n: _cell(found, n) for n in DTYPES} == MISSING


@pytest.mark.parametrize("read", [*RAW, read_grpc])
def test_nan_is_a_missing_number_where_json_has_null(read: Any) -> None:
    found = read(NULLABLE, {**ROW, "amount": float("nan")})
    assert _cell(found, "amount") is None


def _cell(found: ScoringRequest, name: str) -> Any:
    """What the prediction record says of a field."""
    [field] = [f for f in NULLABLE._fields if f.name == name]
    return field_value(field, found.fields[name][0])


def test_the_record_has_every_value_in_its_own_type() -> None:
    found = read_v1(NULLABLE, ROW)
    values = {n: _cell(found, n) for n in DTYPES}
    assert values == {n: ROW[n] for n in DTYPES}
    assert {n: type(v) for n, v in values.items()} == {n: type(ROW[n]) for n in DTYPES}


def refusal(read: Any, asked: Inputs, row: Mapping[str, Any]) -> tuple[str, str]:
    with pytest.raises(ServingError) as refused:
        read(asked, row)
    assert refused.value.status is ErrorStatus.BAD_INPUT
    assert refused.value.found
    assert refused.value.wanted
    return refused.value.code, str(refused.value.field)


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("read", EVERY)
def test_a_field_that_is_not_nullable_must_be_there(read: Any, name: str) -> None:
    code, field = refusal(read, PLAIN, {n: v for n, v in ROW.items() if n != name})
    assert (code, field.rpartition(".")[2]) == ("missing_input", name)


@pytest.mark.parametrize("name", DTYPES)
@pytest.mark.parametrize("read", JSON)
def test_null_is_refused_where_a_field_is_not_nullable(read: Any, name: str) -> None:
    assert refusal(read, PLAIN, {**ROW, name: None}) == ("wrong_type", f"{name}[0]")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("carrier", 5),
        ("carrier", True),
        ("amount", "5"),
        ("amount", True),
        ("stops", "5"),
        ("stops", 5.0),
        ("stops", True),
        ("stops", 2**63),
        ("member", 1),
        ("member", "true"),
        ("booked", 1_700_000_000),
    ],
)
@pytest.mark.parametrize("asked", [PLAIN, NULLABLE], ids=["plain", "nullable"])
@pytest.mark.parametrize("read", JSON)
def test_a_value_of_another_type_is_refused(
    read: Any, asked: Inputs, name: str, value: Any
) -> None:
    assert refusal(read, asked, {**ROW, name: value}) == ("wrong_type", f"{name}[0]")


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("stops", 2**53, "integer_too_large"),
        ("stops", -(2**53), "integer_too_large"),
        ("merchant_id", 2**53, "integer_too_large"),
        ("carrier", "x" * 1025, "string_too_long"),
        ("carrier", "é" * 513, "string_too_long"),
        ("booked", "", "invalid_moment"),
        ("booked", "2026-01-05", "invalid_moment"),
        ("customer_id", "", "invalid_entity_id"),
    ],
)
@pytest.mark.parametrize("read", EVERY)
def test_a_value_out_of_range_is_refused(read: Any, name: str, value: Any, code: str) -> None:
    assert refusal(read, NULLABLE, {**ROW, name: value}) == (code, f"{name}[0]")


@pytest.mark.parametrize("read", [*RAW, read_grpc])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 3.5e38])
def test_a_number_that_is_not_finite_is_refused(read: Any, value: float) -> None:
    assert refusal(read, PLAIN, {**ROW, "amount": value}) == ("not_finite", "amount[0]")
    if value == value:
        assert refusal(read, NULLABLE, {**ROW, "amount": value}) == ("not_finite", "amount[0]")


@pytest.mark.parametrize("value", ["", "\0", "a\0b", "5", "e\u0301", "\u00e9", "\U0001f6e9", " x "])
@pytest.mark.parametrize("read", EVERY)
def test_any_other_text_is_kept_as_it_is(read: Any, value: str) -> None:
    assert read(PLAIN, {**ROW, "carrier": value}).fields["carrier"].tolist() == [value]


@pytest.mark.parametrize("read", [*RAW, read_grpc])
def test_bytes_that_are_not_utf8_are_refused(read: Any) -> None:
    assert refusal(read, PLAIN, {**ROW, "carrier": b"\xff\xfe"}) == ("invalid_utf8", "carrier")


@pytest.mark.parametrize("text", ['"\\ud800"', '"a\udc80"'])
def test_json_that_is_not_utf8_is_refused(text: str) -> None:
    body = orjson.dumps({"instances": [ROW]}).replace(b'"AA"', text.encode(errors="surrogatepass"))
    with pytest.raises(ServingError) as refused:
        v1.columns_of(PLAIN, body)
    assert refused.value.code == "invalid_json"


@pytest.mark.parametrize("read", RAW)
def test_a_raw_bool_is_zero_or_one(read: Any) -> None:
    assert refusal(read, PLAIN, {**ROW, "member": b"\2"}) == ("invalid_bool", "member[0]")
    assert refusal(read, PLAIN, {**ROW, "member": b"\1\0"}) == ("wrong_value_count", "member")


@pytest.mark.parametrize("name", DTYPES)
def test_a_tensor_of_another_datatype_is_refused(name: str) -> None:
    other = "FP32" if DATATYPES[name] != "FP32" else "FP64"
    one = {"name": name, "datatype": other, "shape": [1, 1], "data": [ROW[name]]}
    given = [
        one if n == name else {"name": n, "datatype": d, "shape": [1, 1], "data": [ROW[n]]}
        for n, d in DATATYPES.items()
    ]
    with pytest.raises(ServingError) as refused:
        v2.parse(PLAIN, SERVED, orjson.dumps({"inputs": given}), None)
    assert (refused.value.code, refused.value.field) == ("wrong_datatype", f"{name}.datatype")


def test_an_absent_tensor_is_not_a_tensor_twice() -> None:
    one = {"name": "carrier", "datatype": "BYTES", "shape": [1, 1], "data": ["AA"]}
    needed = [n for n in ROW if n not in DTYPES]
    given = [
        {"name": n, "datatype": DATATYPES[n], "shape": [1, 1], "data": [ROW[n]]} for n in needed
    ]
    with pytest.raises(ServingError) as refused:
        v2.parse(NULLABLE, SERVED, orjson.dumps({"inputs": [*given, one, one]}), None)
    assert (refused.value.code, refused.value.field) == ("input_repeated", "inputs.carrier")


def test_metadata_and_configuration_declare_the_types() -> None:
    described = Description(SERVED, NULLABLE)
    assert {t["name"]: t["datatype"] for t in described.metadata()["inputs"]} == DATATYPES
    config = described.config()
    optional = {t["name"] for t in config["input"] if t.get("optional")}
    assert optional == set(DTYPES)
    message = ModelConfigResponse(config=config).config
    assert {t.name for t in message.input if t.optional} == set(DTYPES)
    again = ModelConfigResponse.FromString(
        ModelConfigResponse(config=config).SerializeToString()
    ).config
    assert again == message
    assert all("optional" not in t for t in Description(SERVED, PLAIN).config()["input"])

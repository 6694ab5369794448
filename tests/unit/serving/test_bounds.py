"""What a client sends is refused or answered within bounds: keys, outputs, ids, texts of errors."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_runtime.core.service import parse_service
from feature_runtime.serving.codecs import tensors, v1, v2, values
from feature_runtime.serving.errors import ErrorStatus, ServingError, bad_input, shown
from feature_runtime.serving.request import Inputs, Served, check_client_id, request_id
from tests.local.pod_stack import rows, section, v2_body

INPUTS = Inputs(parse_service(section()))
SERVED = Served("risk", "1.0.0")
ROWS = rows(("c1", "m1"))


def parse(body: dict[str, Any]) -> v2.AnswerForm:
    return v2.parse(INPUTS, SERVED, orjson.dumps(body), None)[1]


# --- keys that stand twice -------------------------------------------------------------------

TEXT = st.text(max_size=6) | st.sampled_from(["a:b", ":", "\\", '"', '":', "2026-01-01T00:00:00Z"])
SCALAR = st.none() | st.booleans() | st.integers(-9, 9) | TEXT
TREE = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(TEXT, inner), max_size=4),
    max_leaves=15,
)
"""JSON in which an object is a list of pairs, so that a key can stand in it twice."""


def written(tree: Any, *, ascii_only: bool) -> tuple[str, bool]:
    """The tree as JSON text, and whether an object in it has a key twice."""

    def is_object(node: Any) -> bool:
        return isinstance(node, list) and bool(node) and isinstance(node[0], tuple)

    if is_object(tree):
        parts = [
            (json.dumps(k, ensure_ascii=ascii_only), written(v, ascii_only=ascii_only))
            for k, v in tree
        ]
        keys = [key for key, _ in tree]
        text = ", ".join(f"{key} : {inner}" for key, (inner, _) in parts)
        repeated = len(set(keys)) != len(keys) or any(found for _, (_, found) in parts)
        return f"{{{text}}}", repeated
    if isinstance(tree, list):
        items = [written(item, ascii_only=ascii_only) for item in tree]
        return f"[{', '.join(text for text, _ in items)}]", any(found for _, found in items)
    return json.dumps(tree, ensure_ascii=ascii_only), False


@given(TREE, st.booleans())
def test_a_key_that_stands_twice_is_found_wherever_it_is(tree: Any, ascii_only: bool) -> None:
    text, repeated = written(tree, ascii_only=ascii_only)
    body = f'{{"all": {text}}}'.encode()
    if repeated:
        with pytest.raises(ServingError) as refused:
            values.json_object(body)
        assert refused.value.code == "json_key_repeated"
    else:
        assert values.json_object(body) == json.loads(body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"instances": [], "instances": []}', "'instances'"),
        (b'{"instances": [{"amount": 1, "amount": 2}]}', "'amount'"),
        (b'{"instances": [{"am\\u006funt": 1, "amount": 2}]}', "'amount'"),
        # A colon that is written as an escape must not make up for the pair that is dropped.
        (b'{"instances": [{"a": "\\u003a", "a": "\\u003a"}]}', "'a'"),
    ],
)
def test_a_repeated_key_is_named(body: bytes, field: str) -> None:
    with pytest.raises(ServingError) as refused:
        v1.columns_of(INPUTS, body)
    assert (refused.value.code, refused.value.field) == ("json_key_repeated", field)


def test_a_repeated_key_deep_inside_is_refused_like_too_deep_json() -> None:
    deep = b'{"a":' * 1000 + b'"\\u0041"' + b"}" * 1000
    with pytest.raises(ServingError) as refused:
        values.json_object(deep)
    assert refused.value.code == "invalid_json"


# --- outputs, names and ids ------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [["status"] * 2, ["status"] * 5000, ["probability", "decision", "status", "decision"]],
)
def test_an_output_is_asked_for_once(names: list[str]) -> None:
    outputs = [{"name": name} for name in names]
    with pytest.raises(ServingError) as refused:
        parse(v2_body(ROWS, outputs=outputs))
    assert refused.value.code == "output_repeated"
    with pytest.raises(ServingError):
        tensors.check_outputs(names)


@pytest.mark.parametrize(
    "more",
    [
        {"model_name": "risk"},
        {"model_name": None, "model_version": None, "id": None, "outputs": None},
        {"model_name": "", "model_version": ""},
        {"model_version": "1.0.0"},
        {"parameters": None},
        {"parameters": {"mine": {"a": [1]}, "classification": 3}},
        {"outputs": [{"name": "decision", "parameters": None}]},
        {"outputs": [{"name": "decision", "parameters": {"binary_data": False, "x": 1}}]},
    ],
)
def test_what_clients_of_the_protocol_send_is_taken(more: dict[str, Any]) -> None:
    body = v2_body(ROWS, **more)
    for tensor in body["inputs"]:
        tensor["parameters"] = None if "parameters" in more else {"content_type": "str"}
    assert "decision" in parse(body).outputs


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        ({"model_name": "other"}, "model_name_mismatch", "model_name"),
        ({"model_name": 7}, "wrong_type", "model_name"),
        ({"model_version": "99"}, "model_version_not_found", "model_version"),
        ({"model_version": "1"}, "model_version_not_found", "model_version"),
        ({"parameters": []}, "wrong_type", "parameters"),
        (
            {"outputs": [{"name": "decision", "parameters": {"classification": 2}}]},
            "extension_not_served",
            "parameters.classification",
        ),
        (
            {"outputs": [{"name": "decision", "parameters": {"shared_memory_region": "x"}}]},
            "extension_not_served",
            "parameters.shared_memory_region",
        ),
    ],
)
def test_contradictions_are_refused(more: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(ServingError) as refused:
        parse(v2_body(ROWS, **more))
    assert (refused.value.code, refused.value.field) == (code, field)


@given(st.text(max_size=1024))
def test_any_id_of_a_message_is_kept(text: str) -> None:
    if len(text.encode()) > 1024:
        return
    assert parse(v2_body(ROWS, id=text)).id == text
    named = request_id(None, text)
    assert named == text or len(named) == 32
    assert named.isascii()
    assert named.isprintable()


@pytest.mark.parametrize("text", ["x" * 1025, "\u4e2d" * 342])
def test_an_id_is_bounded(text: str) -> None:
    with pytest.raises(ServingError) as refused:
        check_client_id(text)
    assert refused.value.code == "client_id_too_long"


def test_a_header_wins_over_the_messages_id() -> None:
    assert request_id("header", "message") == "header"
    assert request_id("", "message") == request_id(None, "message") == "message"


# --- texts of errors -------------------------------------------------------------------------

ANY = st.text() | st.binary(max_size=200) | st.integers() | st.lists(st.text(), max_size=50)


@given(ANY)
def test_a_value_is_shown_short_and_on_one_line(value: Any) -> None:
    text = shown(value)
    assert len(text) <= 80
    assert text.isprintable()


@given(st.text(min_size=1), st.integers(1, 100_000))
def test_no_text_of_an_error_is_long_or_has_control_characters(text: str, times: int) -> None:
    long = (text * times)[:200_000]
    error = bad_input("code", f"inputs.{long}", long, long)
    for part in (error.field, error.found, error.wanted, str(error)):
        assert part.isprintable()
    assert len(str(error)) < 1200
    assert len(orjson.dumps(error.body("id"))) < 16_000


@pytest.mark.parametrize(
    "name",
    ["n" * 20_000, "a\r\nx-injected: 1", "\u202egnp.exe", "\u2028", "\ud800", "\u4e2d" * 9_999],
)
def test_a_strange_name_is_named_safely(name: str) -> None:
    with pytest.raises(ServingError) as refused:
        INPUTS.check_names([name], "inputs.")
    error = refused.value
    assert (error.code, error.status) == ("unknown_input", ErrorStatus.BAD_INPUT)
    assert len(error.field) <= 120
    assert error.field.isprintable()
    assert orjson.dumps(error.body("id"))

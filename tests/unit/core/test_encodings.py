"""Encodings: codes of known, unknown and missing values, held to a plain reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from feature_runtime.core.encodings import Encoding, EncodingError, Kind, check_vocabulary
from feature_runtime.core.values import texts_of
from proviso.release.writing import yaml_text

TEXT = st.text(max_size=6) | st.sampled_from(
    ["", "AA", "aa", "é", "e\u0301", "\0", "1", "None", "nan"]
)
WHOLE = st.integers(-(2**53) + 1, 2**53 - 1) | st.integers(-2, 2)


def column_of(values: list[Any]) -> np.ndarray[Any, Any]:
    """What the encoder has: an object array of strings, else doubles."""
    if any(isinstance(value, str) for value in values):
        return texts_of(values)
    return np.array([np.nan if v is None else v for v in values], dtype=np.float64)


def naive(vocabulary: list[Any], values: list[Any]) -> list[int]:
    """One value after the other, as the definition says it."""
    codes = []
    for value in values:
        if value is None:
            codes.append(len(vocabulary) + 1)
        elif value in vocabulary:
            codes.append(vocabulary.index(value))
        else:
            codes.append(len(vocabulary))
    return codes


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Any], list[Any]]:
    one = draw(st.sampled_from([TEXT, WHOLE, st.booleans()]))
    vocabulary = draw(st.lists(one, max_size=6, unique=True))
    some = st.sampled_from(vocabulary) if vocabulary else one
    return vocabulary, draw(st.lists(st.none() | one | some, max_size=12))


@given(cases(), st.sampled_from(["ordinal", "one_hot"]))
def test_codes_are_those_of_the_definition(case: tuple[list[Any], list[Any]], kind: Kind) -> None:
    vocabulary, values = case
    encoding = Encoding("x", kind, tuple(vocabulary))
    wanted = naive(vocabulary, values)
    assert encoding.codes(column_of(values)).tolist() == wanted
    columns = encoding.columns(column_of(values))
    assert columns.shape == (len(values), len(encoding.names("x")))
    if kind == "ordinal":
        assert columns[:, 0].tolist() == wanted
    else:
        assert columns.sum(axis=1).tolist() == [1.0] * len(values)
        assert columns.argmax(axis=1).tolist() == wanted


@given(cases())
@example(([*"\x85\u2028\u2029\n\r", "a\x85b"], []))
def test_a_vocabulary_survives_its_file(case: tuple[list[Any], list[Any]]) -> None:
    vocabulary, _ = case
    text = yaml_text({"v": vocabulary})
    read = yaml.load(text, Loader=yaml.CSafeLoader)["v"]
    assert read == vocabulary
    assert list(map(type, read)) == list(map(type, vocabulary))


@given(st.lists(TEXT, max_size=8, unique=True))
def test_every_column_has_a_name_of_its_own(vocabulary: list[str]) -> None:
    names = Encoding("x", "one_hot", tuple(vocabulary)).names("x")
    assert len(set(names)) == len(names) == len(vocabulary) + 2


def test_names_say_the_value() -> None:
    encoding = Encoding("carrier", "one_hot", ("AA", "unknown", 'a"b\n', "é"))
    assert encoding.names("carrier") == (
        "carrier=AA",
        "carrier=unknown",
        'carrier=a\\"b\\n',
        "carrier=é",
        "carrier__unknown",
        "carrier__missing",
    )
    assert Encoding("v:c", "ordinal", ("AA",)).names("v__c") == ("v__c",)


@pytest.mark.parametrize(
    ("kind", "vocabulary"),
    [
        ("ordinal", ["a", "a"]),
        ("ordinal", ["a", 1]),
        ("ordinal", [1, True]),
        ("ordinal", [1.5]),
        ("ordinal", [None]),
        ("ordinal", [2**53]),
        ("ordinal", ["x" * 1025]),
        ("ordinal", ["é" * 513]),
        ("ordinal", ["\ud800"]),
        ("ordinal", list(range(10_001))),
        ("one_hot", list(range(501))),
        ("ordinal", [f"{i:0>1024}" for i in range(1_025)]),
    ],
)
def test_a_vocabulary_that_no_encoder_can_apply_is_refused(
    kind: Kind, vocabulary: list[Any]
) -> None:
    with pytest.raises(EncodingError):
        check_vocabulary(kind, vocabulary)


def test_a_vocabulary_that_is_not_learnt_yet_encodes_nothing() -> None:
    with pytest.raises(EncodingError, match="not learnt"):
        Encoding("x", "ordinal", None).codes(texts_of(["a"]))

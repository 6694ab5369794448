"""A project's own functions: what their file may contain, and what a call of one gives."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_runtime.core import identity
from feature_runtime.core.moments import MISSING
from feature_runtime.core.project_functions import (
    Declaration,
    FunctionsError,
    OwnFunctions,
    load_beside,
    load_functions,
    load_pinned,
)

GOOD = b'''
"""Distances and codes."""
from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
RADIUS = 6371.0
CODES = {"UA": 1, "DL": 2}
EDGES = np.array([1.0, 2.0])


def half(x: Floats) -> Floats:
    return x / 2


def carrier(code):
    return np.array([CODES.get(c, 0) for c in code], dtype=np.int64)


def picky(x):
    if (x == 13).any():
        raise ValueError("unlucky")
    return x + 1


def single(x):
    return x if len(x) == 1 else x[:1]


def typed(x):
    return x.astype(np.float32)


def scaled(x):
    return x * 10.0
'''
X = ("float64",)


def load(*declarations: Declaration, source: bytes = GOOD) -> Any:
    return load_functions(source, declarations)


def call(name: str, *columns: Any, **declared: Any) -> Any:
    inputs = tuple("string" if c.dtype == object else "float64" for c in columns)
    declaration = Declaration(name, inputs, declared.pop("output", "float64"), **declared)
    return load(declaration)[name].evaluate(columns, len(columns[0]))


def test_a_function_of_numbers() -> None:
    found = call("half", np.array([1.0, np.nan, -4.0]))
    assert found.failures == ()
    np.testing.assert_array_equal(found.values, [0.5, np.nan, -2.0])


def test_a_function_of_texts_that_returns_integers() -> None:
    found = call("carrier", np.array(["UA", None, "DL"], dtype=object), output="int64")
    assert found.values.tolist() == [1.0, 0.0, 2.0]


def test_no_rows_are_no_values() -> None:
    assert call("half", np.array([])).values.tolist() == []


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_only_the_rows_concerned_fail(size: int) -> None:
    column = np.arange(float(size)) + 10
    found = call("picky", column)
    wrong = [i for i in range(size) if column[i] == 13]
    assert [(f.row, f.code) for f in found.failures] == [(i, "function_raised") for i in wrong]
    assert [i for i in range(size) if math.isnan(found.values[i])] == wrong
    assert all("unlucky" not in f.message for f in found.failures)  # may hold what a client sent


def test_a_wrong_shape_is_judged_row_by_row() -> None:
    assert call("single", np.array([1.0, 2.0])).values.tolist() == [1.0, 2.0]


def test_a_wrong_type_fails_every_row() -> None:
    found = call("typed", np.array([1.0, 2.0]))
    assert [f.code for f in found.failures] == ["function_wrong_dtype"] * 2


def test_bounds_refuse_rows_and_let_missing_values_through() -> None:
    found = call("scaled", np.array([-1.0, 0.0, np.nan, 1.0, 1.1]), minimum=0, maximum=10)
    assert [(f.row, f.code) for f in found.failures] == [
        (0, "function_out_of_bounds"),
        (4, "function_out_of_bounds"),
    ]
    np.testing.assert_array_equal(found.values, [np.nan, 0, np.nan, 10, np.nan])


def test_inputs_and_constants_cannot_be_changed() -> None:
    source = b"""
import numpy as np
TABLE = {"a": [1, 2]}
EDGES = np.zeros(3)

def writes(x):
    x[0] = 1.0
    return x

def keeps(x):
    TABLE["b"] = 1
    return x

def grows(x):
    TABLE["a"].append(3)
    return x

def moves(x):
    EDGES[0] = x[0]
    return x
"""
    for name in ("writes", "keeps", "grows", "moves"):
        function = load(Declaration(name, X, "float64"), source=source)[name]
        assert [f.code for f in function.evaluate([np.ones(1)], 1).failures] == ["function_raised"]


FUNCTION = "\ndef f(x):\n    return {}\n"


@pytest.mark.parametrize(
    ("source", "code"),
    [
        ("def f(x) return x", "functions_not_python"),
        ("x = '\0'", "functions_not_python"),
        ("import os", "functions_import_refused"),
        ("import time", "functions_import_refused"),
        ("import datetime", "functions_import_refused"),
        ("import numpy.random", "functions_import_refused"),
        ("from numpy import random", "functions_import_refused"),
        ("from numpy import *", "functions_import_refused"),
        ("from . import other", "functions_import_refused"),
        ("def f(x):\n    import math\n    return x", "functions_import_refused"),
        (FUNCTION.format("np.random.rand(len(x))"), "functions_name_refused"),
        (FUNCTION.format("open('data').read()"), "functions_name_refused"),
        (FUNCTION.format("eval('x')"), "functions_name_refused"),
        (FUNCTION.format("exec('x')"), "functions_name_refused"),
        (FUNCTION.format("__import__('os')"), "functions_name_refused"),
        (FUNCTION.format("getattr(x, 'y')"), "functions_name_refused"),
        (FUNCTION.format("hash('x')"), "functions_name_refused"),
        (FUNCTION.format("print(x)"), "functions_name_refused"),
        (FUNCTION.format("globals()"), "functions_name_refused"),
        (FUNCTION.format("x.__class__"), "functions_name_refused"),
        (FUNCTION.format("x._private"), "functions_name_refused"),
        (FUNCTION.format("'{0.dtype}'.format(x)"), "functions_name_refused"),
        (FUNCTION.format("x.tofile('data')"), "functions_name_refused"),
        (FUNCTION.format("nowhere(x)"), "functions_name_refused"),
        ("import numpy as np" + FUNCTION.format("np.load('data')"), "functions_name_refused"),
        (
            "import numpy as np" + FUNCTION.format("x - np.datetime64('now')"),
            "functions_clock_refused",
        ),
        ("n = 0\ndef f(x):\n    global n\n    n += 1\n    return x + n", "functions_state_refused"),
        ("def f(x, seen=[]):\n    return x", "functions_state_refused"),
        ("def f(x):\n    f.calls = 1\n    return x", "functions_state_refused"),
        ("import itertools\nids = itertools.count()", "functions_state_refused"),
        ("state = (i for i in range(9))", "functions_state_refused"),
        (
            "def g(x):\n    n = 0\n    def h():\n        nonlocal n\n        n += 1\n    return x",
            "functions_state_refused",
        ),
        ("class A:\n    pass", "functions_statement_refused"),
        ("@staticmethod\ndef f(x):\n    return x", "functions_statement_refused"),
        ("async def f(x):\n    return x", "functions_statement_refused"),
        ("while True:\n    pass", "functions_statement_refused"),
        ("[].append(1)", "functions_statement_refused"),
        (
            "def f(x):\n    try:\n        return x\n    except:\n        return x",
            "functions_statement_refused",
        ),
        ("scale = 1 / 0", "functions_raised"),
        ("other = 1", "function_missing"),
        ("f = len", "function_missing"),
    ],
)
def test_what_the_file_may_not_do(source: str, code: str) -> None:
    with pytest.raises(FunctionsError) as raised:
        load(Declaration("f", X, "float64"), source=source.encode())
    assert code in {fault.code for fault in raised.value.faults}


def test_every_fault_has_its_line() -> None:
    source = b"import os\n\ndef f(x):\n    return eval('x')\n"
    with pytest.raises(FunctionsError) as raised:
        load(Declaration("f", X, "float64"), source=source)
    assert [(f.code, f.line) for f in raised.value.faults] == [
        ("functions_import_refused", 1),
        ("functions_name_refused", 4),
    ]


def test_a_file_is_bounded_and_utf8() -> None:
    for source, code in (
        (b"# \xff", "functions_not_python"),
        (b"#" * (256 * 1024 + 1), "functions_too_large"),
    ):
        with pytest.raises(FunctionsError) as raised:
            load(source=source)
        assert raised.value.code == code


def test_a_file_of_another_digest_is_refused() -> None:
    own = OwnFunctions(identity.digest(GOOD), (Declaration("half", X, "float64"),))
    assert set(load_pinned(GOOD, own)) == {"half"}
    with pytest.raises(FunctionsError) as raised:
        load_pinned(GOOD + b"\n", own)
    assert raised.value.code == "functions_digest_mismatch"


def test_the_file_lies_beside_the_release(tmp_path: Path) -> None:
    own = OwnFunctions(identity.digest(GOOD), (Declaration("half", X, "float64"),))
    assert load_beside(tmp_path, None) == {}
    with pytest.raises(FunctionsError) as raised:
        load_beside(tmp_path, own)
    assert raised.value.code == "functions_unreadable"
    (tmp_path / "functions.py").write_bytes(GOOD)
    assert set(load_beside(tmp_path, own)) == {"half"}


def test_timestamps_are_microseconds() -> None:
    source = b"""
import numpy as np

MISSING = -(2**63)

def lead_hours(asked, departs):
    hours = (departs - asked) / 3_600_000_000
    return np.where(departs == MISSING, np.nan, hours)
"""
    declaration = Declaration("lead_hours", ("timestamp", "timestamp"), "float64")
    function = load(declaration, source=source)["lead_hours"]
    hour = 3_600_000_000
    found = function.evaluate([np.array([0, 0]), np.array([2 * hour, MISSING])], 2)
    np.testing.assert_array_equal(found.values, [2.0, np.nan])

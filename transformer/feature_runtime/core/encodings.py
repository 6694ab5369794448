"""Encodings: how a categorical element of the vector becomes numbers, by a frozen vocabulary.

`ordinal` is one number: the value's place in the vocabulary, n where it is not in it, n + 1 where
it is missing. `one_hot` is a column for each place. Values are compared exactly.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core.values import EXACT, Column, valid_text

Kind = Literal["ordinal", "one_hot"]
Category = str | int | bool

KINDS: tuple[Kind, ...] = ("ordinal", "one_hot")
MAX_VOCABULARY = 10_000
"""Values of a vocabulary; `release.yml` carries them, and every pod holds them in memory."""

MAX_COLUMNS = 500
"""Values of a vocabulary that is one-hot: each is a column of the model's input."""

MAX_VOCABULARY_BYTES = 1024 * 1024

UNKNOWN, MISSING = "unknown", "missing"
"""The two codes after those of the vocabulary, in this order."""

Codes = NDArray[np.int64]


class EncodingError(ValueError):
    """An encoding that no encoder can apply."""


@dataclass(frozen=True)
class Encoding:
    """The encoding of one element: a request or derived feature, or `view:feature`.

    vocabulary: None where it is still to be learnt, which only a project before its training has.
    """

    element: str
    kind: Kind
    vocabulary: tuple[Category, ...] | None

    @property
    def unknown(self) -> int:
        """The code of a value that is not in the vocabulary."""
        return len(self._known)

    @property
    def missing(self) -> int:
        """The code where there is no value."""
        return len(self._known) + 1

    def names(self, column: str) -> tuple[str, ...]:
        """The vector's names of the element whose own name is `column`."""
        if self.kind == "ordinal":
            return (column,)
        places = (f"{column}={_plain(value)}" for value in self.vocabulary or ())
        return (*places, f"{column}__{UNKNOWN}", f"{column}__{MISSING}")

    def columns(self, column: Column) -> NDArray[np.float64]:
        """The element [n] as the vector's columns [n, width]."""
        codes = self.codes(column)
        if self.kind == "ordinal":
            return codes.astype(np.float64)[:, None]
        hot: NDArray[np.bool_] = codes[:, None] == np.arange(self.missing + 1)
        return hot.astype(np.float64)

    def codes(self, column: Column) -> Codes:
        """The code [n] of each value."""
        return self._code(column)

    @property
    def _known(self) -> tuple[Category, ...]:
        if self.vocabulary is None:
            raise EncodingError(f"{self.element}: the vocabulary is not learnt yet")
        return self.vocabulary

    @cached_property
    def _code(self) -> Callable[[Column], Codes]:
        texts = all(isinstance(value, str) for value in self._known)
        return self._texts() if texts else self._numbers()

    def _texts(self) -> Callable[[Column], Codes]:
        """By a dictionary, in which None is missing. An empty vocabulary may be of numbers."""
        places: dict[object, int] = {value: i for i, value in enumerate(self._known)}
        places[None] = self.missing
        unknown, missing = self.unknown, self.missing

        def code(column: Column) -> Codes:
            if column.dtype != np.object_:
                return np.where(np.isnan(column), missing, unknown).astype(np.int64)
            found = [places.get(value, unknown) for value in column.tolist()]
            return np.array(found, dtype=np.int64)

        return code

    def _numbers(self) -> Callable[[Column], Codes]:
        """By a binary search of the sorted vocabulary."""
        values = np.array([float(value) for value in self._known], dtype=np.float64)
        order = np.argsort(values, kind="stable")
        ordered, last = values[order], len(values) - 1
        unknown, missing = self.unknown, self.missing

        def code(column: Column) -> Codes:
            place = np.minimum(np.searchsorted(ordered, column), last)
            known = np.where(ordered[place] == column, order[place], unknown)
            return np.where(np.isnan(column), missing, known).astype(np.int64)

        return code


def check_vocabulary(kind: Kind, vocabulary: Sequence[object]) -> None:
    """Raises EncodingError for values that an encoding cannot have."""
    most = MAX_COLUMNS if kind == "one_hot" else MAX_VOCABULARY
    if len(vocabulary) > most:
        raise EncodingError(f"found {len(vocabulary)} values, wanted at most {most} of {kind}")
    types = {type(value) for value in vocabulary}
    if len(types) > 1 or not types <= {str, int, bool}:
        names = sorted(one.__name__ for one in types)
        found = f"found values of {', '.join(names)}"
        raise EncodingError(f"{found}, wanted strings, integers or bools")
    if len(set(vocabulary)) != len(vocabulary):
        raise EncodingError("found a value twice, wanted each once")
    size = 0
    for value in vocabulary:
        if isinstance(value, str):
            if not valid_text(value):
                raise EncodingError(f"found {value[:40]!r}, wanted a shorter string of UTF-8")
            size += len(value.encode())
        elif isinstance(value, int) and abs(value) >= EXACT:
            raise EncodingError(f"found {value}, wanted an integer below 2^53")
    if size > MAX_VOCABULARY_BYTES:
        wanted = f"at most {MAX_VOCABULARY_BYTES}"
        raise EncodingError(f"found values of {size} bytes, wanted {wanted} in all")


def _plain(value: Category) -> str:
    """A value in a column's name: control characters, quotes and backslashes are escaped."""
    return json.dumps(value, ensure_ascii=False).removeprefix('"').removesuffix('"')

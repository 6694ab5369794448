"""Expects a refusal by its code: `with refused("view_unknown") as problems: ...`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proviso.contracts.base import InputError, Problem, ValidationFailed


@contextmanager
def refused(*codes: str, by: type[ValidationFailed] = InputError) -> Iterator[list[Problem]]:
    """The problems of the error that the block raises, filled in when it ends."""
    problems: list[Problem] = []
    with pytest.raises(by) as raised:
        yield problems
    problems += raised.value.problems
    assert [problem.code for problem in problems] == list(codes)

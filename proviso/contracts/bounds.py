"""`Bound`, a limit of a figure such as `<= 150`: parsed, judged and printed here only."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, InstanceOf, PlainSerializer

from proviso.contracts.base import invalid

Sign = Literal["<=", "<", ">=", ">"]
Side = Literal["upper", "lower"]

_FORM = re.compile(r"(<=|>=|<|>) ?(\d+(?:\.\d+)?)")
_HOLDS: Mapping[Sign, Callable[[float, float], bool]] = {
    "<=": operator.le,
    "<": operator.lt,
    ">=": operator.ge,
    ">": operator.gt,
}
_NEGATED: Mapping[Sign, Sign] = {"<=": ">", "<": ">=", ">=": "<", ">": "<="}
_WORDS: Mapping[Sign, str] = {"<=": "at most", "<": "below", ">=": "at least", ">": "above"}


@dataclass(frozen=True)
class Bound:
    """The values on one side of a limit; `<=` and `>=` include the limit itself."""

    sign: Sign
    limit: float

    @classmethod
    def parse(cls, text: str) -> Bound:
        """The bound that a file states, `<= 150`. Raises ValueError."""
        match = _FORM.fullmatch(text)
        sign = next((sign for sign in _HOLDS if match and match[1] == sign), None)
        if match is None or sign is None:
            raise ValueError(f"found {text!r}, wanted a bound such as <= 150")
        return cls(sign, float(match[2]))

    @classmethod
    def at_most(cls, limit: float) -> Bound:
        return cls("<=", limit)

    @classmethod
    def at_least(cls, limit: float) -> Bound:
        return cls(">=", limit)

    @property
    def side(self) -> Side:
        """`upper` when values below the limit hold."""
        return "upper" if self.sign in {"<=", "<"} else "lower"

    @property
    def number(self) -> str:
        """The limit as text, without digits that a binary fraction adds."""
        return f"{self.limit:.12g}"

    @property
    def words(self) -> str:
        """The bound in a sentence: `at most 150`."""
        return f"{_WORDS[self.sign]} {self.number}"

    def __str__(self) -> str:
        return f"{self.sign} {self.number}"

    def holds(self, value: float) -> bool:
        """Whether the value is within the bound; NaN never is."""
        return _HOLDS[self.sign](value, self.limit)

    def negated(self) -> Bound:
        """The bound of all values that this one does not hold for."""
        return Bound(_NEGATED[self.sign], self.limit)

    def looser_than(self, other: Bound) -> bool:
        """Whether it lets values pass that `other`, a bound of the same side, does not."""
        if self.side != other.side:
            return False
        upper = self.side == "upper"
        return self.limit > other.limit if upper else self.limit < other.limit

    def overlaps(self, other: Bound) -> bool:
        """Whether some value is within both, for two bounds of opposite sides; else False."""
        if self.side == other.side:
            return False
        if self.limit == other.limit:
            return self.holds(other.limit) and other.holds(self.limit)
        return self.holds(other.limit)


def _parsed(value: Any) -> Bound:
    if isinstance(value, Bound):
        return value
    try:
        return Bound.parse(value)
    except (TypeError, ValueError):
        raise invalid("bound_invalid", repr(value), "a bound such as <= 150") from None


Threshold = Annotated[InstanceOf[Bound], BeforeValidator(_parsed), PlainSerializer(str)]
"""A bound in a file, written as text."""

"""What all contract models share: strictness, durations, names, and problems with a path."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic_core import PydanticCustomError

from feature_runtime.core.moments import DAY, format_duration, parse_day, parse_duration


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: a value in a file, or an event such as a refused connection.

    A value has a path, what was found there and what is expected; an event has a message and the
    path or address that it concerns. code: stable, for machines, tests and docs/errors.md. why:
    the reason, or what to do. line, column: where in the file, from 1; 0 where that is not known.
    """

    path: str
    found: str = ""
    wanted: str = ""
    why: str = ""
    code: str = "invalid_value"
    message: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        reason = f" ({self.why})" if self.why else ""
        column = f", column {self.column}" if self.column else ""
        place = f" (line {self.line}{column})" if self.line else ""
        what = self.message or f"found {self.found}, wanted {self.wanted}"
        return f"{self.path}: {what}{reason}{place}"

    @property
    def printed(self) -> str:
        """The problem as a command prints it, with its code."""
        return f"{self} [{self.code}]"


class ValidationFailed(ValueError):
    """Input that does not pass: carries every problem found, in reading order."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


class ContractError(ValidationFailed):
    """Contract files that do not pass: the check says no (exit 1)."""


class InputError(ValidationFailed):
    """A file, argument or address that cannot be used: wrong use (exit 2)."""

    @classmethod
    def of(
        cls, path: object, found: str, wanted: str, why: str = "", *, code: str = "invalid_input"
    ) -> InputError:
        """The error of a single value."""
        return cls([Problem(str(path), found, wanted, why, code)])

    @classmethod
    def event(cls, code: str, message: str, path: object, why: str = "") -> InputError:
        """The error of an event: what happened, to what, and what to do."""
        return cls([Problem(str(path), why=why, code=code, message=message)])


class Strict(BaseModel):
    """A model that refuses unknown keys, infinities and NaN, and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with other values, without the properties that were cached for the old ones."""
        made = super().model_copy(update=update, deep=deep)
        for name in made.__dict__.keys() - type(made).model_fields.keys():
            del made.__dict__[name]
        return made


def invalid(code: str, found: str, wanted: str) -> PydanticCustomError:
    """What a validator of a model raises: the problem's code, and the two halves of its text."""
    context = {"found": found, "wanted": wanted}
    return PydanticCustomError(code, "found {found}, wanted {wanted}", context)


def _duration(value: Any) -> int:
    try:
        return parse_duration(value)
    except (TypeError, ValueError):
        wanted = "an ISO 8601 duration in days, hours, minutes, seconds (P7D, PT10M)"
        raise invalid("duration_invalid", repr(value), wanted) from None


def _date(value: Any) -> datetime.date:
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    try:
        return datetime.date(1970, 1, 1) + datetime.timedelta(parse_day(str(value)) // DAY)
    except ValueError:
        raise invalid("date_invalid", repr(value), "a date such as 2026-01-31") from None


Duration = Annotated[int, BeforeValidator(_duration), PlainSerializer(format_duration)]
"""Microseconds, written as an ISO 8601 duration in days, hours, minutes, seconds."""

Span = Annotated[Duration, Field(gt=0)]
"""A duration that is not zero."""

ALL_TIME = 2**60
"""The window that no event leaves, in microseconds: longer than all moments together."""


def _window(value: Any) -> int:
    return ALL_TIME if value == "all" else _duration(value)


def window_text(window: int) -> str:
    """A window as a contract states it."""
    return "all" if window == ALL_TIME else format_duration(window)


Window = Annotated[int, BeforeValidator(_window), Field(gt=0), PlainSerializer(window_text)]
"""A span of time before a row, or `all`, which nothing leaves."""

Date = Annotated[datetime.date, BeforeValidator(_date)]

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
"""A name that is safe in SQL, in a key and in a column."""

Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@:/ -]{0,126}$")]
"""A short human name: an owner, a role, a stage."""

Text = Annotated[str, Field(pattern=r"\S", max_length=2000)]
"""Words for a reader: not blank, bounded."""

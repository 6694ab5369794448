"""Spellings of the release before: they work for one release, with a line on stderr."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_CALLED = "proviso.old_name"


@dataclass(frozen=True)
class Spelling:
    """Words that begin a command, and those that replace them. flag: an option that goes."""

    old: str
    new: str
    flag: str = ""

    def matches(self, words: Sequence[str]) -> bool:
        old = self.old.split()
        return list(words[: len(old)]) == old and (not self.flag or self.flag in words)

    def current(self, words: Sequence[str]) -> list[str]:
        rest = words[len(self.old.split()) :]
        return [*self.new.split(), *(word for word in rest if word != self.flag or not self.flag)]


SPELLINGS = (
    Spelling("freshness", "check freshness"),
    Spelling("coverage", "check coverage"),
    Spelling("drift", "check drift"),
    Spelling("skew sign", "check sign"),
    Spelling("skew", "check skew"),
    Spelling("shadow", "check shadow"),
    Spelling("load", "check load"),
    Spelling("produce", "stream produce"),
    Spelling("landed", "stream export"),
    Spelling("certify", "releases certify"),
    Spelling("rotate-store-password", "store rotate-password"),
    Spelling("schemas", "schemas collect", "--collect"),
)
"""In the order in which they are tried."""


def current_spelling(words: Sequence[str]) -> tuple[list[str], Spelling | None]:
    """The words in today's spelling, and which old one they were in."""
    for spelling in SPELLINGS:
        if spelling.matches(words):
            return spelling.current(words), spelling
    if _lists_schemas(words):
        spelling = Spelling("schemas", "schemas list", "--dry-run")
        return spelling.current(words), spelling
    return list(words), None


def mark_old_name(ctx: Any) -> None:
    """Notes in the context that the command was called by an old name."""
    ctx.meta[_CALLED] = True


def called_by_old_name(ctx: Any) -> bool:
    """Whether the command was called by an old name, whose results keep their old shape."""
    return _CALLED in ctx.meta


def _lists_schemas(words: Sequence[str]) -> bool:
    """`schemas` was a command: an option followed it, not a subcommand."""
    return (
        len(words) > 1
        and words[0] == "schemas"
        and words[1].startswith("-")
        and words[1] != "--help"
    )

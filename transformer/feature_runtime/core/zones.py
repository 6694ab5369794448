"""Time zones as tables of UTC offsets, from the IANA data that the package `tzdata` pins.

A zone's table is made once and holds every moment: the file's own transitions, then 400 years of
the rule in its footer. The Gregorian calendar repeats every 400 years, so a later moment has the
offset of the moment that many cycles before it. The operating system's time zone data, which
differs from machine to machine, is never read.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from importlib import resources
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core.coded import CodedError
from feature_runtime.core.moments import DAY, HOUR, MINUTE, MISSING, SECOND

Moments = NDArray[np.int64]

UTC_NAME = "UTC"
_CYCLE = 146_097 * DAY
"""400 Gregorian years, whole weeks: rules by month, week and weekday repeat after it."""
_CYCLE_YEARS = 400
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9][A-Za-z0-9_+-]*){0,2}", re.ASCII)
_UNITS = (HOUR, MINUTE, SECOND)
_MAGIC = b"TZif"
_HEADER = struct.Struct(">4sc15x6I")
_ABBREVIATION = r"(?:[A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)"
_OFFSET = r"[+-]?\d{1,3}(?::\d\d){0,2}"
_CHANGE = rf"M(\d\d?)\.(\d)\.(\d)(?:/({_OFFSET}))?"
_FOOTER = re.compile(
    rf"{_ABBREVIATION}({_OFFSET})(?:{_ABBREVIATION}({_OFFSET})?,{_CHANGE},{_CHANGE})?", re.ASCII
)


class ZoneError(CodedError):
    """A time zone that this package's data does not have, or has with other rules."""


@dataclass(frozen=True)
class Zone:
    """A time zone: at `transitions` [m] (UTC) the offset becomes the next of `offsets` [m + 1].

    repeats: whether the last 400 years of transitions go on for ever.
    """

    name: str
    transitions: Moments
    offsets: Moments
    repeats: bool

    @cached_property
    def digest(self) -> str:
        """`sha256:<hex>` of the table: equal digests give equal local times at every moment."""
        content = hashlib.sha256(b"repeats\n" if self.repeats else b"ends\n")
        for column in (self.transitions, self.offsets):
            content.update(column.astype(">i8").tobytes())
        return f"sha256:{content.hexdigest()}"

    def local(self, at: Moments) -> Moments:
        """Wall-clock time of moments [n], as microseconds since 1970-01-01T00:00 on that clock.

        A missing moment stays missing.
        """
        if not len(self.transitions):
            return at if not self.offsets[0] else _shifted(at, self.offsets[0])
        return _shifted(
            at, self.offsets[np.searchsorted(self.transitions, self._within(at), "right")]
        )

    def _within(self, at: Moments) -> Moments:
        """Moments after the table's end, moved into it by whole cycles."""
        last = int(self.transitions[-1])
        if not self.repeats or not (at > last).any():
            return at
        cycles = np.where(at > last, -((last - at) // _CYCLE), 0)
        return np.asarray(at - cycles * _CYCLE)


def _shifted(at: Moments, offset: Moments | np.int64) -> Moments:
    return np.asarray(np.where(at == MISSING, MISSING, at + offset))


@cache
def zone(name: str) -> Zone:
    """The zone of an IANA name. Raises ZoneError for a name that the data does not have."""
    if name == UTC_NAME:
        return Zone(name, np.empty(0, np.int64), np.zeros(1, np.int64), repeats=False)
    return _parse(name, _data(name))


def pinned_zone(name: str, digest: str) -> Zone:
    """The zone, whose table must be the one of a digest. Raises ZoneError."""
    found = zone(name)
    if found.digest != digest:
        said = f"time zone {name}: found rules {found.digest}, wanted {digest}"
        raise ZoneError(said, code="time_zone_rules_mismatch")
    return found


def _data(name: str) -> bytes:
    """The zone's TZif file in the package `tzdata`."""
    if _NAME.fullmatch(name):
        file = resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
        try:
            content = file.read_bytes()
        except OSError:
            content = b""
        if content.startswith(_MAGIC):
            return content
    said = f"found {name[:64]!r}, wanted an IANA time zone such as America/New_York"
    raise ZoneError(said, code="time_zone_unknown")


def _parse(name: str, content: bytes) -> Zone:
    """The table of a TZif file (RFC 9636): its second block, which has 64-bit moments."""
    block = content[_block_size(content, 4) :]
    _, _, isutc, isstd, leap, moments, kinds, letters = _HEADER.unpack_from(block)
    at = _HEADER.size
    times = np.frombuffer(block, ">i8", moments, at).astype(np.int64)
    at += 8 * moments
    index = np.frombuffer(block, np.uint8, moments, at)
    at += moments
    seconds = [struct.unpack_from(">i", block, at + 6 * i)[0] for i in range(kinds)]
    footer = block[at + 6 * kinds + letters + 12 * leap + isstd + isutc :].strip(b"\n").decode()
    own = np.array([seconds[0], *(seconds[i] for i in index)], dtype=np.int64) * SECOND
    return _with_rule(name, times * SECOND, own, footer)


def _block_size(content: bytes, width: int) -> int:
    """Bytes of a header and its data, of which moments take `width` bytes each."""
    _, _, isutc, isstd, leap, moments, kinds, letters = _HEADER.unpack_from(content)
    data = moments * (width + 1) + 6 * kinds + letters + leap * (width + 4) + isstd + isutc
    return _HEADER.size + int(data)


def _with_rule(name: str, times: Moments, offsets: Moments, footer: str) -> Zone:
    """The file's own transitions, without those that change nothing, and the footer's."""
    rule = _rule(name, footer)
    after = _rule_transitions(rule, times) if rule else []
    times = np.concatenate([times, np.array([t for t, _ in after], dtype=np.int64)])
    offsets = np.concatenate([offsets, np.array([o for _, o in after], dtype=np.int64)])
    changes = np.flatnonzero(np.diff(offsets))
    kept = np.concatenate([offsets[:1], offsets[changes + 1]])
    return Zone(name, times[changes], kept, repeats=bool(after))


class _Change(NamedTuple):
    """When a rule's offset begins: weekday `day` (0 Sunday) of the month's `week` (5 the last), at
    `clock` after midnight of the clock of before."""

    month: int
    week: int
    day: int
    clock: int

    def in_year(self, year: int) -> int:
        """Microseconds of the change on the clock of before."""
        first = _day_number(year, self.month)
        following = _day_number(year + self.month // 12, self.month % 12 + 1)
        day = first + (self.day - (first + 4)) % 7 + 7 * (self.week - 1)
        while day >= following:
            day -= 7
        return day * DAY + self.clock


class _Rule(NamedTuple):
    """A footer with summer time: offsets and the two changes of a year."""

    standard: int
    summer: int
    starts: _Change
    ends: _Change


def _rule(name: str, footer: str) -> _Rule | None:
    """The footer as a rule; None for one offset for ever, which the last transition has."""
    match = _FOOTER.fullmatch(footer)
    if match is None:
        said = f"time zone {name}: found a rule {footer!r}, wanted one by months and weeks"
        raise ZoneError(said, code="time_zone_unknown")
    if match[3] is None:
        return None
    standard = -_clock(match[1])
    summer = standard + HOUR if match[2] is None else -_clock(match[2])
    return _Rule(standard, summer, _change(match.groups()[2:6]), _change(match.groups()[6:10]))


def _change(groups: tuple[str | None, ...]) -> _Change:
    month, week, day = (int(text or 0) for text in groups[:3])
    return _Change(month, week, day, 2 * HOUR if groups[3] is None else _clock(groups[3]))


def _clock(text: str) -> int:
    """`[+-]h[:mm[:ss]]` in microseconds."""
    sign = -1 if text.startswith("-") else 1
    parts = [int(part) for part in text.lstrip("+-").split(":")]
    return sign * sum(part * unit for part, unit in zip(parts, _UNITS, strict=False))


def _rule_transitions(rule: _Rule, times: Moments) -> list[tuple[int, int]]:
    """A rule's transitions after the file's own: a whole cycle of whole years, and one more."""
    last = int(times[-1]) if len(times) else -(2**62)
    first_year = 1970 + int(np.int64(max(last, 0)) // (365 * DAY)) - 1
    found = []
    for year in range(first_year, first_year + _CYCLE_YEARS + 3):
        found.append((rule.starts.in_year(year) - rule.standard, rule.summer))
        found.append((rule.ends.in_year(year) - rule.summer, rule.standard))
    return sorted(change for change in found if change[0] > last)


def _day_number(year: int, month: int) -> int:
    """Days from 1970-01-01 to the first of a month."""
    return (date(year, month, 1) - date(1970, 1, 1)).days

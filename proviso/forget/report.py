"""What was removed, and what remains and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Removed:
    """rows of a table, lines of a record, keys of the store."""

    place: str
    what: str
    count: int


@dataclass(frozen=True)
class Remaining:
    """A place that still has the entity, or may have. unfinished: another call can end it."""

    place: str
    code: str
    why: str
    unfinished: bool = False


@dataclass
class Report:
    """searched: files that were looked into."""

    entity: str
    dry_run: bool
    searched: int = 0
    removed: list[Removed] = field(default_factory=list)
    remains: list[Remaining] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        return not any(one.unfinished for one in self.remains)

    def took(self, place: Path | str, what: str, count: int) -> None:
        """Notes what a place lost; nothing where it had nothing."""
        if count:
            self.removed.append(Removed(str(place), what, count))

    def keeps(self, place: Path | str, code: str, why: str, *, unfinished: bool = False) -> None:
        self.remains.append(Remaining(str(place), code, why, unfinished))

    def as_dict(self) -> dict[str, Any]:
        """For machines."""
        return {**asdict(self), "finished": self.finished}

    @property
    def text(self) -> str:
        verb = "would remove" if self.dry_run else "removed"
        lines = [f"{verb} {one.count:,} {one.what}: {one.place}" for one in self.removed]
        if not lines:
            lines = [f"{self.entity} is in none of {self.searched} files"]
        lines += [f"remains [{one.code}] {one.place}: {one.why}" for one in self.remains]
        return "\n".join(lines)

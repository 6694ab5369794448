"""The base of errors that name a fault by a stable code (docs/errors.md)."""

from __future__ import annotations


class CodedError(ValueError):
    """A fault. code: stable, for machines and tests; the text may be reworded."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def printed(self) -> str:
        """The fault as a program prints it, with its code."""
        return f"{self} [{self.code}]"

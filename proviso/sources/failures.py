"""Errors of places that rows are read from, with their codes."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import ModuleType

from proviso.contracts.base import InputError, ValidationFailed

_SHOWN = 500  # characters of another library's message


def extra_module(module: str, extra: str, shown: str) -> ModuleType:
    """A module of an optional dependency. Raises InputError where it is not installed."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        message = f"the Python package of `{error.name}` is not installed"
        why = f"pip install 'proviso[{extra}]'"
        raise InputError.event("source_extra_missing", message, shown, why) from error


@contextmanager
def reported(shown: str, secrets: Iterable[str] = ()) -> Iterator[None]:
    """Raises InputError `source_unreadable` for whatever a library raises, without the secrets."""
    try:
        yield
    except (ValidationFailed, GeneratorExit):
        raise
    except Exception as error:  # noqa: BLE001 - drivers raise errors of many kinds
        reason = " ".join(f"{error}".split()) or type(error).__name__
        for secret in secrets:
            reason = reason.replace(secret, "***")
        # The cause is left out: its message may hold the secret.
        raise InputError.event("source_unreadable", reason[:_SHOWN], shown) from None

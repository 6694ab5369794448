"""The functions of a project: its `functions.py`, loaded and called.

Training, batch scoring, replay and the pod load the same bytes, whose digest the release's service
section states, and call them by the same code: with read-only arrays, a whole batch at once. Where
that fails, the rows concerned are found and get a failure; the others keep their values.
"""

from __future__ import annotations

import builtins
import re
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core import identity
from feature_runtime.core.coded import CodedError
from feature_runtime.core.functions import Floats
from feature_runtime.core.project_source import BUILTINS, SourceFault, source_faults

FUNCTIONS_FILE = "functions.py"
MAX_BYTES = 256 * 1024

OUTPUTS: Mapping[str, type[np.generic]] = MappingProxyType(
    {"float64": np.float64, "int64": np.int64, "bool": np.bool_}
)
"""What a function may return, by the contract's word; only float64 has a missing value, NaN."""

INPUTS = ("float64", "string", "timestamp")
"""float64 [n] for numbers and truth values, NaN where missing; object [n] of str, None where
missing; int64 [n] of microseconds, `moments.MISSING` where missing."""

_CONSTANTS = (
    *(type(None), bool, int, float, complex, str, bytes, range, type, np.generic, np.dtype),
    *(np.ufunc, re.Pattern, types.FunctionType, types.BuiltinFunctionType, types.ModuleType),
    *(types.GenericAlias, types.UnionType),
)
_TYPING = ("typing", "collections.abc", "__future__")


@dataclass(frozen=True)
class Declaration:
    """What the contract states of a function. inputs: dtypes in the order of its parameters.

    minimum, maximum: inclusive bounds of its values, None without one.
    """

    name: str
    inputs: tuple[str, ...]
    output: str
    minimum: float | None = None
    maximum: float | None = None


@dataclass(frozen=True)
class OwnFunctions:
    """What a release states of its `functions.py`: its digest, and the functions that it uses."""

    digest: str
    declarations: tuple[Declaration, ...]


class FunctionsError(CodedError):
    """A `functions.py` that cannot be loaded; faults: everything that is wrong with it."""

    def __init__(self, faults: Sequence[SourceFault]) -> None:
        super().__init__(f"{FUNCTIONS_FILE}: {faults[0]}", code=faults[0].code)
        self.faults = tuple(faults)


class Failure(NamedTuple):
    """A row that a function gave no usable value for."""

    row: int
    code: str
    message: str


class Evaluated(NamedTuple):
    """values [n], NaN where missing or failed, and the rows that failed."""

    values: Floats
    failures: tuple[Failure, ...]


@dataclass(frozen=True)
class ProjectFunction:
    """One function: its declaration and its code."""

    declaration: Declaration
    call: Callable[..., Any]

    def evaluate(self, columns: Sequence[NDArray[Any]], size: int) -> Evaluated:
        """The function of its inputs' columns, each [size]. No exception of it comes out."""
        values = np.full(size, np.nan)
        failures: list[Failure] = []
        parts = [slice(0, size)]
        while parts:
            part = parts.pop()
            result = self._attempt([column[part] for column in columns], part.stop - part.start)
            if not isinstance(result, Failure):
                values[part] = result
            elif part.stop - part.start > 1:
                middle = (part.start + part.stop) // 2
                parts += [slice(middle, part.stop), slice(part.start, middle)]
            elif size:
                failures.append(result._replace(row=part.start))
        return self._bounded(values, failures)

    def _attempt(self, columns: Sequence[NDArray[Any]], size: int) -> Floats | Failure:
        """The values of some rows, or why there are none: of one row it is that row's failure."""
        try:
            with np.errstate(all="ignore"):
                found = self.call(*map(_read_only, columns))
        except Exception as error:  # noqa: BLE001  # whatever the project's code raises
            return Failure(0, "function_raised", f"raised {type(error).__name__}")
        wanted = OUTPUTS[self.declaration.output]
        if not isinstance(found, np.ndarray) or found.shape != (size,):
            shape = (
                f"shape {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
            )
            return Failure(0, "function_wrong_shape", f"returned {shape} for {size} rows")
        if found.dtype != wanted:
            said = f"returned {found.dtype}, declared is {self.declaration.output}"
            return Failure(0, "function_wrong_dtype", said)
        return found.astype(np.float64)

    def _bounded(self, values: Floats, failures: list[Failure]) -> Evaluated:
        """Values beyond a bound fail; a missing one is within all."""
        low, high = self.declaration.minimum, self.declaration.maximum
        below = np.zeros(len(values), np.bool_) if low is None else values < low
        above = np.zeros(len(values), np.bool_) if high is None else values > high
        for row in np.flatnonzero(below | above).tolist():
            bound = f"less than {low}" if below[row] else f"more than {high}"
            failures.append(Failure(row, "function_out_of_bounds", f"returned {bound}"))
            values[row] = np.nan
        return Evaluated(values, tuple(sorted(failures)))


Library = Mapping[str, ProjectFunction]
"""Loaded functions by name."""

NO_FUNCTIONS: Library = MappingProxyType({})


def load_functions(source: bytes, declarations: Sequence[Declaration]) -> Library:
    """The declared functions of a file. Raises FunctionsError with every fault of its text."""
    if len(source) > MAX_BYTES:
        found = f"{len(source)} bytes"
        raise FunctionsError([SourceFault("functions_too_large", found, f"at most {MAX_BYTES}")])
    try:
        text = source.decode()
    except UnicodeDecodeError as error:
        found = f"byte {error.start} that is not UTF-8"
        raise FunctionsError([SourceFault("functions_not_python", found, "UTF-8 text")]) from None
    if faults := source_faults(text):
        raise FunctionsError(faults)
    module = _executed(text)
    missing = [d.name for d in declarations if not isinstance(module.get(d.name), _FUNCTION)]
    if missing:
        found, wanted = f"no function {', '.join(missing)}", "every function that is declared"
        raise FunctionsError([SourceFault("function_missing", found, wanted)])
    return MappingProxyType({d.name: ProjectFunction(d, module[d.name]) for d in declarations})


def load_pinned(source: bytes, own: OwnFunctions) -> Library:
    """As `load_functions`, for a file that must have a digest. Raises FunctionsError."""
    found = identity.digest(source)
    if found != own.digest:
        fault = SourceFault("functions_digest_mismatch", found, f"{own.digest} of the release")
        raise FunctionsError([fault])
    return load_functions(source, own.declarations)


def load_beside(folder: Path, own: OwnFunctions | None) -> Library:
    """The functions of a release directory; none where the release uses none of its own.

    Raises FunctionsError.
    """
    if own is None:
        return NO_FUNCTIONS
    try:
        source = (folder / FUNCTIONS_FILE).read_bytes()
    except OSError as error:
        found = (error.strerror or "an error").lower()
        fault = SourceFault(
            "functions_unreadable", found, "the file that the release was made with"
        )
        raise FunctionsError([fault]) from error
    return load_pinned(source, own)


_FUNCTION = types.FunctionType


def _executed(text: str) -> dict[str, Any]:
    """The module's names; what they hold cannot change any more."""
    names: dict[str, Any] = {"__name__": "project_functions", "__builtins__": _allowed()}
    try:
        exec(compile(text, FUNCTIONS_FILE, "exec"), names)  # the project's own code
    except Exception as error:
        line = error.__traceback__.tb_next.tb_lineno if error.__traceback__.tb_next else 0  # type: ignore[union-attr]
        found = f"{type(error).__name__}: {error}"
        raise FunctionsError(
            [SourceFault("functions_raised", found, "a module that loads", line)]
        ) from error
    for name, value in names.items():
        if not name.startswith("__"):
            names[name] = _sealed(name, value)
    return names


def _allowed() -> dict[str, Any]:
    """The built-in names of the module. NumPy's C code imports by its caller's `__import__`."""
    allowed = {name: getattr(builtins, name) for name in BUILTINS}
    return {**allowed, "__import__": builtins.__import__}


def _sealed(name: str, value: Any) -> Any:
    """The value as one that cannot change. Raises FunctionsError for one that would."""
    match value:
        case np.ndarray():
            for element in value.flat if value.dtype == object else ():
                _sealed(name, element)
            value.setflags(write=False)
            return value
        case dict():
            return MappingProxyType({key: _sealed(name, one) for key, one in value.items()})
        case list() | tuple():
            return tuple(_sealed(name, one) for one in value)
        case set() | frozenset():
            return frozenset(value)
    if isinstance(value, _CONSTANTS) or type(value).__module__ in (
        "typing",
        "collections.abc",
        "__future__",
    ):
        return value
    found = f"{name}, a {type(value).__name__}"
    wanted = "constants: what a module holds is shared by all calls"
    raise FunctionsError([SourceFault("functions_state_refused", found, wanted)])


def _read_only(column: NDArray[Any]) -> NDArray[Any]:
    """The column, contiguous, so that every batch takes the same path through NumPy."""
    view = np.ascontiguousarray(column).view()
    view.flags.writeable = False
    return view

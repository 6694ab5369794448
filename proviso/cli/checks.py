"""`proviso check NAME`: a command for every registered check, made from the check's options.

A new check needs nothing here: its registration names it, its options become the command's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import MISSING, Field, fields
from functools import partial
from inspect import Parameter, Signature
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

import typer
from typer.core import TyperGroup

from proviso.checks.evidence import Evidence
from proviso.checks.registry import REGISTERED, Check, CheckContext, Option, check_named
from proviso.cli.console import emit, given_moment, note
from proviso.cli.deprecated import called_by_old_name
from proviso.cli.lazy import LazyCommand, command_of, group, lazy_command
from proviso.cli.options import EvidenceDir, Json, ReleaseDir, StorePasswordFile, StoreUrl
from proviso.cli.outputs import check_written
from proviso.contracts.base import InputError
from proviso.contracts.loading import load_contract, load_plan
from proviso.online.store import OnlineStore
from proviso.release.directory import read_release

EVIDENCE = Path("evidence")
_RECORDS = tuple[Path, ...]
_TEXTS = tuple[str, ...]
_OptionalRelease = Annotated[
    Path | None, typer.Option("--release", help="Release directory (default: the plan's service).")
]


def check() -> TyperGroup:
    """The group: the registered checks in their order, and the signature of a skew check's row."""
    checks = [
        LazyCommand(name, registration.measures, None, partial(_command, name))
        for name, registration in REGISTERED.items()
    ]
    sign = lazy_command("sign", "Sign one REVIEW row of a skew check, for a time.", "sign:sign")
    return group("check", "Measure a release, its store and its endpoint.", [*checks, sign])


def _command(name: str) -> Any:
    chosen = check_named(name)

    def run(ctx: typer.Context, **given: Any) -> None:
        _run(chosen, ctx, given)

    context = Parameter("ctx", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    run.__signature__ = Signature([context, *_parameters(chosen)])  # type: ignore[attr-defined]
    return command_of(name, run, REGISTERED[name].measures)


def _parameters(chosen: Check[Any]) -> Iterator[Parameter]:
    if chosen.needs_release:
        yield _parameter("release", ReleaseDir)
    else:
        yield _parameter("release", _OptionalRelease, None)
    for field, kind, option in _options(chosen):
        yield from _field_parameters(field, kind, option)
    yield _parameter("evidence", EvidenceDir, None)
    yield _parameter("as_json", Json, False)


def _options(chosen: Check[Any]) -> Iterator[tuple[Field[Any], Any, Option]]:
    """Every field of the check's options with its type and its Option."""
    hints = get_type_hints(chosen.options, include_extras=True)
    for field in fields(chosen.options):
        kind, option = get_args(hints[field.name])
        yield field, kind, option


def _field_parameters(field: Field[Any], kind: Any, option: Option) -> Iterator[Parameter]:
    """The command's parameters for one field; a store has two: its address and its password."""
    default = Parameter.empty if field.default is MISSING else field.default
    if kind is OnlineStore:
        yield _parameter("store", StoreUrl)
        yield _parameter("store_password_file", StorePasswordFile, None)
        return
    if option.moment:
        kind, default = str, "now" if default is None else default
    elif kind == _RECORDS:
        kind = list[Path]
    elif kind == _TEXTS:
        kind, default = list[str] | None, default or None
    low, high = (
        int(bound) if bound is not None and kind is int else bound
        for bound in (option.min, option.max)
    )
    name = f"--{field.name.replace('_', '-')}"
    offered = typer.Option(name, help=option.help, min=low, max=high)
    yield _parameter(field.name, Annotated[kind, offered], default)


def _parameter(name: str, annotation: Any, default: Any = Parameter.empty) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _run(chosen: Check[Any], ctx: typer.Context, given: dict[str, Any]) -> None:
    """Measures, prints the evidence, and exits with 1 where it does not pass."""
    directory, folder, as_json = (given.pop(name) for name in ("release", "evidence", "as_json"))
    if folder is not None and directory is None:
        wanted = "the release that the evidence is of"
        raise InputError.of("--release", "nothing", wanted, code="no_release")
    contract, plan = load_contract(ctx.obj), load_plan(ctx.obj)
    release = None if directory is None else read_release(directory)
    if release is not None:
        folder = folder or EVIDENCE / release.id
    if folder is not None:
        read = [path for path in _paths(given) if path.is_file()]
        own = [] if directory is None else [directory]
        check_written(ctx.obj, [folder / chosen.file], *read, releases=own)
    with ExitStack() as stack:
        values = _values(chosen, given, stack)
        evidence = chosen.run(CheckContext(contract, plan, release, folder, note), values)
    if folder is not None:
        note(f"evidence: {folder / chosen.file}")
    result = evidence.as_dict()
    if called_by_old_name(ctx):
        result = _old_result(evidence) | result
    emit(result, as_json, lambda: chosen.text(evidence))
    if not evidence.passed:
        raise typer.Exit(1)


def _paths(given: Mapping[str, Any]) -> Iterator[Path]:
    """The files and folders that the check's options name."""
    for value in given.values():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Path):
                yield one


def _values(chosen: Check[Any], given: Mapping[str, Any], stack: ExitStack) -> dict[str, Any]:
    """The values of the check's options; a store is open until the stack closes."""
    values: dict[str, Any] = {}
    for field, kind, option in _options(chosen):
        value = given[field.name]
        if kind is OnlineStore:
            value = OnlineStore(value, given["store_password_file"])
            stack.callback(value.close)
        elif option.moment:
            value = given_moment(f"--{field.name.replace('_', '-')}", value)
        elif kind in (_RECORDS, _TEXTS):
            value = tuple(value or ())
        values[field.name] = value
    return values


def _old_result(evidence: Evidence) -> dict[str, Any]:
    """What the commands of the release before printed beside the evidence: goes with them."""
    if not evidence.figures:
        return {"verdict": "INCONCLUSIVE"}
    verdict = "PASS" if evidence.passed else "REVIEW"
    return {"verdict": verdict, **evidence.figures}

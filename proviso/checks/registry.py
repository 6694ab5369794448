"""The registry of checks: what each measures, which evidence it writes, and which stage needs it.

The command line (`proviso check NAME`), the demo and the gate read this registry and know no check
by name: CONTRIBUTING.md lists what a new check consists of.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from importlib import import_module
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from feature_runtime.core.service import View
from proviso.checks.evidence import Evidence, write_evidence
from proviso.contracts.base import InputError
from proviso.contracts.bounds import Bound
from proviso.contracts.contract import Contract
from proviso.contracts.plan import Plan
from proviso.contracts.section import runtime_service
from proviso.release.directory import Release

O = TypeVar("O")  # noqa: E741
Stage = Literal["register", "shadow", "promote"]


@dataclass(frozen=True)
class Option:
    """How a command offers one field of a check's options.

    The field's type says how its text is read. moment: RFC 3339, a day or `now`, which is None.
    """

    help: str
    min: float | None = None
    max: float | None = None
    moment: bool = False


@dataclass(frozen=True)
class CheckContext:
    """What every check is given.

    release None: the views of the plan's service; no evidence is kept. folder: where evidence,
    and the files that it speaks of, lie.
    """

    contract: Contract
    plan: Plan
    release: Release | None
    folder: Path | None
    progress: Callable[[str], None]

    @property
    def release_id(self) -> str:
        """The release's id; '' without a release."""
        return "" if self.release is None else self.release.id

    @property
    def views(self) -> tuple[View, ...]:
        """The views that the release reads, as the pod reads them."""
        if self.release is None:
            return runtime_service(self.contract, self.plan).views
        return self.release.service.views

    def required_release(self) -> Release:
        """The release. Raises InputError without one."""
        if self.release is None:
            raise InputError.of("--release", "nothing", "a release directory", code="no_release")
        return self.release


@dataclass(frozen=True)
class FigureBound:
    """A figure of the evidence and the bound that the plan sets for it."""

    figure: str
    bound: Bound

    def violation(self, figures: Mapping[str, Any]) -> str:
        """Why the figure is out of bounds; '' when it is not. No figure, and NaN, are."""
        actual = figures.get(self.figure)
        if isinstance(actual, bool) or not isinstance(actual, int | float):
            return f"{self.figure}: found nothing, wanted {self.bound.words}"
        if self.bound.holds(actual):
            return ""
        return f"{self.figure}: found {actual:g}, wanted {self.bound.words}"


def no_bounds(_plan: Plan) -> tuple[FigureBound, ...]:
    """The bounds of a check whose evidence says itself whether it passed."""
    return ()


def text_of(evidence: Evidence) -> str:
    """Plain evidence for a reader: single figures, warnings, reasons."""
    figures = [
        f"{name}: {value:g}"
        for name, value in evidence.figures.items()
        if isinstance(value, int | float)
    ]
    return "\n".join([*figures, *(f"warning: {w}" for w in evidence.warnings), *evidence.reasons])


@dataclass(frozen=True)
class Check(Generic[O]):
    """A check of a release.

    name: of the command, the evidence's kind and its file `<name>.json`. options: a frozen
    dataclass whose fields are annotated with an Option. measure: makes the evidence. figures:
    metrics that the evidence holds, for the contract's quality gates; needs_verdict: those of them
    that count only with the verdict PASS. stage: the first stage of
    the gate that needs the evidence; None where only a quality gate may. finding: how the gate
    calls it. when_passed: what the gate says of evidence that passed. bounds: what the plan
    requires of the figures. signed_rows: a file of skew rows beside the evidence, which the gate
    judges again with the signatures of its own day. text: the evidence for a reader.
    """

    name: str
    options: type[O]
    measure: Callable[[CheckContext, O], Evidence]
    figures: tuple[str, ...] = ()
    needs_verdict: tuple[str, ...] = ()
    stage: Stage | None = None
    finding: str = ""
    when_passed: str = ""
    bounds: Callable[[Plan], tuple[FigureBound, ...]] = no_bounds
    signed_rows: str = ""
    needs_release: bool = True
    text: Callable[[Evidence], str] = text_of

    @property
    def file(self) -> str:
        return f"{self.name}.json"

    @property
    def required_options(self) -> tuple[str, ...]:
        """Names of the options that have no default."""
        return tuple(
            field.name
            for field in fields(self.options)  # type: ignore[arg-type]
            if field.default is MISSING and field.default_factory is MISSING
        )

    def run(self, context: CheckContext, given: Mapping[str, Any]) -> Evidence:
        """Measures with those of the given values that the check takes, and keeps the evidence.

        Raises InputError when a required option is not given, or what the check itself raises.
        """
        missing = [name for name in self.required_options if given.get(name) is None]
        if missing:
            option = f"--{missing[0].replace('_', '-')}"
            raise InputError.of(option, "nothing", "a value", code="option_missing")
        if self.needs_release:
            context.required_release()
        names = {field.name for field in fields(self.options)}  # type: ignore[arg-type]
        chosen = {name: value for name, value in given.items() if name in names}
        evidence = self.measure(context, self.options(**chosen))
        if context.release is not None and context.folder is not None:
            write_evidence(context.folder, evidence)
        return evidence


@dataclass(frozen=True)
class Registration:
    """A check's module, which defines CHECK, and what it measures in one sentence."""

    module: str
    measures: str


REGISTERED: dict[str, Registration] = {
    "coverage": Registration(
        "proviso.checks.coverage",
        "Ask the store for the keys that a release will read. Exit 1 if any is missing.",
    ),
    "freshness": Registration(
        "proviso.checks.freshness",
        "Measure the age of what is served, per view, against its objective. Exit 1 if too old.",
    ),
    "skew": Registration(
        "proviso.checks.skew.check",
        "Compare what the store serves with the offline rows. Exit 1 on unsigned REVIEW rows.",
    ),
    "drift": Registration(
        "proviso.checks.drift",
        "Compare served distributions with those of training. Exit 1 if a blocking gate says so.",
    ),
    "shadow": Registration(
        "proviso.checks.shadow",
        "Compare a candidate's decisions on mirrored requests with those of the live release."
        " Exit 1 if too many of them are recorded by one of both only.",
    ),
    "load": Registration(
        "proviso.checks.load",
        "Send requests at the plan's concurrencies; measure latency, rate and errors."
        " Exit 1 if none is answered.",
    ),
}
"""Checks by name, in the order in which they are run and shown; a module is imported on use."""


def check_named(name: str) -> Check[Any]:
    """A registered check. Raises InputError when there is none of the name."""
    registration = REGISTERED.get(name)
    if registration is None:
        known = ", ".join(REGISTERED)
        raise InputError.of("check", name[:100], f"one of {known}", code="check_unknown")
    check = import_module(registration.module).CHECK
    if not isinstance(check, Check) or check.name != name:
        raise TypeError(f"{registration.module}: found no CHECK named {name}")
    return check


def all_checks() -> tuple[Check[Any], ...]:
    """Every registered check, in order."""
    return tuple(map(check_named, REGISTERED))


def checks_of_stage(stage: Stage) -> tuple[Check[Any], ...]:
    """The checks whose evidence is needed from this stage on."""
    return tuple(check for check in all_checks() if check.stage == stage)


def check_measuring(metric: str) -> Check[Any] | None:
    """The check whose evidence holds the figure of a metric, under the metric's own name."""
    return next((check for check in all_checks() if metric in check.figures), None)

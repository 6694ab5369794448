"""The committed examples, bound to the source here, and copies of them broken in one place."""

from __future__ import annotations

import atexit
import copy
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import onnx
import yaml

from feature_runtime.core import identity
from proviso.contracts.base import Problem, ValidationFailed
from proviso.contracts.loading import (
    CONTRACT_FILE,
    PLAN_FILE,
    load_contract,
    load_plan,
    parse_contract,
    parse_model,
    parse_yaml,
)
from proviso.contracts.plan import Plan
from proviso.manifests.checks import Request
from proviso.manifests.render import Rendering, render
from proviso.release.directory import RELEASE_FILE
from proviso.training.data import Project
from proviso.training.examples import rebind_examples
from proviso.training.spec import TrainingSpec
from tests.unit.contracts.edits import edited

ROOT = Path(__file__).parents[3]
CONTRACTS = ROOT / "contracts"
TODAY = date(2026, 11, 24)
MODEL = "fraud_risk_xgboost"


@cache
def examples() -> Path:
    """Both examples under the present source. Without their certificates, which are long and no
    part of an id.
    """
    place = Path(mkdtemp(prefix="proviso-examples-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    shutil.copytree(ROOT / "model_repository", place, dirs_exist_ok=True)
    contract, plan = load_contract(CONTRACTS), load_plan(CONTRACTS)
    project = Project(contract, plan, TrainingSpec())
    for release in rebind_examples(project, place):
        parsed = yaml.safe_load((release.directory / RELEASE_FILE).read_text())
        parsed["certificate"] = None
        parsed["card"] = {"vector": parsed["card"]["vector"]}
        (release.directory / RELEASE_FILE).write_text(yaml.safe_dump(parsed, sort_keys=False))
    return place


@dataclass(frozen=True)
class Case:
    """What `proviso render` is given, as plain data and folders that may be edited."""

    contract: Any
    plan: Any
    release: Path
    stable: Path | None
    mode: str | None = None

    def request(self) -> Request:
        return Request(
            parse_contract(CONTRACT_FILE, self.contract)[0],
            parse_model(PLAN_FILE, self.plan, Plan),
            self.release,
            self.stable,
            TODAY,
            self.mode,  # type: ignore[arg-type]  # a test may say anything
        )

    def render(self) -> Rendering:
        return render(self.request())

    def problems(self) -> list[Problem]:
        """What is refused; empty when nothing is."""
        try:
            self.render()
        except ValidationFailed as error:
            return error.problems
        return []


Break = Callable[[Case], Case]


def good(place: Path) -> Case:
    """2.5.0 over 2.4.0, in folders of its own below `place`."""
    for version in ("2.4.0", "2.5.0"):
        shutil.copytree(examples() / version, place / version)
    data = {name: _plain(name) for name in (CONTRACT_FILE, PLAN_FILE)}
    return Case(data[CONTRACT_FILE], data[PLAN_FILE], place / "2.5.0", place / "2.4.0")


def first(place: Path) -> Case:
    """2.4.0 as the first release."""
    case = good(place)
    return replace(case, release=place / "2.4.0", stable=None)


@cache
def _read(name: str) -> Any:
    """The file's data; of the contract the whole of it, with what the file leaves out."""
    if name == CONTRACT_FILE:
        return load_contract(CONTRACTS).model_dump(mode="json")
    return parse_yaml(name, (CONTRACTS / name).read_text())


def _plain(name: str) -> Any:
    return copy.deepcopy(_read(name))


# --- edits -----------------------------------------------------------------------------------


def plan(path: str, value: Any) -> Break:
    """The plan says something else at one place."""
    return lambda case: replace(case, plan=edited(case.plan, path, _to(value)))


def contract(path: str, value: Any) -> Break:
    """The contract says something else at one place."""
    return lambda case: replace(case, contract=edited(case.contract, path, _to(value)))


def release(path: str, value: Any, *, rebound: bool = False) -> Break:
    """The candidate's release.yml says something else. `rebound`: with digests and id to match."""
    return _editing("release", path, _to(value), rebound)


def stable(path: str, value: Any, *, rebound: bool = True) -> Break:
    """The stable's release.yml says something else."""
    return _editing("stable", path, _to(value), rebound)


def without(path: str) -> Break:
    """A key of the candidate's release.yml is gone."""
    return _editing("release", path, lambda here, at: here.__delitem__(at), False)


def config(old: str, new: str, *, rebound: bool = True) -> Break:
    """The candidate's config.pbtxt with another text in one place."""

    def edit(case: Case) -> Case:
        path = case.release / MODEL / "config.pbtxt"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return rebind(case, case.release) if rebound else case

    return edit


def onnx_model(change: Callable[[onnx.ModelProto], None]) -> Break:
    """The candidate's model with other tensors, under digests and an id to match."""

    def edit(case: Case) -> Case:
        path = case.release / MODEL / "1" / "model.onnx"
        model = onnx.load(path)
        change(model)
        onnx.save(model, path)
        return rebind(case, case.release)

    return edit


def model_bytes(data: bytes, *, rebound: bool) -> Break:
    """Other bytes where the candidate's model should be."""

    def edit(case: Case) -> Case:
        (case.release / MODEL / "1" / "model.onnx").write_bytes(data)
        return rebind(case, case.release) if rebound else case

    return edit


def rebind(case: Case, directory: Path) -> Case:
    """Digests, id and the id's line anew from the files, so that a later check is reached."""
    path = directory / RELEASE_FILE
    parsed = yaml.safe_load(path.read_text())
    settings = directory / MODEL / "config.pbtxt"
    canonical = identity.canonical_config(settings.read_text())
    parsed["digests"] |= {
        "base_images": identity.digest_of(parsed["base_images"]),
        "config": identity.digest(canonical.encode()),
        "decision": identity.digest_of(parsed["service"]["decision"]),
        "model": identity.digest((directory / MODEL / "1" / "model.onnx").read_bytes()),
        "service": identity.digest_of(parsed["service"]),
    }
    parsed["id"] = identity.release_id(parsed["digests"])
    settings.write_text(canonical + identity.id_line(parsed["id"]) + "\n")
    path.write_text(yaml.safe_dump(parsed, sort_keys=False))
    return case


def _editing(which: str, path: str, change: Callable[[Any, Any], None], rebound: bool) -> Break:
    def edit(case: Case) -> Case:
        directory: Path = getattr(case, which)
        file = directory / RELEASE_FILE
        parsed = edited(yaml.safe_load(file.read_text()), path, change)
        file.write_text(yaml.safe_dump(parsed, sort_keys=False))
        return rebind(case, directory) if rebound else case

    return edit


def _to(value: Any) -> Callable[[Any, Any], None]:
    def change(here: Any, at: Any) -> None:
        here[at] = value

    return change


def refusals(case: Case) -> list[tuple[str, str, str]]:
    """(path, found, wanted) of every problem; paths below the case's folder."""
    place = f"{case.release.parent}/"
    return [
        (p.path.replace(place, ""), p.found.replace(place, ""), p.wanted) for p in case.problems()
    ]


@dataclass(frozen=True)
class Rejection:
    """A defect, and one of the review comments that it leads to. `*` stands for any text."""

    by: Break
    path: str
    found: str
    wanted: str

    def said(self, problems: list[tuple[str, str, str]]) -> bool:
        expected = (self.path, self.found, self.wanted)
        return any(all(map(_like, problem, expected)) for problem in problems)


def _like(text: str, pattern: str) -> bool:
    return re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text, re.DOTALL) is not None

"""A release is what its digests say, down to a byte, and says so when it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from feature_runtime.core import identity
from feature_runtime.core.release import ReleaseError, own_fault, parse_release
from proviso.contracts.base import ContractError, InputError
from proviso.contracts.contract import Contract
from proviso.contracts.loading import load_contract, load_plan
from proviso.contracts.plan import Plan
from proviso.contracts.section import runtime_service
from proviso.release.directory import Release, inspect_release, read_release
from proviso.release.writing import Draft, rebind, write_release
from proviso.training.fitting import fit_model, fit_reference
from proviso.training.spec import Boosting, TrainingSpec

CONTRACTS = Path(__file__).parents[3] / "contracts"


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contract(CONTRACTS)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return load_plan(CONTRACTS)


@pytest.fixture(scope="module")
def draft(contract: Contract, plan: Plan) -> Draft:
    """A small model on random vectors of the contract's width."""
    names = runtime_service(contract, plan).vector
    random = np.random.default_rng(3)
    vectors = random.normal(size=(300, len(names))).astype(np.float32)
    labels = (vectors[:, 0] > 0.5).astype(np.int8)
    spec = TrainingSpec(boosting=Boosting(trees=5, max_depth=2))
    model = fit_model(spec, names, vectors, labels, vectors)
    baseline = fit_reference(spec, vectors, labels, vectors)
    return Draft(contract, plan, model.onnx, baseline.onnx, {"vector": list(names)})


@pytest.fixture
def release(draft: Draft, tmp_path: Path) -> Release:
    return write_release(draft, tmp_path / "release")


def test_the_directory_is_a_triton_repository_beside_its_description(
    release: Release, plan: Plan
) -> None:
    folders = [path.name for path in release.directory.iterdir() if path.is_dir()]
    assert folders == [plan.model_base]
    files = {str(p.relative_to(release.directory)) for p in release.directory.rglob("*.*")}
    assert files >= {"release.yml", "baseline.onnx", f"{plan.model_base}/config.pbtxt"}
    assert release.model_file.is_file()


def test_the_same_draft_makes_the_same_bytes(
    draft: Draft, release: Release, tmp_path: Path
) -> None:
    again = write_release(draft, tmp_path / "again")
    for path in sorted(release.directory.rglob("*")):
        twin = again.directory / path.relative_to(release.directory)
        assert path.is_dir() or path.read_bytes() == twin.read_bytes()


def test_the_config_serves_the_id_and_the_plan(release: Release, plan: Plan) -> None:
    config = release.config_file.read_text()
    assert config.count(identity.id_line(release.id)) == 1
    assert f"max_batch_size: {plan.batching.max_batch_size}" in config
    assert f"dims: [ {len(release.service.vector)} ]" in config
    assert identity.digest(identity.canonical_config(config).encode()) == release.digests["config"]


def test_the_pod_accepts_its_release(release: Release) -> None:
    assert own_fault(release.parsed) is None


def _change_model(release: Release) -> None:
    content = bytearray(release.model_file.read_bytes())
    content[len(content) // 2] ^= 1
    release.model_file.write_bytes(bytes(content))


def _change_config(release: Release) -> None:
    text = release.config_file.read_text()
    release.config_file.write_text(text.replace("max_batch_size: ", "max_batch_size: 1"))


def _change_served_id(release: Release) -> None:
    text = release.config_file.read_text()
    release.config_file.write_text(text.replace(release.id, "r-0000000000000000"))


def _change_yaml(release: Release, change: Callable[[dict[str, object]], None]) -> None:
    path = release.file
    parsed = yaml.safe_load(path.read_text())
    change(parsed)
    path.write_text(yaml.safe_dump(parsed, sort_keys=False))


def _change_threshold(release: Release) -> None:
    def lower(parsed: dict[str, object]) -> None:
        service = parsed["service"]
        assert isinstance(service, dict)
        service["decision"]["threshold"] = 0.25

    _change_yaml(release, lower)


def _change_id(release: Release) -> None:
    text = release.config_file.read_text()
    release.config_file.write_text(text.replace(release.id, "r-0000000000000000"))
    _change_yaml(release, lambda parsed: parsed.update(id="r-0000000000000000"))


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        (_change_model, "release_digest_mismatch", "release.yml: digests.model"),
        (_change_config, "release_digest_mismatch", "release.yml: digests.config"),
        (_change_served_id, "release_id_mismatch", "config.pbtxt"),
        (_change_threshold, "release_digest_mismatch", "release.yml: digests.decision"),
        (_change_id, "release_id_mismatch", "release.yml: id"),
        (lambda release: release.model_file.unlink(), "release_file_unreadable", "model.onnx"),
    ],
)
def test_a_changed_release_is_refused(
    release: Release, change: Callable[[Release], None], code: str, path: str
) -> None:
    change(release)
    with pytest.raises(ContractError) as refused:
        read_release(release.directory)
    first = refused.value.problems[0]
    assert (first.code, first.path.endswith(path)) == (code, True)
    _, problems = inspect_release(release.directory)
    assert first in problems


FIELDS: dict[str, tuple[str, object, str]] = {
    "an id of another form": ("id", "r-1", "release_field_invalid"),
    "a model without a version": ("model", "fraud", "release_field_invalid"),
    "no model name": ("model_name", None, "release_field_missing"),
    "a path as a folder": ("triton_model", "../up", "release_field_invalid"),
    "digests as a list": ("digests", [], "release_field_invalid"),
    "a service of one word": ("service", {"name": "x"}, "service_section_invalid"),
    "no card": ("card", None, "release_field_missing"),
    "base images as a list": ("base_images", ["a"], "release_field_invalid"),
    "a key of its own": ("extra", 1, "release_field_unknown"),
}


@pytest.mark.parametrize(("key", "value", "code"), FIELDS.values(), ids=FIELDS)
def test_a_field_of_another_form_is_named(
    release: Release, key: str, value: object, code: str
) -> None:
    _change_yaml(release, lambda parsed: parsed.update({key: value}))
    with pytest.raises(InputError) as refused:
        read_release(release.directory)
    expected = (f"{release.file}: {key}", code)
    assert expected in [(p.path, p.code) for p in refused.value.problems]


def test_every_fault_is_collected_and_the_pod_raises_the_first(release: Release) -> None:
    _change_yaml(release, lambda parsed: parsed.update(id="r-1", triton_model="../up"))
    found, problems = inspect_release(release.directory)
    assert found is None
    places = [problem.path.rpartition(": ")[2] for problem in problems]
    assert places == ["id", "triton_model"]
    parsed = yaml.safe_load(release.file.read_text())
    with pytest.raises(ReleaseError) as refused:
        parse_release(parsed)
    assert refused.value.fault.key == "id"


def test_a_directory_without_release_yml_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read_release(tmp_path)
    [problem] = refused.value.problems
    assert (problem.path, problem.code) == (str(tmp_path / "release.yml"), "release_unreadable")


def test_a_release_never_overwrites_something_else(draft: Draft, tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(InputError) as refused:
        write_release(draft, tmp_path)
    assert [problem.code for problem in refused.value.problems] == ["release_target_occupied"]


def test_rebinding_keeps_the_model_and_follows_the_plan(
    release: Release, contract: Contract, plan: Plan
) -> None:
    changed = plan.model_copy(
        update={"decision": plan.decision.model_copy(update={"threshold": 0.25})}
    )
    again = rebind(release.directory, contract, changed)
    assert again.digests["model"] == release.digests["model"]
    assert again.service.decision.threshold == 0.25
    assert again.id != release.id
    assert rebind(release.directory, contract, plan).id == release.id


def test_rebinding_refuses_features_of_another_meaning(
    release: Release, contract: Contract, plan: Plan
) -> None:
    first, *others = contract.feature_views
    views = [first.model_copy(update={"population": first.population * 2}), *others]
    changed = contract.model_copy(update={"feature_views": views})
    with pytest.raises(ContractError) as refused:
        rebind(release.directory, changed, plan)
    assert [problem.code for problem in refused.value.problems] == ["release_features_changed"]

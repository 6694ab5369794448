"""A release is what its digests say, down to a byte, and says so when it is not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from feature_runtime.core import identity
from feature_runtime.core.release import own_fault
from proviso.contracts.base import ContractError, InputError
from proviso.contracts.contract import Contract
from proviso.contracts.loading import load_contract, load_plan
from proviso.contracts.plan import Plan
from proviso.contracts.section import runtime_service
from proviso.release.directory import Draft, Release, read_release, rebind, write_release
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
    path = release.directory / "release.yml"
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
    ("change", "said"),
    [
        (_change_model, "digests.model"),
        (_change_config, "digests.config"),
        (_change_served_id, "config.pbtxt: found another id"),
        (_change_threshold, "digests.decision"),
        (_change_id, "release.yml: id"),
        (lambda release: release.model_file.unlink(), "the files of a release"),
    ],
)
def test_a_changed_release_is_refused(
    release: Release, change: Callable[[Release], None], said: str
) -> None:
    change(release)
    with pytest.raises(ContractError, match=said):
        read_release(release.directory)


def test_a_directory_without_release_yml_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"wanted the release\.yml of a release directory"):
        read_release(tmp_path)


def test_a_release_never_overwrites_something_else(draft: Draft, tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(InputError, match="files that are no release"):
        write_release(draft, tmp_path)


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
    with pytest.raises(ContractError, match="train it again"):
        rebind(release.directory, changed, plan)

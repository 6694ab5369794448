"""training.yml is strict, optional, and never names a feature that no service has."""

from __future__ import annotations

from pathlib import Path

import pytest

from proviso.contracts.base import ContractError
from proviso.contracts.loading import load_contract, load_plan
from proviso.training.spec import TRAINING_FILE, TrainingSpec, investigated_entity, load_spec

CONTRACTS = Path(__file__).parents[3] / "contracts"


def loaded(directory: Path) -> TrainingSpec:
    return load_spec(directory, load_contract(CONTRACTS), load_plan(CONTRACTS))


def written(directory: Path, text: str) -> Path:
    (directory / TRAINING_FILE).write_text(text)
    return directory


def test_the_examples_own_file_is_valid() -> None:
    spec = loaded(CONTRACTS)
    assert spec.protocol.k == 100
    assert spec.protocol.entity == "customer"


def test_without_a_file_the_defaults_hold_and_the_first_entity_is_investigated(
    tmp_path: Path,
) -> None:
    spec = loaded(tmp_path)
    assert spec == TrainingSpec()
    entity = investigated_entity(spec, load_contract(CONTRACTS), load_plan(CONTRACTS))
    assert entity.join_key == "customer_id"


def test_the_entitys_former_key_is_read_and_not_beside_the_new_one(tmp_path: Path) -> None:
    text = "version: 1\nprotocol: {card_entity: merchant}"
    assert loaded(written(tmp_path, text)).protocol.entity == "merchant"
    with pytest.raises(ContractError, match=r"protocol\.card_entity: found an unknown key"):
        loaded(written(tmp_path, text.replace("}", ", entity: customer}")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("version: 1\ntrees: 3", r"training\.yml: trees: found an unknown key"),
        ("version: 2", r"training\.yml: version"),
        ("version: 1\nboosting: {trees: 0}", r"training\.yml: boosting\.trees: found 0"),
        (
            "version: 1\nboosting: {increasing: [no_such_feature]}",
            r"boosting\.increasing: found no_such_feature, wanted a feature of a service's vector",
        ),
        (
            "version: 1\nprotocol: {entity: nobody}",
            r"protocol\.entity: found nobody, wanted one of",
        ),
    ],
)
def test_a_wrong_file_says_where_and_what(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ContractError, match=said):
        loaded(written(tmp_path, text))

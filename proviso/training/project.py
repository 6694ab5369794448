"""Loads what a training run reads from a contracts directory."""

from __future__ import annotations

from pathlib import Path

from proviso.contracts.contract import Contract
from proviso.contracts.loading import load_contract, load_plan
from proviso.training.data import Project, plan_for
from proviso.training.spec import load_spec


def load_project(
    directory: Path, service: str | None = None, placed: Contract | None = None
) -> Project:
    """Contract, plan and training settings, for a feature service (None: the plan's).

    placed: the contract of the directory with the places of a command.
    Raises ContractError for files that do not pass, InputError for a service that is not there.
    """
    contract, plan = placed or load_contract(directory), load_plan(directory)
    chosen = plan_for(contract, plan, service or plan.service)
    return Project(contract, chosen, load_spec(directory, contract, chosen))

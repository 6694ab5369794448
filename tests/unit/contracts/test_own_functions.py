"""Functions and time zone of a contract: what `validate` refuses, and what a release carries."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from feature_runtime.core.encode import Encoder
from feature_runtime.core.moments import parse_moment
from feature_runtime.core.service import parse_service
from feature_runtime.core.zones import zone
from proviso.checks.lab import validate
from proviso.contracts.base import ContractError, InputError
from proviso.contracts.contract import Contract
from proviso.contracts.loading import CONTRACT_FILE, load_contract, load_plan
from proviso.contracts.section import runtime_service, service_section
from proviso.contracts.upgrade import Version1, upgraded
from proviso.contracts.validation.function_trials import timing
from proviso.release.directory import inspect_release, read_release
from proviso.release.writing import rebind
from tests import parcel_data
from tests.parcel_project import write_project

SOURCE = """
import numpy as np


def per_hour(parcels, asked):
    return parcels / (asked // 3_600_000_000 % 24 + 1)


def weighed(share, parcels):
    if (parcels == 13).any():
        raise ValueError("unlucky")
    return np.clip(share, 0, 1) * 2
"""
DECLARED: list[dict[str, Any]] = [
    {
        "name": "per_hour",
        "description": "Parcels by hour.",
        "inputs": {"parcels": "float64", "asked": "timestamp"},
    },
    {
        "name": "weighed",
        "description": "A share, doubled.",
        "inputs": {"share": "float64", "parcels": "float64"},
        "min": 0,
        "max": 2,
    },
]
Edit = Callable[[dict[str, Any]], None]


def service_of(data: dict[str, Any]) -> dict[str, Any]:
    return data["feature_services"][0]  # type: ignore[no-any-return]


def project(directory: Path, edit: Edit = lambda _: None, source: str = SOURCE) -> Path:
    """The starter's contract in version 2 with two functions, in directory/contracts."""
    contracts = directory / "contracts"
    if not contracts.exists():
        write_project(contracts)
    path = contracts / CONTRACT_FILE
    data = yaml.safe_load(path.read_text().replace("on: event", "'on': event"))
    data = upgraded(data, Version1.model_validate({"source": data["source"]}).source)
    data["functions"] = [dict(one) for one in DECLARED]
    service = service_of(data)
    service["request_features"] += [
        {
            "name": "pace",
            "function": "per_hour",
            "inputs": ["parcels", "scoring_ts"],
            "description": "-",
        },
        {"name": "season", "function": "month", "description": "-"},
    ]
    service["derived_features"] = [
        {
            "name": "heavy",
            "function": "weighed",
            "inputs": ["courier_zone_daily:late_share_30d", "parcels"],
            "description": "-",
        }
    ]
    edit(data)
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    (contracts / "functions.py").write_text(source)
    return contracts


def codes(contracts: Path) -> set[str]:
    return {problem.code for problem in validate(contracts)}


def test_the_project_passes(tmp_path: Path) -> None:
    contracts = project(tmp_path)
    assert [p.printed for p in validate(contracts)] == []
    times = [timing(function) for function in load_contract(contracts).library.values()]
    assert [one.name for one in times] == ["per_hour", "weighed"]
    assert all(one.alone > one.in_batch > 0 for one in times)


def declared(place: int, **changes: Any) -> Edit:
    return lambda data: data["functions"][place].update(changes)


def requested(**changes: Any) -> Edit:
    return lambda data: service_of(data)["request_features"][-2].update(changes)


def calendar(**changes: Any) -> Edit:
    return lambda data: service_of(data)["request_features"][-1].update(changes)


def derived(**changes: Any) -> Edit:
    return lambda data: service_of(data)["derived_features"][-1].update(changes)


FUNCTION = "\n\ndef weighed(share, parcels):\n    return {}\n"
HEAD = SOURCE[: SOURCE.index("\n\ndef weighed")]


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (declared(0, name="ratio"), "name_taken"),
        (declared(0, name="month"), "name_taken"),
        (declared(0, name="weighed"), "name_repeated"),
        (declared(0, name="absent"), "function_missing"),
        (declared(0, inputs={"parcels": "float64"}), "function_inputs_mismatch"),
        (
            declared(0, inputs={"asked": "timestamp", "parcels": "float64"}),
            "function_inputs_mismatch",
        ),
        (
            declared(0, inputs={"parcels": "string", "asked": "timestamp"}),
            "function_input_type_mismatch",
        ),
        (declared(0, inputs={"parcels": "money", "asked": "timestamp"}), "invalid_value"),
        (declared(0, inputs={}), "invalid_value"),
        (declared(0, output="string"), "invalid_value"),
        (declared(0, output="int64"), "function_wrong_dtype"),
        (declared(0, min=2.0, max=1.0), "function_bounds_reversed"),
        (declared(1, max=1.0), "function_out_of_bounds"),
        (declared(1, kind="pure"), "key_unknown"),
        (requested(function="nowhere"), "invalid_value"),
        (requested(function="ratio"), "invalid_value"),
        (requested(inputs=["parcels"]), "input_count"),
        (requested(inputs=["nothing", "scoring_ts"]), "field_unknown"),
        (requested(inputs=["scoring_ts", "parcels"]), "function_input_type_mismatch"),
        (requested(field="parcels"), "request_field_mismatch"),
        (calendar(field="parcels"), "request_field_mismatch"),
        (calendar(inputs=["parcels"]), "request_field_mismatch"),
        (derived(function="nowhere"), "invalid_value"),
        (derived(function="month"), "invalid_value"),
        (derived(inputs=["parcels"]), "input_count"),
        (derived(inputs=["parcels", "nothing"]), "input_unknown"),
        (lambda data: data.update(time_zone="Mars/Base"), "time_zone_unknown"),
        (lambda data: data.update(time_zone="EST5EDT4,M3.2.0"), "time_zone_unknown"),
    ],
)
def test_a_broken_contract_is_refused(tmp_path: Path, edit: Edit, code: str) -> None:
    assert code in codes(project(tmp_path, edit))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("share.sum() + parcels", "function_depends_on_batch"),
        ("share - np.nanmean(share)", "function_depends_on_batch"),
        ("np.sort(parcels)", "function_depends_on_batch"),
        ("np.where(len(share) > 5, share, parcels)", "function_depends_on_batch"),
        ("np.concatenate([share, parcels])", "function_wrong_shape"),
        ("share.tolist()", "function_wrong_shape"),
        ("share.astype(np.float32)", "function_wrong_dtype"),
        ("share * 4", "function_out_of_bounds"),
        ("share.missing", "function_raised"),
        ("np.random.rand(len(share))", "functions_name_refused"),
        ("open('x')", "functions_name_refused"),
    ],
)
def test_a_misbehaving_function_is_refused(tmp_path: Path, body: str, code: str) -> None:
    unbounded = code == "function_depends_on_batch"
    edit = declared(1, min=None, max=None) if unbounded else lambda _: None
    assert codes(project(tmp_path, edit, HEAD + FUNCTION.format(body))) == {code}


def test_without_its_file_no_command_reads_the_contract(tmp_path: Path) -> None:
    contracts = project(tmp_path)
    (contracts / "functions.py").unlink()
    assert codes(contracts) == {"functions_unreadable"}
    with pytest.raises(ContractError) as raised:
        load_contract(contracts)
    assert raised.value.problems[0].code == "functions_unreadable"


def test_a_fault_of_the_file_names_its_line(tmp_path: Path) -> None:
    contracts = project(tmp_path, source="import os\n" + SOURCE)
    [problem] = validate(contracts)
    assert (problem.path, problem.code, problem.line) == (
        "functions.py",
        "functions_import_refused",
        1,
    )


def test_version_1_has_neither_functions_nor_zones(tmp_path: Path) -> None:
    contracts = tmp_path / "contracts"
    write_project(contracts)
    path = contracts / CONTRACT_FILE
    text = path.read_text()
    for key in ("functions: []", "time_zone: UTC"):
        path.write_text(f"{text}\n{key}\n")
        assert "key_unknown" in codes(contracts)


def made(tmp_path: Path, edit: Edit = lambda _: None) -> parcel_data.Project:
    contracts = project(tmp_path, edit)
    nothing = tmp_path / "none"
    owner, plan = load_contract(contracts), load_plan(contracts)
    return parcel_data.Project(contracts, nothing, nothing, owner, plan)


def test_a_release_carries_the_file_and_its_digest(tmp_path: Path) -> None:
    owner = made(tmp_path)
    release = parcel_data.tiny_release(owner, tmp_path / "release")
    file = release.directory / "functions.py"
    assert file.read_text() == SOURCE
    assert set(release.library) == {"per_hour", "weighed"}
    changed = owner.contract.with_functions(SOURCE.encode() + b"\n# another\n")
    assert rebind(release.directory, changed, owner.plan).id != release.id
    file.write_text(SOURCE)
    with pytest.raises(ContractError) as raised:
        read_release(release.directory)
    assert {p.code for p in raised.value.problems} == {"functions_digest_mismatch"}
    file.unlink()
    _, problems = inspect_release(release.directory)
    assert {p.code for p in problems} == {"functions_unreadable"}


def test_a_release_without_functions_has_none(tmp_path: Path) -> None:
    contracts = tmp_path / "contracts"
    write_project(contracts)
    section = service_section(load_contract(contracts), load_plan(contracts))
    assert not {"functions", "time_zone"} & section.keys()


def encoder_of(owner: Contract, plan: Any) -> Encoder:
    return Encoder(runtime_service(owner, plan), owner.library)


def test_batch_and_single_rows_agree_and_failures_reject_their_rows(tmp_path: Path) -> None:
    owner = made(tmp_path)
    encoder = encoder_of(owner.contract, owner.plan)
    service, size = encoder.service, 40
    draw = np.random.default_rng(1)
    fields = {name: draw.integers(14, 30, size).astype(np.float64) for name in service.fields}
    fields["parcels"][[3, 17]] = 13.0
    at = draw.integers(0, 2**50, size)
    values = draw.random((size, len(service.consumed)))
    status = np.zeros(values.shape, np.int8)
    whole = encoder.encode(fields, at, values, status)
    assert [(f.row, f.feature, f.code) for f in whole.failed] == [
        (3, "heavy", "function_raised"),
        (17, "heavy", "function_raised"),
    ]
    assert np.flatnonzero(whole.rejected).tolist() == [3, 17]
    assert str(whole.failed[0]) == "heavy: weighed raised ValueError [function_raised]"
    for i in range(size):
        one = {name: column[i : i + 1] for name, column in fields.items()}
        alone = encoder.encode(one, at[i : i + 1], values[i : i + 1], status[i : i + 1])
        assert alone.vector.tobytes() == whole.vector[i : i + 1].tobytes()
        assert alone.rejected[0] == whole.rejected[i]


def test_a_code_that_a_function_returns_may_be_encoded(tmp_path: Path) -> None:
    source = HEAD + FUNCTION.format("np.where(share > 0.5, 2, 1).astype(np.int64)")

    def encoded(output: str) -> Edit:
        def edit(data: dict[str, Any]) -> None:
            declared(1, output=output)(data)
            coded = {"kind": "one_hot", "vocabulary": [1, 2]}
            service_of(data)["encodings"] = {"heavy": coded}

        return edit

    contracts = project(tmp_path / "coded", encoded("int64"), source)
    assert codes(contracts) == set()
    service = runtime_service(load_contract(contracts), load_plan(contracts))
    columns = ("heavy=1", "heavy=2", "heavy__unknown", "heavy__missing")
    assert service.vector[-4:] == columns
    assert "encoding_type_mismatch" in codes(project(tmp_path / "real", encoded("float64")))


def test_the_zone_decides_the_calendar_and_stands_in_the_release(tmp_path: Path) -> None:
    owner = made(tmp_path, lambda data: data.update(time_zone="America/New_York"))
    section = service_section(owner.contract, owner.plan)
    assert section["time_zone"] == {
        "name": "America/New_York",
        "rules": zone("America/New_York").digest,
    }
    encoder = encoder_of(owner.contract, owner.plan)
    service = encoder.service
    at = np.array([parse_moment("2026-01-01T04:59:59Z"), parse_moment("2026-01-01T05:00:00Z")])
    fields = {name: np.ones(2) for name in service.fields}
    values = np.ones((2, len(service.consumed)))
    found = encoder.encode(fields, at, values, np.zeros(values.shape, np.int8))
    assert found.vector[:, service.vector.index("season")].tolist() == [12.0, 1.0]
    other = {**section, "time_zone": {**section["time_zone"], "rules": "sha256:" + "0" * 64}}
    with pytest.raises(ValueError, match="wanted sha256"):
        Encoder(parse_service(other), owner.contract.library)


def test_a_release_directory_is_whole_only_with_its_functions(tmp_path: Path) -> None:
    owner = made(tmp_path)
    release = parcel_data.tiny_release(owner, tmp_path / "release")
    copied = tmp_path / "copied"
    shutil.copytree(release.directory, copied)
    assert read_release(copied).id == release.id
    (copied / "release.yml").unlink()
    with pytest.raises(InputError):
        read_release(copied)

"""What a location may say, and how its secrets are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from proviso.contracts.locations import Location, Secret
from proviso.sources.secrets import read_secret
from tests.problems import refused
from tests.unit.sources.reading import rows_of

QUERY = {"query": "select 1", "database": {"driver": "postgresql", "uri": "postgresql://h/d"}}


@pytest.mark.parametrize(
    ("stated", "code"),
    [
        ({}, "location_ambiguous"),
        ({"path": "a.parquet", "delta": "b"}, "location_ambiguous"),
        ({"query": "select 1"}, "location_query_incomplete"),
        ({"path": "a", "database": QUERY["database"]}, "location_query_incomplete"),
        ({"path": "a", "version": 3}, "location_setting_misplaced"),
        ({"delta": "a", "partitions": ["day"]}, "location_setting_misplaced"),
        ({"delta": "a", "csv": {"delimiter": ";"}}, "location_setting_misplaced"),
        ({"path": "a", "store": {"access_key_id": {"env": "A"}}}, "store_keys_incomplete"),
    ],
)
def test_a_location_that_says_two_things_is_refused(stated: dict[str, Any], code: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Location.model_validate(stated)
    assert [error["type"] for error in raised.value.errors()] == [code]


@pytest.mark.parametrize(
    "uri",
    [
        "postgresql://reader:hunter2@db:5432/shop",
        "postgresql://db/shop?user=reader&password=hunter2",
        "host=db password=hunter2",
    ],
)
def test_a_password_is_never_stated(uri: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Location.model_validate({**QUERY, "database": {"driver": "postgresql", "uri": uri}})
    stated = [error for error in raised.value.errors() if error["type"] == "secret_stated"]
    assert stated
    assert "hunter2" not in stated[0]["msg"]


def test_a_secret_is_a_file_or_a_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("from a file\n")
    monkeypatch.setenv("SHOP_KEY", "from the environment")
    assert read_secret(Secret(file="key"), tmp_path) == "from a file"
    assert read_secret(Secret(env="SHOP_KEY"), tmp_path) == "from the environment"
    with pytest.raises(ValidationError):
        Secret(file="key", env="SHOP_KEY")


@pytest.mark.parametrize("secret", [Secret(file="nothing"), Secret(env="PROVISO_NO_SUCH")])
def test_a_secret_that_is_not_there_is_refused(secret: Secret, tmp_path: Path) -> None:
    with refused("location_secret_missing"):
        read_secret(secret, tmp_path)


def test_an_empty_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("\n")
    with refused("location_secret_missing"):
        read_secret(Secret(file="key"), tmp_path)


def test_a_reader_that_is_not_installed_is_named(tmp_path: Path) -> None:
    database = {"driver": "no_such_database", "uri": "somewhere"}
    with refused("source_extra_missing") as problems:
        rows_of({"query": "select 1", "database": database}, tmp_path)
    assert "adbc-driver-no_such_database" in problems[0].why


def test_another_scheme_is_refused(tmp_path: Path) -> None:
    with refused("location_unsupported"):
        rows_of("ftp://host/file.parquet", tmp_path)

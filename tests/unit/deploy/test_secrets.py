"""The store's passwords: made once, kept, hashed for the server, and never said."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from proviso.contracts.base import InputError
from proviso.deploy.acl import CLIENTS, Acl, digest, parse_acl
from proviso.deploy.secrets import client_passwords, ensure_passwords

ONE, OTHER = digest("one"), digest("other")


class Drawer:
    """Secrets in memory."""

    def __init__(self) -> None:
        self.secrets: dict[str, dict[str, str]] = {}

    def secret(self, name: str) -> Mapping[str, str] | None:
        return self.secrets.get(name)

    def write_secret(self, name: str, values: Mapping[str, str]) -> None:
        self.secrets[name] = dict(values)

    @property
    def acl(self) -> Acl:
        return parse_acl(self.secrets["store-acl"]["users.acl"])


def test_passwords_are_made_once() -> None:
    drawer = Drawer()
    first = ensure_passwords(drawer)
    assert sorted(first.written) == ["store-acl", "store-keeper", "store-serving", "store-writer"]
    before = {name: dict(values) for name, values in drawer.secrets.items()}
    assert ensure_passwords(drawer).written == ()
    assert drawer.secrets == before
    assert len(set(client_passwords(drawer).values())) == len(CLIENTS)


def test_the_server_gets_digests_and_no_password() -> None:
    drawer = Drawer()
    ensure_passwords(drawer)
    text = drawer.secrets["store-acl"]["users.acl"]
    for user, password in client_passwords(drawer).items():
        assert password not in text
        assert drawer.acl.digests(user) == (digest(password),)
    assert "user default off -@all\n" in text


@pytest.mark.parametrize("lost", ["store-acl", "store-serving", "store-writer", "store-keeper"])
def test_what_is_missing_is_made_again(lost: str) -> None:
    drawer = Drawer()
    ensure_passwords(drawer)
    del drawer.secrets[lost]
    ensure_passwords(drawer)
    for user, password in client_passwords(drawer).items():
        assert digest(password) in drawer.acl.digests(user)


def test_a_replica_and_sentinel_get_users_when_they_come() -> None:
    drawer = Drawer()
    ensure_passwords(drawer)
    before = client_passwords(drawer)
    made = ensure_passwords(drawer, replicated=True)
    assert sorted(made.written) == ["store-acl", "store-replica", "store-sentinel"]
    assert client_passwords(drawer) == before


def test_rights_of_an_older_file_are_brought_up_to_date() -> None:
    drawer = Drawer()
    ensure_passwords(drawer)
    whole = drawer.secrets["store-acl"]["users.acl"]
    drawer.secrets["store-acl"]["users.acl"] = whole.replace(" +mget +ping", " +ping")
    assert ensure_passwords(drawer).written == ("store-acl",)
    assert drawer.secrets["store-acl"]["users.acl"] == whole


def test_the_file_reads_back_as_it_was_written() -> None:
    acl = Acl().with_digests("serving", ONE, OTHER).with_digests("writer", ONE)
    assert parse_acl(str(acl)) == acl
    assert acl.with_digests("serving", OTHER, OTHER).digests("serving") == (OTHER,)
    assert acl.digests("nobody") == ()


def test_a_file_of_another_form_is_refused() -> None:
    with pytest.raises(InputError) as refused:
        parse_acl("user serving on nopass ~* +@all\n")
    [problem] = refused.value.problems
    assert (problem.code, problem.path) == ("acl_file_invalid", "Secret store-acl")


def test_a_password_is_missing() -> None:
    with pytest.raises(InputError) as missing:
        client_passwords(Drawer())
    [problem] = missing.value.problems
    assert (problem.code, problem.path) == ("secret_missing", "Secret store-serving")

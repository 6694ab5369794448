"""The store's passwords: made at random where nobody gives one, kept in Secrets and nowhere else.

Each client's Secret holds its password in clear, as a file for whoever mounts it; the server's
holds digests. What is there already stays: this can be repeated, also after it was interrupted.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from proviso.contracts.base import InputError
from proviso.deploy.acl import CLIENTS, REPLICATION, RIGHTS, Acl, digest, parse_acl

ACL_SECRET, ACL_KEY, PASSWORD_KEY = "store-acl", "users.acl", "password"
LEAST, MOST = 16, 512


class Vault(Protocol):
    """The Secrets of our namespace; values are text."""

    def secret(self, name: str) -> Mapping[str, str] | None:
        """What a Secret holds; None where there is none."""

    def write_secret(self, name: str, values: Mapping[str, str]) -> None:
        """Makes a Secret, or gives it these values instead of those that it has."""


@dataclass(frozen=True)
class Ensured:
    """Names of the Secrets that were made or completed; empty when all was there."""

    written: tuple[str, ...]


def secret_of(user: str) -> str:
    """The name of the Secret with a user's password."""
    return f"store-{user}"


def new_password() -> str:
    """256 random bits, safe in every file and command."""
    return secrets.token_urlsafe(32)


def read_password(path: Path) -> str:
    """A password that a user gives, from a file. Raises InputError; never says what it read."""
    wanted = f"{LEAST} to {MOST} visible characters on one line"
    try:
        text = path.read_text(encoding="utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        raise InputError.of(path, "no text", wanted) from None
    except OSError as error:
        raise InputError.of(path, error.strerror or "an error", "a readable file") from None
    if not LEAST <= len(text) <= MOST or not text.isascii() or not text.isprintable():
        raise InputError.of(path, "something else", wanted)
    if " " in text:
        raise InputError.of(path, "a blank", wanted)
    return text


def ensure_passwords(
    vault: Vault, given: Mapping[str, str] | None = None, replicated: bool = False
) -> Ensured:
    """Makes what is missing of the store's Secrets.

    given: passwords by user, for those that have none yet; a password that is there is changed by
    a rotation only. replicated: also the users of a replica and Sentinel.
    """
    found = vault.secret(ACL_SECRET)
    before = parse_acl(found[ACL_KEY]) if found else Acl()
    acl, written = before.with_known_rights(), []
    for user in (*RIGHTS, *(REPLICATION if replicated else ())):
        password = _password_of(vault, user)
        if password is None:
            password = (given or {}).get(user) or new_password()
            vault.write_secret(secret_of(user), {PASSWORD_KEY: password})
            written.append(secret_of(user))
        if digest(password) not in acl.digests(user):
            acl = acl.with_digests(user, *acl.digests(user), digest(password))
    if found is None or acl != before:
        vault.write_secret(ACL_SECRET, {ACL_KEY: str(acl)})
        written.append(ACL_SECRET)
    return Ensured(tuple(written))


def _password_of(vault: Vault, user: str) -> str | None:
    return (vault.secret(secret_of(user)) or {}).get(PASSWORD_KEY)


def client_passwords(vault: Vault) -> dict[str, str]:
    """What the clients' Secrets hold. Raises InputError where one is missing."""
    found = {}
    for user in CLIENTS:
        password = _password_of(vault, user)
        if password is None:
            raise InputError.of(f"Secret {secret_of(user)}", "none", "one", "run the deployment")
        found[user] = password
    return found

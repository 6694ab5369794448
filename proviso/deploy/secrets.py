"""The store's passwords: random, kept in Secrets and nowhere else.

Each client's Secret has its password in clear, as a file for the pods that mount it; the server's
has digests. Existing passwords stay: a run can be repeated, also after an interruption.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from proviso.contracts.base import InputError
from proviso.deploy.acl import CLIENTS, REPLICATION, RIGHTS, Acl, digest, parse_acl
from proviso.kube.api import Cluster
from proviso.kube.namespace import NamespaceClient
from proviso.rollout.deployed import NAMESPACE, PART_OF

ACL_SECRET, ACL_KEY, PASSWORD_KEY = "store-acl", "users.acl", "password"


class Secrets(Protocol):
    """The Secrets of our namespace; values are text."""

    def secret(self, name: str) -> Mapping[str, str] | None:
        """The values of a Secret; None where there is none."""

    def write_secret(self, name: str, values: Mapping[str, str]) -> None:
        """Makes a Secret, or gives it these values instead of those that it has."""


def our_namespace(cluster: Cluster) -> NamespaceClient:
    """Our namespace in a cluster."""
    return NamespaceClient(cluster, NAMESPACE, {PART_OF: "proviso"})


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


def ensure_passwords(present: Secrets, replicated: bool = False) -> Ensured:
    """Makes those of the store's Secrets that are missing.

    A password that exists is changed by a rotation only. replicated: also the users of a replica
    and Sentinel.
    """
    stored = present.secret(ACL_SECRET)
    before = parse_acl(stored[ACL_KEY]) if stored else Acl()
    acl, written = before.with_known_rights(), []
    for user in (*RIGHTS, *(REPLICATION if replicated else ())):
        password = _password_of(present, user)
        if password is None:
            password = new_password()
            present.write_secret(secret_of(user), {PASSWORD_KEY: password})
            written.append(secret_of(user))
        if digest(password) not in acl.digests(user):
            acl = acl.with_digests(user, *acl.digests(user), digest(password))
    if stored is None or acl != before:
        present.write_secret(ACL_SECRET, {ACL_KEY: str(acl)})
        written.append(ACL_SECRET)
    return Ensured(tuple(written))


def _password_of(present: Secrets, user: str) -> str | None:
    return (present.secret(secret_of(user)) or {}).get(PASSWORD_KEY)


def client_passwords(present: Secrets) -> dict[str, str]:
    """The passwords in the clients' Secrets. Raises InputError where one is missing."""
    passwords = {}
    for user in CLIENTS:
        password = _password_of(present, user)
        if password is None:
            raise missing_secret(secret_of(user))
        passwords[user] = password
    return passwords


def missing_secret(name: str) -> InputError:
    """The error of a Secret that a deployment makes and that does not exist."""
    why = "run the deployment first: it makes the store's Secrets"
    return InputError.event("secret_missing", "no such Secret", f"Secret {name}", why)

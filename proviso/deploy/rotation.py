"""New passwords for the store's clients while they work: nothing restarts, no request fails.

The server takes old and new; then clients get the new one; then, when every pod that reads it has
it mounted, the server takes the new one only. All that is known lies in the Secrets, so whoever
was interrupted is finished by whoever comes next.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from proviso.contracts.base import InputError
from proviso.deploy.acl import CLIENTS, Acl, digest, parse_acl
from proviso.deploy.secrets import (
    ACL_KEY,
    ACL_SECRET,
    PASSWORD_KEY,
    Vault,
    client_passwords,
    new_password,
    secret_of,
)
from proviso.kube.namespace import Reader

STORE = "store"
PATIENCE = 180.0
"""Seconds; kubelet gives a mounted Secret's new content to a pod within 60 to 90 by itself."""

_FILE = "/etc/valkey/acl/users.acl"
_LOAD = ("sh", "/etc/valkey/conf/keeper.sh", "ACL", "LOAD")
_MOUNTED = (
    "python",
    "-c",
    "import hashlib, sys;print(hashlib.sha256(open(sys.argv[1], 'rb').read().strip()).hexdigest())",
)
"""Says the digest of a file: what a pod reads is known without reading it out."""

Progress = Callable[[str], None]


class Namespace(Vault, Protocol):
    """What a rotation asks of a cluster, all of it in our namespace."""

    def readers(self, secret: str) -> list[Reader]:
        """Every running container that mounts a Secret, of pods that are not being deleted."""

    def nudge(self, pod: str) -> None:
        """Makes kubelet look at a pod now (an annotation changes). A pod that is gone is fine."""

    def ask(self, pod: str, container: str, command: list[str]) -> str | None:
        """What a command in a container says; None when pod or container is gone."""


@dataclass(frozen=True)
class State:
    """Where a rotation stands: the users' file, and what the clients' Secrets hold."""

    acl: Acl
    passwords: Mapping[str, str]

    def handed_out(self, user: str) -> bool:
        """Whether the client's Secret has the newest of several passwords already."""
        digests = self.acl.digests(user)
        return len(digests) > 1 and digests[-1] == digest(self.passwords[user])

    def begun(self, fresh: Mapping[str, str]) -> State:
        """The server takes the present password and a fresh one, which is last.

        What an interrupted rotation had not handed out nobody knows any more: it is dropped. A
        user whose newest password has been handed out keeps it: that rotation goes on. So does
        one whose Secret somebody has changed by hand: the server learns of it beside the old.
        """
        acl, passwords = self.acl, dict(self.passwords)
        for user in CLIENTS:
            known, present = self.acl.digests(user), digest(self.passwords[user])
            if present not in known:
                acl = acl.with_digests(user, *known, present)
            elif not self.handed_out(user):
                acl = acl.with_digests(user, present, digest(fresh[user]))
                passwords[user] = fresh[user]
        return State(acl, passwords)

    def ended(self) -> State:
        """The server takes nothing but what the clients have."""
        acl = self.acl
        for user in CLIENTS:
            acl = acl.with_digests(user, digest(self.passwords[user]))
        return State(acl, self.passwords)


def read_state(vault: Vault) -> State:
    """Where the Secrets say that it stands. Raises InputError where they are missing."""
    found = vault.secret(ACL_SECRET)
    if found is None:
        raise InputError.of(f"Secret {ACL_SECRET}", "none", "one", "run the deployment")
    return State(parse_acl(found[ACL_KEY]), client_passwords(vault))


def rotate_passwords(
    inside: Namespace,
    progress: Progress,
    given: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
) -> tuple[str, ...]:
    """Gives the store's clients new passwords; returns the users whose rotation was finished.

    given: by user, instead of random ones. Raises InputError when a pod does not get the new one
    in time: the old one is then still taken, and the same call goes on.
    """
    fresh = {user: (given or {}).get(user) or new_password() for user in CLIENTS}
    before = read_state(inside)
    resumed = [user for user in CLIENTS if before.handed_out(user)]
    if resumed:
        progress(f"an interrupted rotation goes on: {', '.join(resumed)}")
    state = before.begun(fresh)
    _admit(inside, state.acl, progress, patience)
    for user in CLIENTS:
        if state.passwords[user] != before.passwords[user]:
            inside.write_secret(secret_of(user), {PASSWORD_KEY: state.passwords[user]})
    for user in CLIENTS:
        _await_readers(inside, user, digest(state.passwords[user]), progress, patience)
    _admit(inside, state.ended().acl, progress, patience)
    return CLIENTS


def load_users(inside: Namespace, progress: Progress, patience: float = PATIENCE) -> None:
    """Sees to it that the server's users are those of the Secret: after a deployment."""
    _admit(inside, read_state(inside).acl, progress, patience)


def _admit(inside: Namespace, acl: Acl, progress: Progress, patience: float) -> None:
    """The Secret first, so that a server that restarts knows it; then each server, until it has
    loaded this and nothing else."""
    if (inside.secret(ACL_SECRET) or {}).get(ACL_KEY) != str(acl):
        inside.write_secret(ACL_SECRET, {ACL_KEY: str(acl)})

    def missing() -> list[str]:
        servers = [r for r in inside.readers(ACL_SECRET) if r.container == STORE]
        return [r.pod for r in servers if not _loaded(inside, r, str(acl))] if servers else [STORE]

    _until_none(inside, missing, "the server takes these passwords", progress, patience)


def _loaded(inside: Namespace, server: Reader, text: str) -> bool:
    """Whether a server has this very file mounted and says that it has loaded it."""
    mounted = inside.ask(server.pod, server.container, ["sha256sum", _FILE])
    if not (mounted or "").startswith(digest(text)):
        return False
    said = inside.ask(server.pod, server.container, list(_LOAD))
    return (said or "").strip() == "OK"


def _await_readers(
    inside: Namespace, user: str, wanted: str, progress: Progress, patience: float
) -> None:
    def missing() -> list[str]:
        return [
            reader.pod
            for reader in inside.readers(secret_of(user))
            if (said := _mounted(inside, reader)) is not None and said != wanted
        ]

    _until_none(inside, missing, f"every pod has {user}'s", progress, patience)


def _mounted(inside: Namespace, reader: Reader) -> str | None:
    said = inside.ask(reader.pod, reader.container, [*_MOUNTED, reader.path])
    return None if said is None else said.strip()


def _until_none(
    inside: Namespace,
    missing: Callable[[], list[str]],
    what: str,
    progress: Progress,
    patience: float,
) -> None:
    """Asks every second who is missing, and makes kubelet look at them at once."""
    started = time.monotonic()
    nudged: set[str] = set()
    while left := missing():
        if time.monotonic() - started > patience:
            found = f"not yet: {', '.join(left)}"
            raise InputError.of("rotation", found, what, "run it again: it goes on from here")
        for pod in set(left) - nudged:
            inside.nudge(pod)
        nudged |= set(left)
        time.sleep(1)
    progress(f"{what}: {time.monotonic() - started:.0f} s")

"""New passwords for the store's clients while they work: nothing restarts, no request fails.

The server accepts old and new; then clients get the new one; then, when every pod that reads it
has it mounted, the server accepts the new one only. All state is in the Secrets, so the next run
finishes a rotation that was interrupted.
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
    Secrets,
    client_passwords,
    missing_secret,
    new_password,
    secret_of,
)
from proviso.kube.namespace import SecretMount

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
"""Prints the digest of a file: the password itself never leaves the pod."""

Progress = Callable[[str], None]


class Workloads(Secrets, Protocol):
    """What a rotation needs of a cluster, all of it in our namespace (kube.NamespaceClient)."""

    def mounts(self, secret: str) -> list[SecretMount]:
        """Every running container that mounts a Secret, of pods that are not being deleted."""

    def nudge(self, pod: str) -> None:
        """Makes kubelet look at a pod now. A pod that is gone is fine."""

    def execute(self, pod: str, container: str, command: list[str]) -> str | None:
        """The output of a command in a container; None when pod or container is gone."""


@dataclass(frozen=True)
class State:
    """The state of a rotation: the users' file, and the passwords in the clients' Secrets."""

    acl: Acl
    passwords: Mapping[str, str]

    def handed_out(self, user: str) -> bool:
        """Whether the client's Secret has the newest of several passwords already."""
        digests = self.acl.digests(user)
        return len(digests) > 1 and digests[-1] == digest(self.passwords[user])

    def begun(self, fresh: Mapping[str, str]) -> State:
        """The server accepts the present password and a fresh one, which is last.

        A password that an interrupted rotation had not handed out is known nowhere: it is dropped.
        A user whose newest password has been handed out keeps it, and that rotation continues. A
        Secret that was changed by hand counts: the server accepts its password beside the old.
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
        """The server accepts the passwords that the clients have, and no others."""
        acl = self.acl
        for user in CLIENTS:
            acl = acl.with_digests(user, digest(self.passwords[user]))
        return State(acl, self.passwords)


def read_state(present: Secrets) -> State:
    """The state that the Secrets have. Raises InputError where they are missing."""
    stored = present.secret(ACL_SECRET)
    if stored is None:
        raise missing_secret(ACL_SECRET)
    return State(parse_acl(stored[ACL_KEY]), client_passwords(present))


def rotate_passwords(
    cluster: Workloads,
    progress: Progress,
    patience: float = PATIENCE,
) -> tuple[str, ...]:
    """Gives the store's clients new passwords; returns the users whose rotation was finished.

    Raises InputError when a pod does not get the new one in time: the old one is then still
    accepted, and the same call continues.
    """
    fresh = {user: new_password() for user in CLIENTS}
    before = read_state(cluster)
    resumed = [user for user in CLIENTS if before.handed_out(user)]
    if resumed:
        progress(f"continuing an interrupted rotation: {', '.join(resumed)}")
    state = before.begun(fresh)
    _admit(cluster, state.acl, progress, patience)
    for user in CLIENTS:
        if state.passwords[user] != before.passwords[user]:
            cluster.write_secret(secret_of(user), {PASSWORD_KEY: state.passwords[user]})
    for user in CLIENTS:
        _await_readers(cluster, user, digest(state.passwords[user]), progress, patience)
    _admit(cluster, state.ended().acl, progress, patience)
    return CLIENTS


def load_users(cluster: Workloads, progress: Progress, patience: float = PATIENCE) -> None:
    """Makes the server load the users of the Secret."""
    _admit(cluster, read_state(cluster).acl, progress, patience)


def _admit(cluster: Workloads, acl: Acl, progress: Progress, patience: float) -> None:
    """Writes the Secret, so that a server that restarts reads it; then waits until each server has
    loaded this very file.
    """
    if (cluster.secret(ACL_SECRET) or {}).get(ACL_KEY) != str(acl):
        cluster.write_secret(ACL_SECRET, {ACL_KEY: str(acl)})

    def missing() -> list[str]:
        servers = [m for m in cluster.mounts(ACL_SECRET) if m.container == STORE]
        return [m.pod for m in servers if not _loaded(cluster, m, str(acl))] if servers else [STORE]

    _until_none(cluster, missing, "the server accepts these passwords", progress, patience)


def _loaded(cluster: Workloads, server: SecretMount, text: str) -> bool:
    """Whether a server has this very file mounted, and loads it when asked to."""
    mounted = cluster.execute(server.pod, server.container, ["sha256sum", _FILE])
    if not (mounted or "").startswith(digest(text)):
        return False
    reply = cluster.execute(server.pod, server.container, list(_LOAD))
    return (reply or "").strip() == "OK"


def _await_readers(
    cluster: Workloads, user: str, wanted: str, progress: Progress, patience: float
) -> None:
    def missing() -> list[str]:
        return [
            mount.pod
            for mount in cluster.mounts(secret_of(user))
            if (actual := _mounted(cluster, mount)) is not None and actual != wanted
        ]

    _until_none(cluster, missing, f"every pod has {user}'s password", progress, patience)


def _mounted(cluster: Workloads, mount: SecretMount) -> str | None:
    """The digest of the password that a container sees; None when it is gone."""
    path = f"{mount.folder}/{PASSWORD_KEY}"
    output = cluster.execute(mount.pod, mount.container, [*_MOUNTED, path])
    return None if output is None else output.strip()


def _until_none(
    cluster: Workloads,
    missing: Callable[[], list[str]],
    goal: str,
    progress: Progress,
    patience: float,
) -> None:
    """Asks every second which pods are missing, and makes kubelet look at them at once."""
    started = time.monotonic()
    nudged: set[str] = set()
    while left := missing():
        if time.monotonic() - started > patience:
            message = f"not within {patience:.0f} s: {goal}; missing: {', '.join(left)}"
            why = "run it again: it continues from here, and the old password is still accepted"
            raise InputError.event("rotation_incomplete", message, "rotation", why)
        for pod in set(left) - nudged:
            cluster.nudge(pod)
        nudged |= set(left)
        time.sleep(1)
    progress(f"{goal}: {time.monotonic() - started:.0f} s")

"""The users of the online store and their rights: the server's ACL file, as a value.

The server reads the file from the Secret `store-acl`; it has hashes only. Rights are those that
the programs were measured to need, command by command (docs/store.md).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from proviso.contracts.base import InputError

CLIENTS = ("serving", "writer")
"""Users whose passwords clients read from a Secret `store-<user>`."""

KEEPER = "keeper"
"""The user that the store's own pod reloads the file with."""

RIGHTS: Mapping[str, str] = {
    "serving": "resetchannels ~fs:* -@all +mget +ping",
    "writer": (
        "resetchannels ~* -@all +ping +time +info +script|load +evalsha +multi +exec"
        " +get +set +mget +hget +hset +hmget +hsetnx +scan +unlink"
        " +xadd +xgroup|create +xinfo|groups +xreadgroup +xautoclaim +xpending +xack"
    ),
    KEEPER: "resetchannels -@all +acl|load +acl|getuser +acl|log",
}
REPLICATION: Mapping[str, str] = {
    "replica": "resetchannels -@all +ping +psync +replconf",
    "sentinel": (
        "allchannels -@all +ping +multi +exec +info +role +replicaof +slaveof +config|rewrite"
        " +publish +subscribe +client|setname +client|kill +script|kill"
    ),
}
"""Users that a replica and Sentinel need beside those of a single store."""

_ALL = {**RIGHTS, **REPLICATION}
_OTHERS = ("user default off -@all", "user probe on nopass resetchannels -@all +ping +role")
_USER = re.compile(r"user ([a-z]+) on ((?:#[0-9a-f]{64} )+)([^#>]+)")


def digest(password: str) -> str:
    """A password as the ACL file holds it: its SHA-256 in hexadecimal."""
    return hashlib.sha256(password.encode()).hexdigest()


@dataclass(frozen=True)
class User:
    """A user with its rights and the digests of all passwords that it may use, the newest last."""

    name: str
    digests: tuple[str, ...]
    rights: str

    def __str__(self) -> str:
        return f"user {self.name} on {' '.join('#' + one for one in self.digests)} {self.rights}"


@dataclass(frozen=True)
class Acl:
    """The users with passwords, in the file's order."""

    users: tuple[User, ...] = ()

    def __str__(self) -> str:
        return "".join(f"{line}\n" for line in (*_OTHERS, *map(str, self.users)))

    def digests(self, name: str) -> tuple[str, ...]:
        """The digests of a user's passwords; empty where there is no such user."""
        return next((user.digests for user in self.users if user.name == name), ())

    def with_digests(self, name: str, *digests: str) -> Acl:
        """The same with exactly these passwords for a user, who is added where there is none."""
        once = tuple(dict.fromkeys(digests))
        if name not in (user.name for user in self.users):
            return Acl((*self.users, User(name, once, _ALL[name])))
        users = (replace(u, digests=once) if u.name == name else u for u in self.users)
        return Acl(tuple(users))

    def with_known_rights(self) -> Acl:
        """The same with the rights that this program gives each of its users."""
        users = (replace(u, rights=_ALL.get(u.name, u.rights)) for u in self.users)
        return Acl(tuple(users))


def parse_acl(text: str) -> Acl:
    """Reads a file that this module wrote. Raises InputError."""
    users = []
    for line in text.splitlines():
        if line in _OTHERS:
            continue
        user = _USER.fullmatch(line)
        if user is None:
            why = "it was changed by hand: delete the Secret and run the deployment again"
            message = "has a line that this program did not write"
            raise InputError.event("acl_file_invalid", message, "Secret store-acl", why)
        digests = tuple(one.lstrip("#") for one in user[2].split())
        users.append(User(user[1], digests, user[3]))
    return Acl(tuple(users))

"""What a store's errors mean: one code each, the same in the pod and in the control plane.

The server's errors begin with a word that says which they are; redis-py keeps it as the error's
class or `status_code`. Its text is repeated only where it says more, short and without credentials.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from dataclasses import dataclass

from redis import exceptions as redis

from feature_runtime.core.masking import masked

TIMEOUT = "store_timeout"
UNREADABLE = (ValueError, TypeError, LookupError)
"""What redis-py's parser raises for bytes that are not of the protocol, beside its own errors."""

_SHOWN = 200


@dataclass(frozen=True)
class StoreFault:
    """An error of the store: a stable code, and a message that may be shown."""

    code: str
    message: str


_BY_WORD = {
    "LOADING": StoreFault("store_loading", "the store is loading its data after a start"),
    "CLUSTERDOWN": StoreFault("store_cluster_down", "the store is a cluster that is down"),
    "MASTERDOWN": StoreFault("store_primary_down", "the store is a replica without its primary"),
    "READONLY": StoreFault("store_read_only", "the store is a read-only replica"),
    "NOAUTH": StoreFault("store_password_missing", "the store wants a password"),
    "WRONGPASS": StoreFault("store_password_rejected", "the password is rejected"),
    "NOPERM": StoreFault("store_permission_denied", "the command is denied"),
    "OOM": StoreFault("store_out_of_memory", "the store is full"),
    "MISCONF": StoreFault("store_persistence_failed", "the store cannot write its data to disk"),
    "NOREPLICAS": StoreFault("store_replicas_missing", "the store has too few replicas"),
    "BUSY": StoreFault("store_busy", "the store is busy with a script"),
    "PASSWORDFILE": StoreFault("store_password_unreadable", "the password file cannot be read"),
    "WRONGTYPE": StoreFault("store_key_foreign", "a key holds a value of another type"),
}
CLUSTER = StoreFault(
    "store_is_cluster",
    "the store is a node of a cluster, which is not supported: name a single store",
)
_BY_TEXT = {
    "max number of clients reached": StoreFault("store_clients_full", "too many clients"),
    "without any password": StoreFault("store_password_unknown", "the store has no password"),
    "DB index is out of range": StoreFault("store_database_unknown", "no database of this number"),
    "Invalid Database": StoreFault("store_database_unknown", "no database of this number"),
    "SELECT is not allowed in cluster mode": CLUSTER,
}
_CLUSTER_ERRORS = (
    redis.AskError,  # MOVED too
    redis.ClusterCrossSlotError,
    redis.TryAgainError,
)


def fault_of(error: BaseException) -> StoreFault:
    """What an error of redis-py, or of the socket below it, means."""
    text = _text(error)
    if isinstance(error, _CLUSTER_ERRORS):
        return CLUSTER
    word = getattr(error, "status_code", None) or text.partition(" ")[0]
    if word in _BY_WORD:
        return _BY_WORD[word]
    for part, fault in _BY_TEXT.items():
        if part in text:
            return fault
    if isinstance(error, redis.TimeoutError | asyncio.TimeoutError):
        return StoreFault(TIMEOUT, "no answer in time")
    if isinstance(error, redis.AuthenticationError):
        return _BY_WORD["WRONGPASS"]
    if isinstance(error, (redis.InvalidResponse, *UNREADABLE)):
        return StoreFault("store_protocol_error", "the answer is not of the Redis protocol")
    if any(isinstance(one, ssl.SSLError) for one in _causes(error)):
        return StoreFault("store_tls_failed", f"no TLS connection: {text}")
    if isinstance(error, redis.ConnectionError | OSError):
        return StoreFault("store_unreachable", "no connection")
    return StoreFault("store_error", f"the command failed: {text}")


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _text(error: BaseException) -> str:
    text = masked(" ".join(str(error).split()))[:_SHOWN]
    return "".join(c if c.isprintable() else "?" for c in text) or type(error).__name__

"""The store with its replica and three Sentinels (overlays/kind-ha), and the way back.

Only what that overlay changes is applied, so that jobs and releases stay as they are. What the
StatefulSet says of its pods' start is for life, so it is deleted and made again, both ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from proviso.deploy.platform import kustomize
from proviso.deploy.secrets import ACL_KEY, ACL_SECRET, ensure_passwords, our_namespace
from proviso.kube.api import Cluster
from tests.cluster.place import (
    CONTEXT,
    NAMESPACE,
    NODE,
    ON_NODE,
    ROOT,
    Place,
    attempt,
    eventually,
    ready,
    run,
)

OVERLAYS = ROOT / "k8s" / "overlays"
SENTINELS = 3
_SENTINEL = (
    'REDISCLI_AUTH="$(cat /etc/valkey/sentinel/password)" '
    "valkey-cli --no-auth-warning -p 26379 INFO sentinel"
)
_ROLE = ("env", "REDISCLI_AUTH=none", "valkey-cli", "--no-auth-warning", "--user", "probe", "role")
Object = Mapping[str, Any]


@contextmanager
def replicated(place: Place) -> Iterator[Pair]:
    """Primary and replica, known to all Sentinels; afterwards one store with all that it had."""
    inside = our_namespace(Cluster(CONTEXT))
    found = inside.secret(ACL_SECRET)
    assert found is not None
    pair = Pair(place)
    try:
        ensure_passwords(inside, replicated=True)
        pair.put_up()
        yield pair
    finally:
        pair.take_down()
        inside.write_secret(ACL_SECRET, {ACL_KEY: found[ACL_KEY]})
        pair.back_to_one()


@dataclass(frozen=True)
class Pair:
    """Two stores, one of them primary."""

    place: Place

    # --- there and back ------------------------------------------------------------------------

    @cached_property
    def _plain(self) -> list[dict[str, Any]]:
        return kustomize(OVERLAYS / "kind")

    @cached_property
    def _pair(self) -> list[dict[str, Any]]:
        return kustomize(OVERLAYS / "kind-ha")

    def put_up(self) -> None:
        self._delete("statefulset", "store")
        self._await_no_store()
        self._apply([one for one in self._pair if one not in self._plain])
        self.await_whole()

    def take_down(self) -> None:
        """Once the first store, which stays, has all that was written."""
        whole = self._becomes_whole()
        known = {_name(one) for one in self._plain}
        for one in self._pair:
            if _name(one) not in known:
                self._delete(*_name(one), wait=False)
        self._delete("statefulset", "store")
        self._await_no_store()
        self._delete("persistentvolumeclaim", "data-store-1")
        self._delete("persistentvolume", "proviso-store-replica")
        for name in ("store-replica", "store-sentinel"):
            self._delete("secret", name)
        run("docker", "exec", NODE, "find", f"{ON_NODE}/store-replica", "-mindepth", "1", "-delete")
        assert whole, "the stores did not become equal again: the first may lack writes"

    def back_to_one(self) -> None:
        self._apply([one for one in self._plain if one not in self._pair])
        eventually("the store is ready", lambda: any(map(ready, self._stores())), 60)

    def _apply(self, documents: list[dict[str, Any]]) -> None:
        Cluster(CONTEXT).apply(documents, print)

    def _delete(self, kind: str, name: str, *, wait: bool = True) -> None:
        how = ("--ignore-not-found", f"--wait={str(wait).lower()}")
        self.place.kubectl("-n", NAMESPACE, "delete", kind, name, *how)

    def _await_no_store(self) -> None:
        eventually("no store", lambda: not self._stores(), 60)

    # --- what it says --------------------------------------------------------------------------

    def _stores(self) -> list[dict[str, Any]]:
        return self.place.items("pods", "app=store")

    def primary(self) -> dict[str, Any]:
        """The store that the Service leads to."""
        return eventually("a primary", self._primary, 60)

    def _primary(self) -> dict[str, Any] | None:
        found = [pod for pod in self._stores() if ready(pod)]
        return found[0] if len(found) == 1 else None

    def await_whole(self) -> None:
        """Until the replica follows, and every Sentinel knows it and the others."""
        eventually("a primary and its replica, watched", self.whole, 120)

    def whole(self) -> bool:
        roles = [self._role(pod["metadata"]["name"]) for pod in self._stores()]
        following = sorted(role[0] for role in roles if role) == ["master", "slave"]
        linked = any("connected" in role for role in roles)
        return following and linked and all(self._watched(i) for i in range(SENTINELS))

    def _becomes_whole(self) -> bool:
        """Whether both become equal in time; the way back is gone in any case."""
        try:
            self.await_whole()
        except AssertionError:
            return False
        return True

    def _role(self, pod: str) -> list[str]:
        where = ("kubectl", "--context", CONTEXT, "-n", NAMESPACE, "exec", pod, "-c", "store", "--")
        return attempt(*where, *_ROLE).stdout.splitlines()

    def _watched(self, number: int) -> bool:
        where = ("kubectl", "--context", CONTEXT, "-n", NAMESPACE, "exec", f"sentinel-{number}")
        said = attempt(*where, "--", "sh", "-c", _SENTINEL).stdout
        return "status=ok" in said and f"slaves=1,sentinels={SENTINELS}" in said


def _name(document: Object) -> tuple[str, str]:
    return document["kind"], document["metadata"]["name"]

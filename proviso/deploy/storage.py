"""Directories on a kind node for the volumes of `k8s/components/storage-hostpath`.

Kubelet does not change the owner of a hostPath volume, and our pods run as user 1000: the
directories have to exist with that owner before the first pod mounts them.
"""

from __future__ import annotations

from collections.abc import Sequence

from proviso.kube.programs import call

ROOT = "/var/local/proviso"
VOLUMES = ("data", "records", "store", "store-replica")
OWNER = "1000"


def making_of(directories: Sequence[str] = VOLUMES) -> list[str]:
    """The command on the node; existing directories keep their content."""
    owner = ["-o", OWNER, "-g", OWNER, "-m", "0770"]
    return ["install", "-d", *owner, *(f"{ROOT}/{name}" for name in directories)]


def make_directories(node: str, directories: Sequence[str] = VOLUMES) -> None:
    """Makes the directories on a kind node, which is a container. Raises InputError."""
    call(["docker", "exec", node, *making_of(directories)])

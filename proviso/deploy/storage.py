"""Directories on a kind node for the volumes of `k8s/components/storage-hostpath`.

Kubelet leaves the owner of a hostPath volume alone, and our pods are nobody but user 1000: so the
directories are made, with that owner, before the first pod wants them.
"""

from __future__ import annotations

from collections.abc import Sequence

from proviso.kube.programs import call

ROOT = "/var/local/proviso"
VOLUMES = ("data", "records", "store", "store-replica")
OWNER = "1000"


def making_of(directories: Sequence[str] = VOLUMES) -> list[str]:
    """The command on the node; what is there keeps its content."""
    owner = ["-o", OWNER, "-g", OWNER, "-m", "0770"]
    return ["install", "-d", *owner, *(f"{ROOT}/{name}" for name in directories)]


def make_directories(node: str, directories: Sequence[str] = VOLUMES) -> None:
    """Makes them on a kind node, which is a container. Raises InputError."""
    call(["docker", "exec", node, *making_of(directories)])

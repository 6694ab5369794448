"""The local kind cluster: created from kind-config.yaml, found by its name, deleted whole."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from proviso.contracts.base import InputError
from proviso.kube.programs import call
from proviso.rollout.deployed import Mode

NODE_IMAGE = "kindest/node:v1.34.4"
"""The node image, where Docker has it already (behind an air gap); else kind's own default."""
PREFIX = "kind-"
OWN: dict[Mode, str] = {"standard": "proviso", "knative": "proviso-knative"}
"""Names of the clusters that `deploy` creates. Both need the same ports: one at a time."""
_CREATE_SECONDS = 600.0
_START_SECONDS = 300.0
State = Literal["made", "started", "there"]


@dataclass(frozen=True)
class Kind:
    """One kind cluster by name."""

    name: str

    @property
    def context(self) -> str:
        """Its name in the user's kubeconfig."""
        return f"{PREFIX}{self.name}"

    @property
    def node(self) -> str:
        """The container that is its one node."""
        return f"{self.name}-control-plane"

    def exists(self) -> bool:
        return self.name in call(["kind", "get", "clusters"]).split()

    def up(self, config: Path) -> State:
        """Creates the cluster, or starts one that was stopped; it answers when this returns.

        Raises InputError where another container has its ports.
        """
        made = not self.exists()
        if not made and self._runs():
            return "there"
        _check_ports(config)
        if made:
            self.create(config)
            return "made"
        call(["docker", "start", self.node])
        self._await_answer()
        return "started"

    def _await_answer(self) -> None:
        ends = time.monotonic() + _START_SECONDS
        while True:
            try:
                call(["kubectl", "--context", self.context, "get", "--raw", "/readyz"])
            except InputError:
                if time.monotonic() > ends:
                    raise
                time.sleep(1)
            else:
                return

    def _runs(self) -> bool:
        state = call(["docker", "inspect", "-f", "{{.State.Running}}", self.node])
        return state.strip() == "true"

    def create(self, config: Path) -> None:
        """Creates it; the user's kubeconfig gets its context."""
        image = ["--image", NODE_IMAGE] if _present(NODE_IMAGE) else []
        command = ["kind", "create", "cluster", "--name", self.name, "--config", str(config)]
        call([*command, *image, "--wait", "300s"], _CREATE_SECONDS)

    def delete(self) -> None:
        call(["kind", "delete", "cluster", "--name", self.name], _CREATE_SECONDS)


def named(context: str) -> Kind | None:
    """The kind cluster of a kubeconfig context; None where it is not of kind."""
    return Kind(context.removeprefix(PREFIX)) if context.startswith(PREFIX) else None


def _check_ports(config: Path) -> None:
    """Names the container that has a port: kind's own message only says that it is taken."""
    for port in _ports(config):
        listing = ["docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"]
        holders = call(listing).split()
        if holders:
            message = f"container {holders[0]} already has this port"
            why = f"`docker stop {holders[0]}`, or delete that cluster"
            raise InputError.event("port_in_use", message, f"port {port}", why)


def _ports(config: Path) -> list[int]:
    nodes = yaml.safe_load(config.read_text())["nodes"]
    return [one["hostPort"] for node in nodes for one in node.get("extraPortMappings", [])]


def _present(image: str) -> bool:
    return bool(call(["docker", "image", "ls", "-q", image]).strip())


def present(images: tuple[str, ...]) -> tuple[str, ...]:
    """Those that Docker has: they are loaded, as a node may be unable to pull them."""
    return tuple(image for image in images if _present(image))

"""The local cluster: made from kind-config.yaml, found again by its name, taken away whole."""

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
"""Used where Docker has it already, as behind an air gap; else kind takes its own default."""
PREFIX = "kind-"
OWN: dict[Mode, str] = {"standard": "proviso", "knative": "proviso-knative"}
"""Names of the clusters that `deploy` makes by itself. Both want the same ports: one at a time."""
_CREATE_SECONDS = 600.0
_START_SECONDS = 180.0
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
        """Made where there is none, started where it was stopped; answers when this returns.

        Raises InputError where another cluster has its ports.
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
        """Makes it; the user's kubeconfig gets its context."""
        image = ["--image", NODE_IMAGE] if _present(NODE_IMAGE) else []
        command = ["kind", "create", "cluster", "--name", self.name, "--config", str(config)]
        call([*command, *image, "--wait", "120s"], _CREATE_SECONDS)

    def delete(self) -> None:
        call(["kind", "delete", "cluster", "--name", self.name], _CREATE_SECONDS)


def named(context: str) -> Kind | None:
    """The kind cluster that a context means; None for a cluster of another kind."""
    return Kind(context.removeprefix(PREFIX)) if context.startswith(PREFIX) else None


def _check_ports(config: Path) -> None:
    """One cluster at a time: kind says only that a port cannot be bound, not whose it is."""
    for port in _ports(config):
        listing = ["docker", "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"]
        holders = call(listing).split()
        if holders:
            wanted = f"free for this one: `docker stop {holders[0]}`, or take that cluster down"
            raise InputError.of(f"port {port}", f"taken by container {holders[0]}", wanted)


def _ports(config: Path) -> list[int]:
    nodes = yaml.safe_load(config.read_text())["nodes"]
    return [one["hostPort"] for node in nodes for one in node.get("extraPortMappings", [])]


def _present(image: str) -> bool:
    return bool(call(["docker", "image", "ls", "-q", image]).strip())


def present(images: tuple[str, ...]) -> tuple[str, ...]:
    """Those that Docker has: a node without a way out needs them loaded, others pull them."""
    return tuple(image for image in images if _present(image))

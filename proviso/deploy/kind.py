"""The local cluster: made from kind-config.yaml, found again by its name, taken away whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from proviso.deploy.tools import call

NODE_IMAGE = "kindest/node:v1.34.4"
"""Used where Docker has it already, as behind an air gap; else kind takes its own default."""
PREFIX = "kind-"
_CREATE_SECONDS = 600.0


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


def _present(image: str) -> bool:
    return bool(call(["docker", "image", "ls", "-q", image]).strip())


def present(images: tuple[str, ...]) -> tuple[str, ...]:
    """Those that Docker has: a node without a way out needs them loaded, others pull them."""
    return tuple(image for image in images if _present(image))

"""What a deployed release is called: the names, labels and ports that every manifest agrees on.

A deployed release is a unit: transformer and predictor of one release id. Its name holds the
id, so another id is another unit and no pod is ever replaced by one of another release. Whatever
else is named (Services, policies, scrape jobs) is named after it here and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from proviso.contracts.base import ContractError, Problem
from proviso.release.directory import Release

NAMESPACE = "proviso"
GATEWAY = "proviso"
DOMAIN = "proviso.example"
PART_OF = "app.kubernetes.io/part-of"
PREFIX = "proviso.dev"

HTTP, GRPC, SHADOW_HTTP, SHADOW_GRPC = 8080, 8081, 8082, 8083
"""The transformer's listeners; where a request lands decides its traffic: live or shadow."""
TRITON_HTTP, TRITON_GRPC, TRITON_METRICS = 8000, 8001, 8002

Topology = Literal["separate", "collocated"]
Mode = Literal["standard", "knative"]

_LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_MOST = 63
"""Characters of a DNS label, of a Service's name and of a label's value."""
_ID_DIGITS = 6


@dataclass(frozen=True)
class DeployedRelease:
    """One release as Kubernetes knows it. `deployed_release` makes one and checks its names."""

    model_name: str
    version: str
    release_id: str
    digests: Mapping[str, str]
    topology: Topology = "separate"
    mode: Mode = "standard"

    @property
    def name(self) -> str:
        """`late-delivery-1-0-0-55a40f`: name of the unit and, in mode standard, of its
        InferenceService.
        """
        digits = self.release_id.removeprefix("r-")[:_ID_DIGITS]
        return f"{self.model_name}-{self.version.replace('.', '-')}-{digits}"

    @property
    def service(self) -> str:
        """The InferenceService: one a unit, but in mode knative one a model, revised in place."""
        return self.model_name if self.mode == "knative" else self.name

    @property
    def public(self) -> str:
        """The Service that clients' requests go to."""
        return f"{self.name}-public"

    @property
    def shadow(self) -> str:
        """The Service that mirrored requests go to: the same pods, ports of their own."""
        return f"{self.name}-shadow"

    @property
    def triton(self) -> str:
        """The Service that transformers reach their predictors by, and that is scraped."""
        return f"{self.name}-triton"

    @property
    def predictor_address(self) -> str:
        """host:port of Triton's gRPC; the final dot spares the resolver its list of suffixes."""
        if self.topology == "collocated":
            return f"127.0.0.1:{TRITON_GRPC}"
        return f"{self.triton}.{NAMESPACE}.svc.cluster.local.:{TRITON_GRPC}"

    @property
    def hostname(self) -> str:
        """The host that clients name, the same for every release of the model."""
        return hostname(self.model_name, self.mode)

    @property
    def front_pods(self) -> dict[str, str]:
        """Selects the pods that clients' requests reach: those with a transformer."""
        if self.mode == "knative":
            return {f"{PREFIX}/release": self.release_id}
        return self.model_pods if self.topology == "collocated" else self._pods("transformer")

    @property
    def model_pods(self) -> dict[str, str]:
        """Selects the pods with Triton."""
        return self.front_pods if self.mode == "knative" else self._pods("predictor")

    @property
    def labels(self) -> dict[str, str]:
        return {
            PART_OF: "proviso",
            f"{PREFIX}/model": self.model_name,
            f"{PREFIX}/version": self.version,
            f"{PREFIX}/release": self.release_id,
        }

    @property
    def annotations(self) -> dict[str, str]:
        """Every digest that makes the release's id."""
        return {f"{PREFIX}/digest-{part}": value for part, value in sorted(self.digests.items())}

    def _pods(self, component: str) -> dict[str, str]:
        return {"app": f"isvc.{self.name}-{component}"}


def hostname(model_name: str, mode: Mode = "standard") -> str:
    """The host of a model, whatever release answers. Knative names it after what it runs."""
    if mode == "knative":
        return f"{model_name}-predictor.{NAMESPACE}.{DOMAIN}"
    return f"{model_name}.{DOMAIN}"


def deployed_release(
    release: Release, topology: Topology = "separate", mode: Mode = "standard"
) -> DeployedRelease:
    """The unit of a release. Raises ContractError when Kubernetes could not hold its names."""
    unit = DeployedRelease(
        release.model_name,
        release.model.partition(":")[2],
        release.id,
        dict(release.digests),
        topology,
        mode,
    )
    problems = list(name_problems(unit, str(release.directory / "release.yml")))
    if problems:
        raise ContractError(problems)
    return unit


def name_problems(unit: DeployedRelease, path: str) -> Iterator[Problem]:
    """Names that the API server would refuse, or cut, by the place that they come from."""
    if not _LABEL.fullmatch(unit.model_name):
        wanted = "a DNS label: lower case letters, digits, dashes inside"
        yield Problem(f"{path}: model_name", unit.model_name, wanted, "it is part of the host name")
    if not re.fullmatch(r"\d+(\.\d+){2}", unit.version):
        yield Problem(f"{path}: model", unit.version or "no version", "a version such as 2.5.0")
    longest = f"isvc.{unit.name}-transformer"
    if len(longest) > _MOST:
        most = _MOST - len(longest) + len(unit.name)
        why = "KServe labels pods isvc.<unit>-transformer, and a label has 63 characters at most"
        found = f"{unit.name} ({len(unit.name)} characters)"
        yield Problem(f"{path}: model_name", found, f"a unit name of at most {most}", why)

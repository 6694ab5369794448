"""A deployed release: its name, labels and ports, which every manifest agrees on.

A deployed release is the transformer and the predictor of one release id. Its name contains the id,
so another id is another deployed release, and no pod is ever replaced by one of another release.
All other names (Services, policies, scrape jobs) are derived from it here and nowhere else.
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
"""The longest DNS label, Service name and label value, in characters."""
_ID_DIGITS = 6


@dataclass(frozen=True)
class DeployedRelease:
    """One release as Kubernetes knows it. `deployed_release` creates one and checks its names."""

    model_name: str
    version: str
    release_id: str
    digests: Mapping[str, str]
    topology: Topology = "separate"
    mode: Mode = "standard"

    @property
    def name(self) -> str:
        """Such as `late-delivery-1-0-0-55a40f`; in mode standard also its InferenceService."""
        digits = self.release_id.removeprefix("r-")[:_ID_DIGITS]
        return f"{self.model_name}-{self.version.replace('.', '-')}-{digits}"

    @property
    def service(self) -> str:
        """The InferenceService: one a release; in mode knative one a model, revised in place."""
        return self.model_name if self.mode == "knative" else self.name

    @property
    def public(self) -> str:
        """The Service that live traffic goes to."""
        return f"{self.name}-public"

    @property
    def shadow(self) -> str:
        """The Service that shadow traffic goes to: the same pods, other ports."""
        return f"{self.name}-shadow"

    @property
    def triton(self) -> str:
        """The Service of the predictors, for transformers and Prometheus."""
        return f"{self.name}-triton"

    @property
    def predictor_address(self) -> str:
        """host:port of Triton's gRPC; the final dot keeps the resolver from trying its suffixes."""
        if self.topology == "collocated":
            return f"127.0.0.1:{TRITON_GRPC}"
        return f"{self.triton}.{NAMESPACE}.svc.cluster.local.:{TRITON_GRPC}"

    @property
    def hostname(self) -> str:
        """The host of requests, the same for every release of the model."""
        return hostname(self.model_name, self.mode)

    @property
    def front_pods(self) -> dict[str, str]:
        """The labels of the pods that have a transformer."""
        if self.mode == "knative":
            return {f"{PREFIX}/release": self.release_id}
        return self.model_pods if self.topology == "collocated" else self._pods("transformer")

    @property
    def model_pods(self) -> dict[str, str]:
        """The labels of the pods that have Triton."""
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
        """Every digest that the release id is made of."""
        return {f"{PREFIX}/digest-{part}": value for part, value in sorted(self.digests.items())}

    def _pods(self, component: str) -> dict[str, str]:
        return {"app": f"isvc.{self.name}-{component}"}


def hostname(model_name: str, mode: Mode = "standard") -> str:
    """The host of a model, whichever release answers. Knative derives it from its Service."""
    if mode == "knative":
        return f"{model_name}-predictor.{NAMESPACE}.{DOMAIN}"
    return f"{model_name}.{DOMAIN}"


def deployed_release(
    release: Release, topology: Topology = "separate", mode: Mode = "standard"
) -> DeployedRelease:
    """A release as deployed. Raises ContractError when its names are invalid in Kubernetes."""
    deployed = DeployedRelease(
        release.model_name,
        release.version,
        release.id,
        dict(release.digests),
        topology,
        mode,
    )
    problems = list(name_problems(deployed, str(release.file)))
    if problems:
        raise ContractError(problems)
    return deployed


def name_problems(release: DeployedRelease, path: str) -> Iterator[Problem]:
    """Names that the API server would refuse, or cut, with the place that they come from."""
    if not _LABEL.fullmatch(release.model_name):
        wanted = "a DNS label: lower case letters, digits, dashes inside"
        why = "it is part of the host name"
        yield Problem(f"{path}: model_name", release.model_name, wanted, why, "name_not_dns_label")
    if not re.fullmatch(r"\d+(\.\d+){2}", release.version):
        actual, wanted = release.version or "no version", "a version such as 2.5.0"
        yield Problem(f"{path}: model", actual, wanted, code="version_invalid")
    longest = f"isvc.{release.name}-transformer"
    if len(longest) > _MOST:
        most = _MOST - len(longest) + len(release.name)
        why = "KServe's pod label is isvc.<name>-transformer, and a label has 63 characters at most"
        actual = f"{release.name} ({len(release.name)} characters)"
        wanted = f"a deployed release's name of at most {most} characters"
        yield Problem(f"{path}: model_name", actual, wanted, why, "name_too_long")

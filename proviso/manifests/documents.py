"""Writes rendered objects as YAML, the same bytes every time, and parses the kinds we render."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from proviso.manifests.objects.core import Kube, PodDisruptionBudget, Service
from proviso.manifests.objects.network import NetworkPolicy
from proviso.manifests.objects.routing import BackendTrafficPolicy, HTTPRoute, HTTPRouteFilter
from proviso.manifests.objects.serving import InferenceService

KINDS: dict[str, type[Kube]] = {
    kind.__name__: kind
    for kind in (
        InferenceService,
        Service,
        PodDisruptionBudget,
        NetworkPolicy,
        HTTPRoute,
        HTTPRouteFilter,
        BackendTrafficPolicy,
    )
}


def documents(objects: Iterable[Kube], head: str) -> str:
    """One YAML file; `head` becomes its comment."""
    comment = "".join(f"# {line}".rstrip() + "\n" for line in head.splitlines())
    return comment + "---\n".join(yaml_of(plain(item)) for item in objects)


def plain(item: Kube) -> dict[str, Any]:
    """An object as plain data with Kubernetes' names, without unset fields."""
    return item.model_dump(by_alias=True, exclude_none=True)


def yaml_of(data: Any) -> str:
    return yaml.dump(data, Dumper=_Readable, sort_keys=False, width=100_000, allow_unicode=True)


def parse_documents(text: str) -> list[Kube]:
    """The objects of a rendered file. Raises ValidationError or KeyError for any other object."""
    return [KINDS[data["kind"]].model_validate(data) for data in yaml.safe_load_all(text)]


class _Readable(yaml.SafeDumper):
    """A dumper without anchors: each object can be read on its own."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

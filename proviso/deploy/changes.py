"""Changes to objects on their way from a file to the API server: image names, a pod annotation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def images_in(value: Any) -> Iterator[str]:
    """Every container image that an object names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key == "image" and isinstance(inner, str):
                yield inner
            else:
                yield from images_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from images_in(inner)


def with_image(value: Any, name: str, image: str) -> Any:
    """The same object with a container image of ours under its full name."""
    if isinstance(value, Mapping):
        return {
            key: image
            if key == "image" and inner == f"proviso/{name}"
            else with_image(inner, name, image)
            for key, inner in value.items()
        }
    return [with_image(inner, name, image) for inner in value] if isinstance(value, list) else value


def with_pod_annotation(document: dict[str, Any], key: str, value: str) -> dict[str, Any]:
    """A Deployment with an annotation on its pods: they restart when its value changes."""
    if document["kind"] == "Deployment":
        metadata = document["spec"]["template"]["metadata"]
        metadata["annotations"] = {**metadata.get("annotations", {}), key: value}
    return document

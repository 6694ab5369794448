"""Small changes that a deployment makes to objects on their way from a file to the API server."""

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


def with_note(document: dict[str, Any], key: str, value: str) -> dict[str, Any]:
    """A Deployment whose pods are made anew when the note is another."""
    if document["kind"] == "Deployment":
        metadata = document["spec"]["template"]["metadata"]
        metadata["annotations"] = {**metadata.get("annotations", {}), key: value}
    return document


def units_of_route(spec: Mapping[str, Any]) -> Iterator[str]:
    """Units by name that a route's rules lead to, mirrors included."""
    for rule in spec.get("rules", []):
        for backend in rule.get("backendRefs", []):
            if backend.get("weight", 1):
                yield backend["name"].removesuffix("-public")
        for one in rule.get("filters", []):
            if one["type"] == "RequestMirror":
                yield one["requestMirror"]["backendRef"]["name"].removesuffix("-shadow")

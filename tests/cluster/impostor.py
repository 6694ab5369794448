"""Releases that are not what they say, as images and as manifests: what must never start."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from feature_runtime.core import identity
from proviso.release.directory import Release

NAME = "impostor"


def directory(release: Release, how: str, out: Path) -> str:
    """Writes a bad release directory made of a good one; returns the id that it claims.

    how: `altered-bytes` changes the model under the same digests, `not-a-model` puts other bytes
    under digests that fit them.
    """
    shutil.copytree(release.directory, out)
    model = out / release.triton_model / "1" / "model.onnx"
    if how == "altered-bytes":
        data = bytearray(model.read_bytes())
        data[len(data) // 2] ^= 1
        model.write_bytes(bytes(data))
        return release.id
    model.write_bytes(b"this is no model")
    return _rebound(release, out, model)


def _rebound(release: Release, out: Path, model: Path) -> str:
    """Digest and id again, so that only Triton can find out."""
    parsed = dict(release.parsed)
    parsed["digests"] = {**release.digests, "model": identity.digest(model.read_bytes())}
    parsed["id"] = identity.release_id(parsed["digests"])
    (out / "release.yml").write_text(yaml.safe_dump(parsed, sort_keys=False))
    config = out / release.triton_model / "config.pbtxt"
    lines = identity.canonical_config(config.read_text()) + identity.id_line(parsed["id"])
    config.write_text(lines + "\n")
    return str(parsed["id"])


def manifest(service: dict[str, Any], image: str, old: str, new: str) -> dict[str, Any]:
    """A good InferenceService's predictor alone, with another model image and id."""
    text = yaml.safe_dump(service["spec"]["predictor"])
    predictor = yaml.safe_load(text.replace(old, new))
    for container in predictor["initContainers"]:
        if container["name"] == "model":
            container["image"] = image
    predictor["minReplicas"] = predictor["maxReplicas"] = 1
    metadata = {
        "name": NAME,
        "namespace": service["metadata"]["namespace"],
        "annotations": service["metadata"]["annotations"],
        "labels": {"networking.kserve.io/visibility": "cluster-local"},
    }
    return {
        "apiVersion": service["apiVersion"],
        "kind": service["kind"],
        "metadata": metadata,
        "spec": {"predictor": predictor},
    }


def crossed(deployment: dict[str, Any], own: str, other: str) -> dict[str, Any]:
    """A pod of a transformer whose predictor is another release's."""
    template = deployment["spec"]["template"]
    spec = yaml.safe_load(
        yaml.safe_dump(template["spec"]).replace(f"{own}-triton", f"{other}-triton")
    )
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "crossed",
            "namespace": deployment["metadata"]["namespace"],
            "labels": {"app": "crossed"},
        },
        "spec": spec,
    }

"""What the real API server says of the rendered files, and of broken ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.cluster.load import batch, failed, releases
from tests.cluster.place import CONTEXT, ROOT, Place, attempt, eventually, ready

pytestmark = pytest.mark.cluster
RENDERED = sorted((ROOT / "k8s" / "releases").glob("*/release.yaml"))
OVERLAYS = ROOT / "k8s" / "overlays"
STEPS = sorted((ROOT / "k8s" / "releases").glob("*/rollout/*.yaml"))


def accepted(path: Path, text: str | None = None) -> tuple[bool, str]:
    """Whether the API server, with all webhooks, would take it; what it says if not."""
    source = "-" if text is not None else str(path)
    done = attempt(
        *("kubectl", "--context", CONTEXT, "apply", "--server-side", "--dry-run=server"),
        *("--force-conflicts", "--validate=strict", "-f", source),
        text=text,
    )
    return done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", [*RENDERED, *STEPS], ids=lambda path: f"{path.parts[-3:]}")
@pytest.mark.usefixtures("place")
def test_rendered_files_are_accepted(path: Path) -> None:
    ok, said = accepted(path)
    assert ok, said


@pytest.mark.parametrize("overlay", ["nvidia", "gpu", "ha"])
def test_overlays_are_accepted(place: Place, overlay: str) -> None:
    documents = list(yaml.safe_load_all(place.kubectl("kustomize", OVERLAYS / overlay)))
    for document in documents:
        # Beside those that are there: a StatefulSet or Job cannot become another one.
        if document["kind"] in ("StatefulSet", "Job"):
            document["metadata"]["name"] += "-trial"
    ok, said = accepted(Path("-"), yaml.safe_dump_all(documents))
    assert ok, said


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda spec: spec["predictor"].update(minReplicas=9, maxReplicas=2), "maxReplicas"),
        (lambda spec: spec["predictor"].update(minReplica=1), "minReplica"),
        (lambda spec: spec["transformer"]["containers"][0].update(imagee="x"), "imagee"),
    ],
    ids=["minimum over maximum", "unknown field", "unknown field of a container"],
)
@pytest.mark.usefixtures("place")
def test_a_bad_inference_service_is_refused(change: object, wanted: str) -> None:
    documents = list(yaml.safe_load_all(RENDERED[-1].read_text()))
    [service] = [d for d in documents if d["kind"] == "InferenceService"]
    service["metadata"]["name"] = "bad"
    assert callable(change)
    change(service["spec"])
    ok, said = accepted(Path("-"), yaml.safe_dump(service))
    assert not ok
    assert wanted.lower() in said.lower()


def test_a_bad_model_fails_its_release_only(at_rest: Place) -> None:
    """A model that is no ONNX at all, under digests that fit it: Triton cannot load it."""
    with at_rest.impostor(at_rest.candidate, "not-a-model") as deployed_name:
        eventually("Triton gives up", lambda: at_rest.gave_up(deployed_name, "predictor"))
        assert not any(map(ready, at_rest.pods(deployed_name, "predictor")))
        sent = batch(at_rest.gateway, at_rest.asked, 200, "beside-a-bad-model")
    assert not failed(sent), failed(sent)[:3]
    assert set(releases(sent)) == {at_rest.stable.id}

"""Altered bytes never start, and a predictor of another release is never asked."""

from __future__ import annotations

import pytest

from tests.cluster.load import batch, failed, releases
from tests.cluster.place import Place, eventually, ready

pytestmark = pytest.mark.cluster


def test_a_predictor_with_other_bytes_never_becomes_ready(at_rest: Place) -> None:
    """The candidate's manifests with a model image in which one byte of the model differs."""
    with at_rest.impostor(at_rest.candidate, "altered-bytes") as deployed_name:
        said = eventually(
            "the launcher refuses", lambda: at_rest.init_log(deployed_name, "backend")
        )
        assert "model.onnx" in said
        assert "wanted sha256:" in said
        assert not any(map(ready, at_rest.pods(deployed_name, "predictor")))
        sent = batch(at_rest.gateway, at_rest.asked, 100, "beside-an-impostor")
    assert not failed(sent), failed(sent)[:3]
    assert set(releases(sent)) == {at_rest.stable.id}


def test_a_transformer_in_front_of_another_release_never_answers(at_rest: Place) -> None:
    """The candidate's public Service leads to pods whose predictor is the stable release's."""
    with at_rest.crossed(at_rest.candidate, at_rest.stable) as pod:
        for _ in range(20):
            code, body = at_rest.ask_pod(pod)
            assert code == 503, body
            assert "identity" in body

"""New passwords for the store, under load and without a restart."""

from __future__ import annotations

import pytest

from tests.cluster.load import Load, failed
from tests.cluster.place import PROGRAM, Place, attempt, run

pytestmark = pytest.mark.cluster


def test_a_rotation_fails_no_request(at_rest: Place) -> None:
    before = at_rest.secret("store-serving")
    pods = {pod["metadata"]["uid"] for pod in at_rest.items("pods", "app=store")}
    with Load(at_rest.gateway, at_rest.asked, "rotation") as load:
        said = run(PROGRAM, "store", "rotate-password", seconds=600)
    assert not failed(load.sent), failed(load.sent)[:3]
    after = at_rest.secret("store-serving")
    assert before != after
    assert before not in said
    assert after not in said
    assert {pod["metadata"]["uid"] for pod in at_rest.items("pods", "app=store")} == pods
    assert not at_rest.store_accepts("serving", before)
    assert at_rest.store_accepts("serving", after)


def test_no_password_is_in_a_manifest_or_an_environment(place: Place) -> None:
    secrets = [place.secret(name) for name in ("store-serving", "store-writer")]
    shown = place.kubectl("-n", "proviso", "get", "pods,deploy,sts,cm,isvc", "-o", "yaml")
    for secret in secrets:
        assert secret not in shown
    done = attempt("git", "grep", "-F", "-e", secrets[0], "-e", secrets[1])
    assert done.returncode == 1

"""The deployment that the cluster tests share. Without a cluster they are skipped, and say why."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator

import pytest

from tests.cluster.place import Place, deployed


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The stable release serves, the candidate stands by, no scheduled job runs.

    scripts/test-cluster says why there can be no cluster, where it knows.
    """
    missing = [tool for tool in ("docker", "kind", "kubectl") if shutil.which(tool) is None]
    reason = os.environ.get("PROVISO_NO_CLUSTER") or (f"no {missing} on PATH" if missing else "")
    if reason:
        pytest.skip(reason)
    place = deployed(tmp_path_factory.mktemp("place"))
    with place.still():
        yield place


@pytest.fixture
def tag() -> str:
    """Begins the ids of a test's requests: records of earlier runs stay in the volume."""
    return f"t{time.time_ns()}"


@pytest.fixture
def at_rest(place: Place) -> Iterator[Place]:
    """The stable release alone has the traffic, before and after.

    What a failed test left is mended before the next one begins, not judged after it.
    """
    place.back()
    yield place
    place.apply(place.rollout("rollback"))

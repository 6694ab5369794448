"""The cluster's own jobs, asked to run now."""

from __future__ import annotations

import time
from pathlib import Path

from tests.cluster.place import NAMESPACE, Place, eventually


def append_now(place: Place) -> None:
    """A run of `append` while its schedule is suspended; returns when it has ended well."""
    name = f"append-{time.time_ns()}"
    place.kubectl("-n", NAMESPACE, "create", "job", name, "--from=cronjob/append")
    eventually(f"{name} is complete", lambda: _succeeded(place, name))
    place.kubectl("-n", NAMESPACE, "delete", "job", name)


def _succeeded(place: Place, name: str) -> bool:
    status = place.get("job", name).get("status", {})
    assert not status.get("failed"), status
    return bool(status.get("succeeded"))


def settled_history(place: Place) -> Path:
    """The history once it knows what had not been written yet while requests were answered.

    Rows of a view that is published on event wait for the next run, which stamps them with the
    moment at which they really came; before it, the history takes them to have been in time.
    """
    append_now(place)
    return place.copy("data") / "history"

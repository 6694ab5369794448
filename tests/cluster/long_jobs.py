"""The cluster's own jobs, asked to run now."""

from __future__ import annotations

import time
from pathlib import Path

from tests.cluster.place import NAMESPACE, Place


def append_now(place: Place) -> None:
    """A run of `append` besides those of its schedule; returns when it has ended well."""
    name = f"append-{time.time_ns()}"
    place.kubectl("-n", NAMESPACE, "create", "job", name, "--from=cronjob/append")
    place.kubectl(
        *("-n", NAMESPACE, "wait", "--for=condition=Complete", f"job/{name}", "--timeout=110s")
    )
    place.kubectl("-n", NAMESPACE, "delete", "job", name)


def settled_history(place: Place) -> Path:
    """The history once it knows what had not been written yet while requests were answered.

    Rows of a view that is published on event wait for the next run, which stamps them with the
    moment at which they really came; before it, the history takes them to have been in time.
    """
    append_now(place)
    return place.copy("data") / "history"

"""Stores, stacks and browsers that the tests with real processes share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.local.browser import Browser, browsing
from tests.local.pod_stack import PodStack, made
from tests.parcel_data import Held, running_store


@pytest.fixture(scope="session")
def pod_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PodStack]:
    """Store, predictor and transformers around a tiny model; stops with the session."""
    with made(tmp_path_factory.mktemp("pod")) as stack:
        yield stack


@pytest.fixture(scope="module")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Held]:
    """A store for the tests of a module, with what earlier ones left in it."""
    with running_store(tmp_path_factory.mktemp("store")) as held:
        yield held


@pytest.fixture
def held(valkey: Held) -> Held:
    """The module's store, empty."""
    valkey.client.flushdb()
    return valkey


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A headless browser."""
    with browsing(tmp_path_factory.mktemp("browser")) as found:
        yield found

"""Errors of a view's writer, against a store that refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from feature_runtime.core.availability import Row
from proviso.contracts.base import InputError
from proviso.contracts.loading import load_contract
from proviso.history.values import EntityRow
from proviso.online.sending import Clocks, Pace, Sender, silent
from proviso.online.store import OnlineStore

CONTRACTS = Path(__file__).parents[3] / "contracts"


class RefusingStore:
    """Refuses every merge with one code."""

    address = "127.0.0.1:6379"

    def __init__(self, code: str) -> None:
        self._code = code

    def merge(self, *_: Any) -> None:
        raise InputError.event(self._code, "refused", f"online store {self.address}")


def refusal(code: str) -> tuple[str, str, str]:
    """(code, path, message and cure) of a batch that the store refuses with `code`."""
    contract = load_contract(CONTRACTS)
    view = contract.view_by_name["customer_velocity_1h"]
    store = cast(OnlineStore, RefusingStore(code))
    sender = Sender(contract, view, store, Clocks(0, 0, 0))
    values = (None,) * len(view.features)
    rows = [EntityRow((1,), Row(0, 1, values))]
    with pytest.raises(InputError) as raised:
        sender.send(rows, Pace(view, silent), maybe_sent=False)
    [problem] = raised.value.problems
    return problem.code, problem.path, f"{problem.message}; {problem.why}"


def test_a_full_key_names_the_view_and_the_cure() -> None:
    assert refusal("timeline_full") == (
        "timeline_full",
        "view customer_velocity_1h in online store 127.0.0.1:6379",
        "too many rows of one key are not readable yet; wait, then run it again",
    )


def test_another_error_of_the_store_stays_as_it_is() -> None:
    assert refusal("store_unreachable")[:2] == ("store_unreachable", "online store 127.0.0.1:6379")

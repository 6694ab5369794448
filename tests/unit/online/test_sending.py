"""What a view's writer does where a store refuses keys, or all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from feature_runtime.core import timeline
from feature_runtime.core.availability import Row
from proviso.contracts.base import InputError
from proviso.contracts.loading import load_contract
from proviso.history.values import EntityRow
from proviso.online.materialize import Materializer
from proviso.online.sending import Clocks, Pace, Sender, Tally, silent
from proviso.online.store import Merged, OnlineStore

CONTRACT = load_contract(Path(__file__).parents[3] / "contracts")
VIEW = CONTRACT.view_by_name["customer_velocity_1h"]
CLOCKS = Clocks(0, 0, 0)


class RefusingStore:
    """Refuses every second key with one code, or everything with an error."""

    address = "127.0.0.1:6379"

    def __init__(self, code: str = "", error: str = "") -> None:
        self._code, self._error = code, error

    def merge(self, pairs: list[tuple[bytes, bytes]], *_: Any) -> Merged:
        if self._error:
            raise InputError.event(self._error, "refused", f"online store {self.address}")
        refused = {key: self._code for key, _ in pairs[::2]}
        return Merged(len(pairs) - len(refused), 0, 1, refused=refused)

    def token(self, *_: str) -> str:
        return "0123456789abcdef"


def sent(store: RefusingStore) -> Tally:
    """Two rows of each of four customers."""
    values = (None,) * len(VIEW.features)
    rows = [EntityRow((n,), Row(at, at + 1, values)) for n in range(4) for at in (0, 1)]
    sender = Sender(CONTRACT, VIEW, cast(OnlineStore, store), CLOCKS)
    return sender.send(rows, Pace(VIEW, silent), maybe_sent=False)


@pytest.mark.parametrize("code", [timeline.FULL, timeline.FUTURE, timeline.FOREIGN])
@pytest.mark.parametrize("hashed", [False, True])
def test_a_refused_key_is_named_and_the_others_are_written(
    code: str, hashed: bool, tmp_path: Path
) -> None:
    store = RefusingStore(code)
    done = sent(store)
    assert (done.rows, done.changed) == (4, 2)
    writer = Materializer(CONTRACT, tmp_path, cast(OnlineStore, store), CLOCKS, hashed)
    keys = writer.refused_keys(VIEW, done.refused)
    assert [(key.code, key.rows) for key in keys] == [(code, 2), (code, 2)]
    named = {key.name for key in keys}
    assert (named == {"customer:0", "customer:2"}) is not hashed
    assert len(named) == 2
    with pytest.raises(InputError) as raised:
        writer.require_all(VIEW, done)
    assert [problem.code for problem in raised.value.problems] == [code, code]
    assert any("customer:" in problem.path for problem in raised.value.problems) is not hashed


def test_an_error_of_the_store_stays_as_it_is() -> None:
    with pytest.raises(InputError) as raised:
        sent(RefusingStore(error="store_unreachable"))
    [problem] = raised.value.problems
    assert (problem.code, problem.path) == ("store_unreachable", "online store 127.0.0.1:6379")

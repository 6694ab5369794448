"""Damages one customer's key in the lab's store, on purpose: what must the skew test find?

python docs/lab/damage.py delete|text|stale|value CUSTOMER STORE-URL PASSWORD-FILE
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from feature_runtime.core import keys, timeline
from feature_runtime.core.availability import Row
from feature_runtime.core.moments import DAY
from proviso.contracts.loading import load_contract
from proviso.online.store import OnlineStore

VIEW = "customer_velocity_1h"
DAMAGES: dict[str, Callable[[Row], Row]] = {
    "text": lambda row: row._replace(values=(str(row.values[0]), *row.values[1:])),
    "stale": lambda row: row._replace(event_ts=row.event_ts - DAY, created_ts=row.created_ts - DAY),
    "value": lambda row: row._replace(values=(row.values[0], row.values[1] + 0.01, row.values[2])),
}


def main(damage: str, customer: str, url: str, password_file: str) -> None:
    contract = load_contract(Path("contracts"))
    view = contract.view_by_name[VIEW]
    schema = contract.schema_of(view)
    key = keys.timeline_key(keys.entity_key(view.entities, (customer,)), VIEW, schema)
    store = OnlineStore(url, Path(password_file))
    if damage == "delete":
        store.remove([key])
    else:
        [blob] = store.read([key])
        rows = timeline.unpack(schema, blob or b"")
        store.replace(key, timeline.pack(schema, map(DAMAGES[damage], rows)))
    print(f"{damage}: {key.decode()}")


if __name__ == "__main__":
    main(*sys.argv[1:])

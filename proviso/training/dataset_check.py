"""Checks a dataset against raw history, by the availability rule itself and not by the join.

For every transaction and consumed view `availability` picks the winner among the entity's rows as
they were published; the dataset must hold that winner's times, statuses and values to the bit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feature_runtime.core.availability import Row, Status, Value
from feature_runtime.core.keys import EntityId
from feature_runtime.core.service import FeatureRef, Service
from feature_runtime.core.values import Texts, feature_statuses, texts_of
from proviso.contracts.contract import Contract, FeatureView
from proviso.contracts.publication import of_table
from proviso.history.arrays import NO_ROW, EncoderInputs
from proviso.history.ports import Transactions
from proviso.training.content_digest import ContentDigest
from proviso.training.data import Project
from proviso.training.entity_rows import EntityRows
from proviso.training.weeks import Days

Progress = Callable[[str], None]
Moments = NDArray[np.int64]
Drawn = TypeVar("Drawn")
_DIGESTED = {"_event_us": "event_us", "_created_us": "created_us"}
"""Columns by the names that they have in the digests of certificates."""
_Place = tuple[tuple[EntityId, ...], int, int]
_NAMED = 5  # differences that are named; the others are counted


@dataclass(frozen=True)
class DatasetToCheck:
    """A dataset, whose rows must be the transactions of `days`, and what it was joined from."""

    project: Project
    transactions: Transactions
    history: Path
    inputs: EncoderInputs
    days: Days

    @property
    def contract(self) -> Contract:
        return self.project.contract

    @property
    def service(self) -> Service:
        return self.project.service


@dataclass(frozen=True)
class Winner:
    """A row that the rule chose, with all features of its view."""

    ids: tuple[EntityId, ...]
    row: Row


@dataclass(frozen=True)
class Answer:
    """What the rule answered a transaction: its entity, its moment, and the winner, if any.

    published: the rows that the history has of the entity.
    """

    ids: tuple[EntityId, ...]
    t: int
    winner: Row | None
    published: EntityRows

    def published_later(self, row: Row) -> bool:
        """Whether the history has a row of that event time that could not be read at the moment."""
        times = zip(self.published.events, self.published.created, strict=True)
        return any(event == row.event_ts and created > self.t for event, created in times)


@dataclass(frozen=True)
class CheckedView:
    """The result of one view: statuses by name, values checked, rows of history that were read.

    history: content digest of all rows that could win, as published. sample: some winners.
    answers: some answers of a view over a table, without a winner too; of another view none.
    differences: how many cells of the dataset differ; the first are described in `named`.
    """

    view: str
    statuses: dict[str, int]
    values: int
    rows: int
    history: str
    sample: tuple[Winner, ...]
    answers: tuple[Answer, ...]
    differences: int
    named: tuple[str, ...]


def check_dataset(
    task: DatasetToCheck, sample: int, seed: int, progress: Progress
) -> Iterator[CheckedView | str]:
    """Checks view by view. A text in place of a result: the rows are not the transactions.

    Raises InputError when history or transactions cannot be read.
    """
    contract, inputs = task.contract, task.inputs
    yield from _other_rows(task)
    for position, consumed in enumerate(task.service.views):
        view = contract.view_by_name[consumed.name]
        chance = np.random.default_rng((seed, position)).random(len(inputs))
        check = _ViewCheck(task, view, sample, chance)
        check.run(progress)
        yield check.result()


def _other_rows(task: DatasetToCheck) -> Iterator[str]:
    """Whether ids, keys and moments are the source's own, in its order."""
    inputs = task.inputs
    expected = task.transactions.columns(task.days.first, task.days.end)
    if len(expected["moments"]) != len(inputs):
        yield f"rows: found {len(inputs)}, wanted {len(expected['moments'])} observed rows"
        return
    actual = {"moments": inputs.at, task.contract.observations_of().id: inputs.ids, **inputs.keys}
    for name, values in expected.items():
        if actual[name].tolist() != values:
            yield f"{name}: found others than those of the observed rows"


@dataclass
class _ViewCheck:
    """The check of one view; arrays [n] and [n, features] of the rule's results."""

    task: DatasetToCheck
    view: FeatureView
    sample: int
    chance: NDArray[np.float64]
    status: NDArray[np.int8] = field(init=False)
    times: NDArray[np.int64] = field(init=False)
    feature_status: NDArray[np.int8] = field(init=False)
    values: NDArray[np.float64] = field(init=False)
    texts: dict[str, Texts] = field(init=False)
    drawn: dict[_Place, tuple[float, Winner]] = field(default_factory=dict)
    answered: list[tuple[float, Answer]] = field(default_factory=list)
    unanswered: list[tuple[float, Answer]] = field(default_factory=list)
    rows: int = 0
    content: ContentDigest = field(default_factory=ContentDigest)

    def __post_init__(self) -> None:
        count, width = len(self.task.inputs), len(self.view.features)
        self.status = np.full(count, Status.MISSING_KEY, dtype=np.int8)
        self.times = np.full((count, 2), NO_ROW, dtype=np.int64)
        self.feature_status = np.full((count, width), Status.MISSING_KEY, dtype=np.int8)
        self.values = np.full((count, width), np.nan, dtype=np.float64)
        strings = [f.name for f in self.view.features if f.dtype == "string"]
        self.texts = {name: texts_of([None] * count) for name in strings}

    def run(self, progress: Progress) -> None:
        """Applies the rule to every transaction, some entities' history at a time."""
        task, view = self.task, self.view
        start, end = task.days.first, task.days.end
        history = task.transactions.entity_history(task.history, view, start, end)
        for part in history.parts:
            self._check_part(part.table, history.entity, range(part.first, part.after))
            progress(f"certificate: {view.name}, entities {part.after:,} of {part.total:,}")

    def _check_part(self, table: pa.Table, entity: Moments, part: range) -> None:
        self.rows += table.num_rows
        self.content.update(table.rename_columns([_DIGESTED.get(n, n) for n in table.column_names]))
        places = np.flatnonzero((entity >= part.start) & (entity < part.stop))
        places = places[np.argsort(entity[places], kind="stable")]
        owners = _integers(table["_entity"])
        starts = np.searchsorted(owners, entity[places], side="left")
        ends = np.searchsorted(owners, entity[places], side="right")
        winners = np.full(len(places), -1, dtype=np.int64)
        events, created = _integers(table["_event_us"]), _integers(table["_created_us"])
        known: dict[int, EntityRows] = {}
        for group in _runs(entity[places]):
            low, high = int(starts[group.start]), int(ends[group.start])
            mine = EntityRows(low, events[low:high].tolist(), created[low:high].tolist())
            for i in group:
                winners[i] = self._winner(mine, int(places[i]))
                known[int(places[i])] = mine
        self._keep(table, places[winners >= 0], winners[winners >= 0], known)
        if of_table(self.view):
            self._keep_unanswered(places[winners < 0], known)

    def _winner(self, mine: EntityRows, places: int) -> int:
        """The rule's winner as a place in the table; -1 without one."""
        view, t = self.view, int(self.task.inputs.at[places])
        times = view.times
        winner, status = mine.winner_at(times, t)
        self.status[places] = status
        if winner is None:
            return -1
        self.times[places] = winner.event_ts, winner.created_ts
        return winner.run_id

    def _keep(
        self,
        table: pa.Table,
        places: Moments,
        winners: Moments,
        known: Mapping[int, EntityRows],
    ) -> None:
        """Statuses and values of the winners, and the part's share of the sample."""
        features = [f.name for f in self.view.features]
        dtypes = [f.dtype for f in self.view.features]
        chosen = table.take(pa.array(winners))
        values = list(zip(*(chosen[name].to_pylist() for name in features), strict=True))
        keys = self.task.contract.join_keys(self.view)
        ids = list(zip(*(chosen[key].to_pylist() for key in keys), strict=True))
        for i, row, mine in zip(places, values, ids, strict=True):
            event, created = map(int, self.times[i])
            winner = Row(event, created, row)
            status = Status(int(self.status[i]))
            self.feature_status[i] = feature_statuses(status, winner, dtypes)
            self._keep_values(int(i), dict(zip(features, row, strict=True)))
            chance = float(self.chance[i])
            self._draw(chance, Winner(mine, winner))
            if of_table(self.view):
                t = int(self.task.inputs.at[i])
                self.answered.append((chance, Answer(mine, t, winner, known[int(i)])))
        first = sorted(self.drawn.items(), key=lambda drawn: drawn[1][0])
        self.drawn = dict(first[: self.sample])
        self.answered = _first_drawn(self.answered, self.sample)

    def _keep_unanswered(self, places: Moments, known: Mapping[int, EntityRows]) -> None:
        """The part's share of transactions without a winner."""
        inputs, keys = self.task.inputs, self.task.contract.join_keys(self.view)
        ids = list(zip(*(inputs.keys[key][places].tolist() for key in keys), strict=True))
        self.unanswered += [
            (float(self.chance[i]), Answer(mine, int(inputs.at[i]), None, known[int(i)]))
            for i, mine in zip(places, ids, strict=True)
        ]
        self.unanswered = _first_drawn(self.unanswered, self.sample)

    def _draw(self, chance: float, winner: Winner) -> None:
        """Offers a winner to the sample, in which a row of many transactions is once."""
        key = (winner.ids, winner.row.event_ts, winner.row.created_ts)
        if key not in self.drawn or chance < self.drawn[key][0]:
            self.drawn[key] = chance, winner

    def _keep_values(self, i: int, row: Mapping[str, Value]) -> None:
        """Values of the winner of transaction i."""
        for name, text in self.texts.items():
            value = row[name]
            text[i] = value if isinstance(value, str) else None
        numbers = (None if isinstance(value, str) else value for value in row.values())
        self.values[i] = [np.nan if number is None else float(number) for number in numbers]

    def result(self) -> CheckedView:
        """The rule's results, compared with the dataset."""
        codes, counts = np.unique(self.status, return_counts=True)
        differences = list(self._differences())
        features = [f for view, f in self.task.service.consumed if view == self.view.name]
        return CheckedView(
            self.view.name,
            {Status(c).name: int(n) for c, n in zip(codes, counts, strict=True)},
            len(self.status) * len(features),
            self.rows,
            self.content.digest(),
            tuple(winner for _, winner in self.drawn.values()),
            tuple(answer for _, answer in (*self.answered, *self.unanswered)),
            sum(count for count, _ in differences),
            tuple(said for _, said in differences),
        )

    def _differences(self) -> Iterator[tuple[int, str]]:
        """Per part of the dataset that differs: in how many rows, and the first of them."""
        inputs, view = self.task.inputs, self.view.name
        for name, held, wanted in (
            ("event_ts", inputs.event_ts[view], self.times[:, 0]),
            ("created_ts", inputs.created_ts[view], self.times[:, 1]),
        ):
            yield from self._compare(name, held, wanted)
        places = {feature.name: j for j, feature in enumerate(self.view.features)}
        for k, (owner, feature) in enumerate(self.task.service.consumed):
            if owner == view:
                j = places[feature]
                status = f"status of {feature}"
                yield from self._compare(status, inputs.status[:, k], self.feature_status[:, j])
                yield from self._compare(feature, *self._both(k, j, feature))

    def _both(self, k: int, j: int, feature: str) -> tuple[NDArray[Any], NDArray[Any]]:
        """A feature's values of the dataset and of the rule."""
        inputs = self.task.inputs
        if feature in self.texts:
            return inputs.texts[str(FeatureRef(self.view.name, feature))], self.texts[feature]
        return inputs.values[:, k], self.values[:, j]

    def _compare(
        self, what: str, held: NDArray[Any], wanted: NDArray[Any]
    ) -> Iterator[tuple[int, str]]:
        rows = np.flatnonzero(bits(held) != bits(wanted))
        if len(rows):
            ids = self.task.inputs.ids[rows[:_NAMED]]
            pairs = zip(ids, held[rows[:_NAMED]], wanted[rows[:_NAMED]], strict=True)
            first = "; ".join(f"of {i} found {h}, wanted {w}" for i, h, w in pairs)
            yield len(rows), f"{self.view.name}: {what} differs in {len(rows)} rows: {first}"


def _first_drawn(drawn: list[tuple[float, Drawn]], count: int) -> list[tuple[float, Drawn]]:
    return sorted(drawn, key=lambda one: one[0])[:count]


def bits(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as comparable bits; every NaN is the same NaN, 0.0 is not -0.0. Strings as such."""
    if values.dtype == np.object_:
        return values
    if values.dtype != np.float64:
        return values.astype(np.int64)
    return np.where(np.isnan(values), np.nan, values).view(np.int64)


def _runs(numbers: Moments) -> Iterator[range]:
    """Stretches of equal numbers in a sorted array."""
    edges = [0, *(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(numbers)]
    return (range(a, b) for a, b in pairwise(edges) if a < b)


def _integers(column: pa.ChunkedArray) -> Moments:
    return np.array(column.to_numpy(), dtype=np.int64)

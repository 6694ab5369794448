"""What the pod talks to, as ports of few verbs; their errors are ServingErrors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core.record import PredictionRecord


class Store(Protocol):
    """Reads timeline keys. 503 where it is unreachable, 504 where it is too slow."""

    async def read(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        """The values of `keys`, in their order, None where there is none; one round trip."""
        ...

    async def check(self) -> None:
        """Raises a ServingError when the store does not answer."""
        ...

    async def close(self) -> None: ...


class Predictor(Protocol):
    """Runs the model. 503 where it is unreachable or another release's, 504 where too slow."""

    async def infer(self, vector: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities [n] of the vectors [n, V], in one call."""
        ...

    async def check(self) -> None:
        """Raises a ServingError when the predictor does not answer, or is not this release's."""
        ...

    async def close(self) -> None: ...


class Sink(Protocol):
    """Keeps prediction records; how they are written is the sink's business (sinks.py)."""

    async def write(self, records: Iterable[PredictionRecord]) -> None:
        """Returns when the records of one request survive this process.

        Raises a ServingError (503, reason `record`) when they do not.
        """
        ...

    def close(self) -> None: ...

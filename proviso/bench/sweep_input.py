"""Vectors for the load generator: drawn from what the release's card says of its training data.

Each feature by itself, from its ten bins: trees are descended along many ways, as with real
requests, which zeros or numbers below one would not do. What hangs together in real vectors does
not here, and no value is missing (JSON has no NaN). Features that are computed from the request
are not in the card; they are drawn from [0, 1).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feature_runtime.core.service import feature_ref
from proviso.release.directory import Release
from proviso.training.distribution import Distribution, references_of

VECTORS = 500
_SEED = 0


def write_inputs(release: Release, path: Path) -> str:
    """Writes vectors in perf_analyzer's form; what they are, in a sentence."""
    known = _distributions(release)
    vector = release.service.vector
    random = np.random.default_rng(_SEED)
    columns = [_drawn(known.get(name), random) for name in vector]
    rows = np.column_stack(columns).astype(np.float32).tolist()
    name = release.input_name
    path.write_text(json.dumps({"data": [{name: row} for row in rows]}), encoding="utf-8")
    count = sum(name in known for name in vector)
    return (
        f"{VECTORS} vectors; {count} of {len(vector)} features drawn from the card's"
        " distributions, the others from [0, 1); no missing values"
    )


def _distributions(release: Release) -> dict[str, Distribution]:
    """By the vector's names; none where a card has none."""
    try:
        references = references_of(release.card)
    except (KeyError, TypeError, ValueError):
        return {}
    found = {feature_ref(name).column: one.distribution for name, one in references.items()}
    return {n: one for n, one in found.items() if isinstance(one, Distribution) and one.edges}


def _drawn(distribution: Distribution | None, random: np.random.Generator) -> NDArray[np.float64]:
    if distribution is None or distribution.low is None:
        return random.random(VECTORS)
    counts = np.array(distribution.counts, dtype=np.float64)
    bins = random.choice(len(counts), size=VECTORS, p=counts / counts.sum())
    edges = np.array([distribution.low, *distribution.edges])
    return np.asarray(random.uniform(edges[bins], edges[bins + 1]), dtype=np.float64)

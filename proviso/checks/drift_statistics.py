"""Statistics of drift: PSI and KS of two histograms, and what chance gives at their sizes.

Histograms are given at their effective sizes (training/distribution.py): a bin holds as many
independent values as its own are worth, so that a thousand predictions of one entity weigh one.
"""

from __future__ import annotations

from math import ceil, floor, log, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy import stats

_SMOOTHING = 0.5  # of an independent value in each bin: an empty one is unlikely, not impossible
_DRAWS = 20_000

Floats = NDArray[np.float64]


def at_size(counts: Floats, effective: float) -> Floats:
    """Counts of bins [bins] as counts of independent values."""
    whole = float(counts.sum())
    return np.asarray(counts * (effective / whole if whole else 0.0), dtype=np.float64)


def psi(before: Floats, after: Floats) -> float:
    """The population stability index of two histograms [bins]; 0 where one of them is empty."""
    if not before.sum() or not after.sum():
        return 0.0
    filled = (before + after) > 0
    return float(_psi(before[None, filled], after[None, filled])[0])


def psi_by_chance(before: Floats, after: Floats, level: float) -> float | None:
    """What PSI exceeds in at most `level` of all pairs of such samples of one population.

    About (1/n + 1/m) times a chi-squared of bins - 1 degrees of freedom, which is more than chance
    gives where bins hold few values; `psi_by_draws` is exact there. None where a sample is empty.
    """
    n, m = float(before.sum()), float(after.sum())
    if not n or not m:
        return None
    bins = int(((before + after) > 0).sum())
    return critical(bins, level) * (1 / n + 1 / m) if bins > 1 else 0.0


def psi_by_draws(before: Floats, after: Floats, level: float) -> float:
    """The same by drawing pairs of samples of these sizes from both samples' common population.

    Neither sample may be empty. The same in every run.
    """
    n, m = float(before.sum()), float(after.sum())
    pooled = (before + after)[(before + after) > 0] / (n + m)
    chance = np.random.default_rng(0)
    pairs = [
        chance.multinomial(max(1, round(size)), pooled, _DRAWS).astype(np.float64)
        for size in (n, m)
    ]
    return float(np.quantile(_psi(*pairs), 1 - level))


def critical(bins: int, level: float) -> float:
    """The chi-squared value of so many bins that chance exceeds in `level` of all cases."""
    return float(stats.chi2.isf(level, max(1, bins - 1)))


def smallest_size(bins: int, reference: float, most: float, level: float) -> int | None:
    """The smallest served sample of which chance gives a PSI of at most `most`; None: none is."""
    left = most / critical(bins, level) - 1 / reference if reference else 0
    return ceil(1 / left) if left > 0 else None


def ks(before: Floats, after: Floats) -> tuple[float, float]:
    """The greatest distance of the two distribution functions at the bins' edges, and its p-value.
    Between edges the distance may be greater, so the true p-value may be smaller."""
    n, m = float(before.sum()), float(after.sum())
    if not n or not m:
        return 0.0, 1.0
    apart = float(np.abs(np.cumsum(before) / n - np.cumsum(after) / m).max())
    return apart, float(stats.kstwobign.sf(apart * sqrt(n * m / (n + m))))


def chance_of_rise(before: float, n: float, after: float, m: float) -> float:
    """How likely a rate of `after` of m values, or a higher one, is where n had `before`.

    Fisher's exact test, one-sided; 1 without values. n, m: effective sizes.
    """
    n_whole, m_whole = floor(n), floor(m)
    if not n_whole or not m_whole:
        return 1.0
    hits, known = floor(after * m_whole), min(n_whole, ceil(before * n_whole))
    return float(stats.hypergeom.sf(hits - 1, n_whole + m_whole, hits + known, m_whole))


def chance_of_constant(share: float, m: float) -> float:
    """How likely m values all fall into a bin that has `share` of the population."""
    return float(np.exp(m * log(share))) if share > 0 else 0.0


def _psi(before: Floats, after: Floats) -> Floats:
    """PSI of pairs of histograms [pairs, bins]."""
    p, q = (_shares(counts) for counts in (before, after))
    return np.asarray(((p - q) * np.log(p / q)).sum(axis=1))


def _shares(counts: Floats) -> Floats:
    smooth = counts + _SMOOTHING
    return np.asarray(smooth / smooth.sum(axis=1, keepdims=True))

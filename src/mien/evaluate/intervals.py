"""Confidence intervals: Wilson's for a share, percentiles for resampled values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mien.records.evaluation import Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import NDArray


_Z95 = 1.959963984540054


def wilson(right: float, n: float) -> tuple[float, float]:
    """The 95 % interval of a share of `right` in `n` (Wilson 1927): low, high."""
    share, z2 = right / n, _Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return middle - half if right else 0.0, middle + half if right < n else 1.0  # 0 and 1 without rounding errors


_ENDS = (2.5, 97.5)  # percentiles


def interval(values: NDArray[np.float64]) -> Interval:
    """The middle 95 % of resampled values [R]; 0 to 1 where none is a number."""
    known = values[~np.isnan(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = np.percentile(known, _ENDS)
    return float(low), float(high)

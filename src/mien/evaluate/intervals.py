"""The middle 95 % of resampled values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien.records.intervals import Interval


def middle_95(values: NDArray[np.float64]) -> Interval:
    """The 2.5th and 97.5th percentile of resampled values [R]; 0 to 1 where none is a number."""
    known = values[~np.isnan(values)]
    if not len(known):
        return 0.0, 1.0
    low, high = np.percentile(known, (2.5, 97.5))
    return float(low), float(high)

"""95 % intervals: their type, and Wilson's for a share."""

from __future__ import annotations

import math

Interval = tuple[float, float]  # low, high

_Z95 = 1.959963984540054


def wilson(right: float, n: float) -> Interval:
    """The 95 % interval of a share of `right` in `n` (Wilson 1927).

    >>> low, high = wilson(81, 263)
    >>> round(low, 4), round(high, 4)
    (0.2553, 0.3662)
    """
    share, z2 = right / n, _Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return middle - half if right else 0.0, middle + half if right < n else 1.0  # 0 and 1 without rounding errors

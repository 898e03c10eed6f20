"""A probability in words, the same on every surface."""

from __future__ import annotations


def percent(probability: float) -> str:
    """Whole per cent; only what is certain is 100 %.

    >>> percent(0.931), percent(0.9995)
    ('93 %', '>99 %')
    """
    return ">99 %" if 0.995 <= probability < 1 else f"{probability * 100:.0f} %"

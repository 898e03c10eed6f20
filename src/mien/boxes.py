"""Boxes in pictures, in their two forms: left, top, width, height (`Box`, in answers), and edges (`Corners`)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Box = tuple[int, int, int, int]  # left, top, width, height


class Corners(NamedTuple):
    """A rectangle in pixels by its edges; right and bottom are just outside."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def of(cls, left: float, top: float, width: float, height: float) -> Corners:
        """The same rectangle from its other form.

        >>> Corners.of(10, 20, 30, 40)
        Corners(left=10, top=20, right=40, bottom=60)
        """
        return cls(left, top, left + width, top + height)

    @property
    def width(self) -> float:
        """Pixels across."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Pixels down."""
        return self.bottom - self.top

    def inside(self, other: Corners) -> bool:
        """Whether no part of it lies outside `other`."""
        return (
            self.left >= other.left
            and self.top >= other.top
            and self.right <= other.right
            and self.bottom <= other.bottom
        )

    def moved_into(self, other: Corners) -> Corners:
        """The same size, no further out of `other` than it must be: its left and top edges are inside."""
        left = max(other.left, min(self.left, other.right - self.width))
        top = max(other.top, min(self.top, other.bottom - self.height))
        return Corners.of(left, top, self.width, self.height)


def intersection(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """The area that rectangles share, given by their corners [..., 4]; both sides broadcast."""
    one, other = np.asarray(first, float), np.asarray(second, float)
    sides = np.minimum(one[..., 2:], other[..., 2:]) - np.maximum(one[..., :2], other[..., :2])
    return sides.clip(0).prod(-1)


def overlap(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Intersection over union of rectangles given by their corners [..., 4]; both sides broadcast.

    >>> float(overlap(Corners(0, 0, 2, 2), Corners(1, 0, 3, 2))).__round__(3)
    0.333
    """
    one, other = np.asarray(first, float), np.asarray(second, float)
    shared = intersection(one, other)
    areas = (one[..., 2:] - one[..., :2]).prod(-1) + (other[..., 2:] - other[..., :2]).prod(-1)
    return shared / np.maximum(areas - shared, 1e-9)


def distinct(boxes: ArrayLike, scores: ArrayLike, most: float) -> list[int]:
    """Indices of boxes (corners [N, 4]), highest score first, without those that overlap a higher one by over `most`.

    Non-maximum suppression, as OpenCV's `NMSBoxes` does it.
    """
    corners = np.asarray(boxes, float).reshape(-1, 4)
    left = np.argsort(-np.asarray(scores, float), kind="stable")
    chosen: list[int] = []
    while len(left):
        best, left = left[0], left[1:]
        chosen.append(int(best))
        left = left[overlap(corners[best], corners[left]) <= most]
    return chosen

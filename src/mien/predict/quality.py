"""How much of a face there is to judge by: a number in [0, 1] from what the detector and the pixels say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.predict.faces import alignment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.predict.yunet import DetectedFace

_SCORES = (0.4, 0.85)  # of the detector: nothing, and all there is
_SIDES = (8, 40)  # pixels of the face's square in the photo
_EDGES = (0.04, 0.14)  # mean step between neighbouring pixels, in standard deviations: blurred, and sharp
_SIDEWAYS = (1.0, 0.5)  # the nose's distance from between the eyes, in half their distance: in profile, and turned


def quality(face: DetectedFace, square: NDArray[np.uint8], scale: int) -> float:
    """The product of four shares, each from 0 to 1: the detector's score, size, sharpness, and how frontal the face is.

    square: the face cut out, gray, uint8 [S, S]. scale: original pixels along one of the picture's.
    """
    left, right, nose = face.landmarks[:3] @ [1, 1j]
    across = (nose - (left + right) / 2) / (right - left) if right != left else 1j
    gray = square.astype(np.float32)
    steps = (np.abs(np.diff(gray, axis=0)).mean() + np.abs(np.diff(gray, axis=1)).mean()) / 2
    shares = (
        _share(face.score, _SCORES),
        _share(scale * abs(alignment(face.landmarks)[0]), _SIDES),
        _share(steps / max(gray.std(), 1.0), _EDGES),
        _share(2 * abs(across.real), _SIDEWAYS),
    )
    return float(np.prod(shares))


def _share(value: float, ends: tuple[float, float]) -> float:
    """0 at the first end and beyond, 1 at the second and beyond, straight between."""
    return min(1.0, max(0.0, (value - ends[0]) / (ends[1] - ends[0])))

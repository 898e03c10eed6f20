"""How much of a face there is to judge by: a number in [0, 1] from what the detector and the pixels say.

Measured by bench/quality.py on faces that no constant was chosen on (80 real ones of PublicTest in scenes): a real face
has more of it than one whose lower half is gray in 94 % of pairs, noise in 86 %, and than a picture that FER+ leaves
out as not a face in 76 %. The model's confidence does so in 68, 58 and 63 %, the detector's score in 94, 91 and 77 %:
size and sharpness tell what can be read from a face, not whether it is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mien.predict.faces import alignment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.predict.yunet import DetectedFace

_SCORES = (0.4, 0.95)  # of the detector: nothing, and all there is
_SIDES = (8, 40)  # pixels of the face's square in the photo
_EDGES = (0.04, 0.14)  # mean step between neighbouring pixels, in standard deviations: blurred, and sharp


def quality(face: DetectedFace, square: NDArray[np.uint8], scale: int) -> float:
    """The product of three shares, each from 0 to 1: the detector's score, size, and sharpness.

    square: the face cut out, gray, uint8 [S, S]. scale: original pixels along one of the picture's.
    """
    gray = square.astype(np.float32)
    steps = (np.abs(np.diff(gray, axis=0)).mean() + np.abs(np.diff(gray, axis=1)).mean()) / 2
    shares = (
        _share(face.score, _SCORES),
        _share(scale * abs(alignment(face.landmarks)[0]), _SIDES),
        _share(steps / max(gray.std(), 1.0), _EDGES),
    )
    return float(np.prod(shares))


def _share(value: float, ends: tuple[float, float]) -> float:
    """0 at the first end and beyond, 1 at the second and beyond, straight between."""
    return min(1.0, max(0.0, (value - ends[0]) / (ends[1] - ends[0])))

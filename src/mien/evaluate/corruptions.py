"""Fifteen kinds of corruption in five strengths, after Hendrycks and Dietterich (2019, arXiv:1903.12261).

Their benchmark is made for colour photographs 224 pixels wide; code and constants here are our own, for gray faces of
48 pixels. Gray levels count from 0 to 1, lengths in pixels. They are for evaluation: do not train on them.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Faces = NDArray[np.floating]  # float32 [N, S, S], 0 to 1

STRENGTHS = (1, 2, 3, 4, 5)
_BATCH = 512


def corrupt(images: NDArray[np.uint8], kind: str, strength: int) -> NDArray[np.uint8]:
    """Gray faces [N, S, S] corrupted by a kind of `KINDS` at one of `STRENGTHS`; the same call gives the same bytes."""
    corruption = _CORRUPTIONS[kind]
    rng = np.random.default_rng((KINDS.index(kind), strength))
    constants = corruption.constants[strength - 1]
    batches = [images[start : start + _BATCH] for start in range(0, len(images), _BATCH)]
    corrupted = [corruption.do(batch.astype(np.float32) / 255, rng, *constants) for batch in batches]
    return (np.concatenate(corrupted).clip(0, 1) * 255).round().astype(np.uint8)


def _gaussian_noise(faces: Faces, rng: np.random.Generator, deviation: float) -> Faces:
    return faces + deviation * rng.standard_normal(faces.shape, np.float32)


def _shot_noise(faces: Faces, rng: np.random.Generator, photons: float) -> Faces:
    """`photons`: how many a white pixel receives."""
    return (rng.poisson(faces * photons) / photons).astype(np.float32)


def _impulse_noise(faces: Faces, rng: np.random.Generator, share: float) -> Faces:
    """`share` of the pixels turn black or white."""
    draw = rng.random(faces.shape, np.float32)
    return np.where(draw < share / 2, 0, np.where(draw < share, 1, faces)).astype(np.float32)


def _defocus_blur(faces: Faces, rng: np.random.Generator, radius: float) -> Faces:
    return _convolved(faces, _disk(radius))


def _glass_blur(faces: Faces, rng: np.random.Generator, reach: float) -> Faces:
    """Each pixel is taken from a position of its own, at most `reach` away in either direction, then softened."""
    rows, columns = _grid(faces)
    down, right = rng.uniform(-reach, reach, (2, *faces.shape))
    return _blurred(_sampled(faces, rows + down, columns + right), 0.4)


def _motion_blur(faces: Faces, rng: np.random.Generator, reach: float) -> Faces:
    """The mean along a straight line, `reach` to both sides, whose direction is each face's own."""
    return _streaked(faces, rng.uniform(0, np.pi, len(faces)), reach)


def _zoom_blur(faces: Faces, rng: np.random.Generator, most: float) -> Faces:
    """The mean of the face at magnifications from 1 to `most`."""
    middle, grid = (faces.shape[1] - 1) / 2, _grid(faces)
    steps = np.linspace(1, most, 12)
    return _mean(_sampled(faces, *(middle + (axis - middle) / step for axis in grid)) for step in steps)


def _snow(faces: Faces, rng: np.random.Generator, share: float, reach: float, haze: float) -> Faces:
    """Flakes over `share` of the picture, `reach` long to both sides, before a face paled by `haze`."""
    seeds = _blurred(rng.standard_normal(faces.shape, np.float32), 0.7)
    edge = np.quantile(seeds, 1 - share, axis=(1, 2), keepdims=True)
    flakes = _streaked(((seeds - edge) * 8).clip(0, 1), rng.uniform(np.pi / 4, 3 * np.pi / 4, len(faces)), reach)
    return faces + haze * (1 - faces) / 2 + flakes * 1.3


def _frost(faces: Faces, rng: np.random.Generator, shown: float, ice: float) -> Faces:
    """Ice needles, thicker towards the border, over a face of which `shown` comes through."""
    side = faces.shape[1]
    ridges = 1 - np.abs(2 * _clouds(rng, faces.shape, (6, 12, 24), 0.7) - 1)
    border = np.abs(np.linspace(-1, 1, side, dtype=np.float32))
    cover = 0.55 + 0.45 * np.maximum(border[:, None], border[None])
    return shown * faces + ice * cover * ridges**6


def _fog(faces: Faces, rng: np.random.Generator, thickness: float) -> Faces:
    """Light scattered by clouds is added, and the whole made darker so that nothing grows brighter than it was."""
    fogged = faces + thickness * _clouds(rng, faces.shape, (2, 4, 8, 16), 0.55)
    return fogged / (1 + thickness)


def _brightness(faces: Faces, rng: np.random.Generator, added: float) -> Faces:
    return faces + np.float32(added)


def _contrast(faces: Faces, rng: np.random.Generator, left: float) -> Faces:
    """`left` of each pixel's distance to the face's mean."""
    mean = faces.mean((1, 2), keepdims=True)
    return mean + np.float32(left) * (faces - mean)


def _elastic(faces: Faces, rng: np.random.Generator, deviation: float) -> Faces:
    """Every point is moved by about `deviation`, close ones alike."""
    rows, columns = _grid(faces)
    moves = [_blurred(rng.standard_normal(faces.shape, np.float32), 3) for _ in range(2)]
    down, right = (deviation * move / move.std((1, 2), keepdims=True) for move in moves)
    return _sampled(faces, rows + down, columns + right)


def _pixelate(faces: Faces, rng: np.random.Generator, share: float) -> Faces:
    """As if taken with `share` of the pixels a side."""
    side = faces.shape[1]
    few = max(1, round(share * side))

    def coarse(face: Image.Image) -> Image.Image:
        return face.resize((few, few), Image.Resampling.BOX).resize((side, side), Image.Resampling.NEAREST)

    return _each(faces, coarse)


def _jpeg(faces: Faces, rng: np.random.Generator, quality: int) -> Faces:
    def saved(face: Image.Image) -> Image.Image:
        file = io.BytesIO()
        face.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _each(faces, saved)


class _Corruption(NamedTuple):
    """What does it, and its constants for each of the five strengths."""

    do: Callable[..., Faces]
    constants: tuple[tuple[float, ...], ...]


_CORRUPTIONS = {
    "gaussian noise": _Corruption(_gaussian_noise, ((0.03,), (0.05,), (0.08,), (0.11,), (0.15,))),
    "shot noise": _Corruption(_shot_noise, ((250,), (120,), (60,), (35,), (20,))),
    "impulse noise": _Corruption(_impulse_noise, ((0.01,), (0.03,), (0.06,), (0.09,), (0.13,))),
    "defocus blur": _Corruption(_defocus_blur, ((0.9,), (1.2,), (1.6,), (2.1,), (2.6,))),
    "glass blur": _Corruption(_glass_blur, ((0.7,), (1.1,), (1.6,), (2.2,), (2.9,))),
    "motion blur": _Corruption(_motion_blur, ((1.5,), (2.2,), (3.0,), (4.0,), (5.0,))),
    "zoom blur": _Corruption(_zoom_blur, ((1.06,), (1.11,), (1.17,), (1.24,), (1.32,))),
    "snow": _Corruption(_snow, ((0.015, 1, 0.1), (0.03, 1, 0.2), (0.045, 1.5, 0.3), (0.065, 1.5, 0.4), (0.09, 2, 0.5))),
    "frost": _Corruption(_frost, ((0.95, 0.15), (0.9, 0.25), (0.85, 0.36), (0.8, 0.48), (0.75, 0.6))),
    "fog": _Corruption(_fog, ((0.2,), (0.4,), (0.65,), (0.95,), (1.3,))),
    "brightness": _Corruption(_brightness, ((0.08,), (0.16,), (0.24,), (0.32,), (0.40,))),
    "contrast": _Corruption(_contrast, ((0.6,), (0.45,), (0.32,), (0.22,), (0.14,))),
    "elastic": _Corruption(_elastic, ((0.5,), (0.75,), (1.0,), (1.3,), (1.6,))),
    "pixelate": _Corruption(_pixelate, ((0.8,), (0.65,), (0.5,), (0.4,), (0.3,))),
    "jpeg": _Corruption(_jpeg, ((50,), (30,), (20,), (14,), (9,))),
}
KINDS = tuple(_CORRUPTIONS)


def _each(faces: Faces, do: Callable[[Image.Image], Image.Image]) -> Faces:
    """What Pillow does to every face."""
    pictures = [Image.fromarray(face) for face in (faces * 255).round().astype(np.uint8)]
    return np.stack([np.asarray(do(picture)) for picture in pictures]).astype(np.float32) / 255


def _mean(many: Iterable[Faces]) -> Faces:
    return np.stack(list(many)).mean(0)


def _grid(faces: Faces) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row [S, 1] and column [1, S] of every pixel."""
    side = faces.shape[1]
    return np.arange(side)[:, None], np.arange(side)[None]


def _disk(radius: float) -> NDArray[np.float32]:
    """The share of each pixel that a disk covers, scaled to a sum of 1."""
    reach, fine = int(np.ceil(radius)), 9
    side = 2 * reach + 1
    positions = (np.arange(side * fine) + 0.5) / fine - side / 2
    inside = positions[:, None] ** 2 + positions[None] ** 2 <= radius**2
    share = inside.reshape(side, fine, side, fine).mean((1, 3))
    return (share / share.sum()).astype(np.float32)


def _blurred(faces: Faces, deviation: float) -> Faces:
    """Convolved with a Gaussian."""
    positions = np.arange(-int(np.ceil(3 * deviation)), int(np.ceil(3 * deviation)) + 1)
    bell = np.exp(-0.5 * (positions / deviation) ** 2)
    bell = (bell / bell.sum()).astype(np.float32)
    return _convolved(_convolved(faces, bell[:, None]), bell[None])


def _convolved(faces: Faces, kernel: NDArray[np.float32]) -> Faces:
    """Convolved with a kernel of odd sides; borders are reflected."""
    (down, right), side = (length // 2 for length in kernel.shape), faces.shape[1]
    padded = np.pad(faces, ((0, 0), (down, down), (right, right)), mode="reflect")
    total = np.zeros_like(faces)
    for (row, column), weight in np.ndenumerate(kernel):
        total += np.float32(weight) * padded[:, row : row + side, column : column + side]
    return total


def _streaked(faces: Faces, angles: NDArray[np.float64], reach: float) -> Faces:
    """The mean along a line, `reach` to both sides, at an angle a face."""
    (rows, columns), steps = _grid(faces), np.linspace(-reach, reach, 2 * int(np.ceil(reach)) + 1)
    down, right = np.sin(angles)[:, None, None], np.cos(angles)[:, None, None]
    return _mean(_sampled(faces, rows + step * down, columns + step * right) for step in steps)


def _sampled(faces: Faces, rows: NDArray[Any], columns: NDArray[Any]) -> Faces:
    """Gray levels between the pixels, bilinear, at positions that broadcast to [N, S, S]; borders are reflected."""
    last = faces.shape[1] - 1
    (top, down), (left, right) = _between(rows, last), _between(columns, last)
    first = np.arange(len(faces))[:, None, None]
    upper = faces[first, top, left] * (1 - right) + faces[first, top, left + 1] * right
    lower = faces[first, top + 1, left] * (1 - right) + faces[first, top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


def _between(positions: NDArray[Any], last: int) -> tuple[NDArray[np.int64], Faces]:
    """The pixel before each position, and how far beyond it that is."""
    inside = last - np.abs(last - positions % (2 * last))
    before = np.minimum(inside.astype(np.int64), last - 1)
    return before, (inside - before).astype(np.float32)


def _clouds(rng: np.random.Generator, shape: tuple[int, ...], cells: tuple[int, ...], decay: float) -> Faces:
    """Smooth noise on ever finer grids of `cells` a side, each weighing `decay` times the one before; spans 0 to 1."""
    total = np.zeros(shape, np.float32)
    for octave, count in enumerate(cells):
        coarse = rng.random((shape[0], count + 1, count + 1), np.float32)
        before, beyond = _between(np.linspace(0, count, shape[1]), count)
        widen = np.eye(count + 1, dtype=np.float32)
        widen = widen[before] * (1 - beyond[:, None]) + widen[before + 1] * beyond[:, None]
        total += np.float32(decay**octave) * (widen @ coarse @ widen.T)
    low, high = total.min((1, 2), keepdims=True), total.max((1, 2), keepdims=True)
    return (total - low) / (high - low)

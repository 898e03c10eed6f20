"""Near copies: pictures that differ in bytes and pixels but show the same photograph.

A 64-bit perceptual hash proposes pairs, and the correlation of their pixels decides. The limits were chosen on
galleries of FER-2013's pairs: of those that correlate by 0.94 or more, all that were looked at show one photograph;
below 0.92 different people begin to appear.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

MOST_BITS = 10  # of 64 by which the hashes of near copies may differ
LEAST_LIKENESS = 0.94

_LOW = 8  # frequencies a side that are hashed
_SHIFT = 2  # pixels by which near copies may be shifted against each other
_UNSHIFTED = 0.6  # correlation before any shift; above it lie 99.5 % of FER-2013's near copies, and few other pairs
_ROWS = 256  # hashes compared with all others at a time
_PAIRS = 2048  # pairs compared pixel by pixel at a time


@dataclass(frozen=True)
class Near:
    """Two images, by their indices, that are near copies.

    bits: by how many of 64 their hashes differ. likeness: the correlation of their pixels, at the best of small
    shifts. mirrored: whether one of them has to be mirrored for that.
    """

    first: int
    second: int
    bits: int
    likeness: float
    mirrored: bool


def hashes(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """A perceptual hash of each image [N, S, S], uint64 [N].

    A bit for each of the 8 x 8 lowest frequencies of the cosine transform: whether it is stronger than their median
    (after "pHash", Zauner 2010). The mean gray has none, so brightness and contrast hardly matter.
    """
    side = images.shape[1]
    pixels = np.arange(side)
    waves = np.cos(np.pi * np.arange(_LOW)[:, None] * (2 * pixels + 1) / (2 * side)).astype(np.float32)
    strengths = (waves @ images.astype(np.float32) @ waves.T).reshape(len(images), _LOW * _LOW)
    bits = strengths > np.median(strengths[:, 1:], axis=1, keepdims=True)
    bits[:, 0] = False
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def near_copies(images: NDArray[np.uint8], indices: NDArray[np.int64]) -> tuple[Near, ...]:
    """All pairs of near copies among the images [N, S, S] at `indices`, the closest first.

    Exact copies would count as near ones: leave all but one out.
    """
    pairs = _pairs(images, indices, mirrored=False) + _pairs(images, indices, mirrored=True)
    best: dict[tuple[int, int], Near] = {}
    for pair in sorted(pairs, key=lambda pair: (-pair.likeness, pair.first, pair.second)):
        best.setdefault((pair.first, pair.second), pair)
    return tuple(best.values())


def _pairs(images: NDArray[np.uint8], indices: NDArray[np.int64], *, mirrored: bool) -> list[Near]:
    mine = images[indices]
    others = mine[:, :, ::-1] if mirrored else mine
    proposed = _proposed(hashes(mine), hashes(others))
    found: list[Near] = []
    for start in range(0, len(proposed), _PAIRS):
        first, second, bits = proposed[start : start + _PAIRS].T
        likeness = _likeness(mine[first], others[second])
        found += [
            Near(int(indices[first[i]]), int(indices[second[i]]), int(bits[i]), float(likeness[i]), mirrored)
            for i in np.flatnonzero(likeness >= LEAST_LIKENESS)
        ]
    return found


def _proposed(codes: NDArray[np.uint64], others: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Rows (first, second, bits) of the pairs first < second whose hashes differ by few bits, int64 [P, 3]."""
    found = [np.empty((0, 3), np.int64)]
    for start in range(0, len(codes), _ROWS):
        bits = np.bitwise_count(codes[start : start + _ROWS, None] ^ others[None, start:])
        first, second = np.nonzero(bits <= MOST_BITS)
        ahead = first < second
        first, second = first[ahead], second[ahead]
        found.append(np.stack([first + start, second + start, bits[first, second]], axis=1).astype(np.int64))
    return np.concatenate(found)


def _likeness(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Correlation of the pixels of each pair [P, S, S], the largest over small shifts; -1 for hopeless pairs."""
    best = np.full(len(first), -1, np.float32)
    hopeful = np.flatnonzero(_product(_standard(first), _standard(second)) >= _UNSHIFTED)
    side = first.shape[1] - 2 * _SHIFT
    middle = _standard(first[hopeful, _SHIFT:-_SHIFT, _SHIFT:-_SHIFT])
    for top in range(2 * _SHIFT + 1):
        for left in range(2 * _SHIFT + 1):
            moved = _standard(second[hopeful, top : top + side, left : left + side])
            best[hopeful] = np.maximum(best[hopeful], _product(middle, moved))
    return best


def _standard(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Pixels [P, S, S] as rows [P, S * S] with mean 0 and length 1 (or 0, where all are equal)."""
    rows = images.reshape(len(images), prod(images.shape[1:])).astype(np.float32)  # of no image too
    rows -= rows.mean(axis=1, keepdims=True)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)


def _product(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.einsum("ij,ij->i", first, second)

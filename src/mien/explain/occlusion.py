"""Occlusion: how much a class's probability falls when a region is hidden (Zeiler and Fergus 2013, arXiv:1311.2901).

It needs predictions only, so it works with any model file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mien.models.model import Model, predict_proba

_PATCHES = 4  # side by side, they span a face


def occlusion(model: Model, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> NDArray[np.float32]:
    """Maps, float32 [N, S, S] in [-1, 1], of gray faces uint8 [N, S, S] for the classes `targets` [N].

    A square patch, a quarter of the face wide and as gray as the face on average, moves over the face by half its
    width. The map holds how much the class's probability falls where the patch is centred, interpolated in between;
    below zero where hiding a region raises it.
    """
    maps = [_map(model, image, int(target)) for image, target in zip(images, targets, strict=True)]
    return np.stack(maps) if maps else np.zeros(images.shape, np.float32)


def _map(model: Model, image: NDArray[np.uint8], target: int) -> NDArray[np.float32]:
    distance = _distances(len(image))
    hidden, weights = distance < 1, np.maximum(1 - distance, 0)
    covered = hidden[:, None, :, None] & hidden[None, :, None, :]
    copies = np.where(covered.reshape(-1, *image.shape), np.uint8(round(float(image.mean()))), image)
    probabilities = predict_proba(model, np.concatenate([image[None], copies]))[:, target]
    drops = (probabilities[0] - probabilities[1:]).reshape(len(hidden), len(hidden))
    return (weights.T @ drops @ weights).astype(np.float32)


def _distances(side: int) -> NDArray[np.float64]:
    """From each centre of a patch to each pixel of a line, in half patches: [P, side]; centres lie half a patch apart.

    The first and the last one lie on the border, so every pixel is between two.
    """
    half = side / _PATCHES / 2
    centres = np.arange(0, side + 1, half)[:, None]
    return np.abs(np.arange(side) + 0.5 - centres) / half

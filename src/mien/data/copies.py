"""Copies of one face: equal decoded pixels, whatever their file names, bytes or labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_JPEG_NOISE = 6  # gray levels; FER-2013's blank images span at most 4, its flattest picture 12


def copy_groups(images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Group number of each image [N]; copies share one, numbers count up in order of first appearance."""
    seen: dict[bytes, int] = {}
    return np.array([seen.setdefault(image.tobytes(), len(seen)) for image in images], np.int64)


def group_sizes(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each image [N], the number of images in its group, itself included."""
    return np.bincount(groups)[groups]


def conflicting(groups: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """For each image [N], whether its copies carry more than one label."""
    low = np.full(groups.max(initial=-1) + 1, labels.max(initial=0))
    high = np.zeros_like(low)
    np.minimum.at(low, groups, labels)
    np.maximum.at(high, groups, labels)
    return (low != high)[groups]


def blank(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """For each image [N], whether it shows one gray and nothing else, but for JPEG's few levels of noise."""
    flat = images.reshape(len(images), -1)
    return flat.max(axis=1) - flat.min(axis=1) <= _JPEG_NOISE


def shared_with(images: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """For each of `images` [N], whether a copy of it is among `others`."""
    known = {image.tobytes() for image in others}
    return np.array([image.tobytes() in known for image in images], bool)

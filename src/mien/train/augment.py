"""Augmentation: the whole batch at once, on the batch's own device.

Rotation, zoom, shear and flip are one affine map, so the pixels are interpolated once.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import affine_grid, grid_sample

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Generator, Tensor

    from mien.data.dataset import Dataset
    from mien.records.recipe import Augment

_EXAMPLES = 7  # classes


def augmented(faces: Tensor, augment: Augment, generator: Generator) -> Tensor:
    """Augmented faces [B, 1, H, W] in [0, 1] of faces of the same shape; `generator` lives on their device."""
    return apply(faces, *draw(len(faces), augment, faces.device, generator))


def draw(count: int, augment: Augment, device: torch.device, generator: Generator) -> tuple[Tensor, Tensor]:
    """What is drawn for `count` faces: affine maps [B, 2, 3] and factors of brightness [B]."""
    maps = draw_maps(count, augment, device, generator)
    brightness = _uniform(count, *augment.brightness, device, generator)
    return maps, _sometimes(brightness, 1.0, augment, generator)


def apply(faces: Tensor, maps: Tensor, brightness: Tensor) -> Tensor:
    """Faces [B, 1, H, W] seen through affine maps [B, 2, 3], times their brightness [B], in [0, 1]."""
    return (warp(faces, maps) * brightness[:, None, None, None]).clamp_(0, 1)


def draw_maps(count: int, augment: Augment, device: torch.device, generator: Generator) -> Tensor:
    """Affine maps [B, 2, 3] from points of the augmented face to points of the original, in coordinates -1 to 1."""

    def draw(limit: float) -> Tensor:
        return _sometimes(_uniform(count, -limit, limit, device, generator), 0.0, augment, generator)

    angle = draw(math.radians(augment.rotation))
    scale = 1 / (1 + draw(augment.zoom))
    shear = draw(augment.shear)
    mirror = _uniform(count, 0, 1, device, generator).lt(0.5).float() * -2 + 1 if augment.flip else 1
    cos, sin = angle.cos() * scale, angle.sin() * scale
    # rows of (rotate and scale) @ (shear), then the mirror on the columns of x
    rows = [
        cos * mirror,
        cos * shear - sin,
        2 * draw(augment.shift),
        sin * mirror,
        sin * shear + cos,
        2 * draw(augment.shift),
    ]
    return torch.stack(rows, 1).view(count, 2, 3)


def warp(faces: Tensor, maps: Tensor) -> Tensor:
    """Faces [B, C, H, W] seen through affine maps [B, 2, 3]; bilinear, borders reflected."""
    if not len(faces):  # which torch refuses
        return faces
    grid = affine_grid(maps, list(faces.shape), align_corners=False)
    return grid_sample(faces, grid, padding_mode="reflection", align_corners=False)


def _uniform(count: int, low: float, high: float, device: torch.device, generator: Generator) -> Tensor:
    return torch.rand(count, device=device, generator=generator) * (high - low) + low


def _sometimes(values: Tensor, neutral: float, augment: Augment, generator: Generator) -> Tensor:
    """The values [B], each with the probability of `augment`; else the one that changes nothing."""
    if augment.probability == 1:
        return values
    chosen = torch.rand(len(values), device=values.device, generator=generator) < augment.probability
    return torch.where(chosen, values, neutral)


def augmented_examples(faces: Dataset, augment: Augment, seed: int, variants: int = 4) -> dict[str, NDArray[np.uint8]]:
    """A face of each class, at most seven, and `variants` of it as training sees them: uint8 [1 + variants, S, S]."""
    rng, generator = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    examples = {}
    for k in np.flatnonzero(faces.counts())[:_EXAMPLES]:
        face = faces.images[rng.permutation(np.flatnonzero(faces.labels == k))[:1]]
        batch = torch.from_numpy(face).float().div(255).expand(variants, 1, *face.shape[1:])
        variations = augmented(batch, augment, generator)[:, 0].mul(255).round().byte().numpy()
        examples[faces.classes[k]] = np.concatenate([face, variations])
    return examples

"""Augmentation: the whole batch at once, on the batch's own device.

Rotation, zoom, shear and flip are one affine map, so the pixels are interpolated once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import affine_grid, grid_sample

if TYPE_CHECKING:
    from torch import Generator, Tensor


@dataclass(frozen=True)
class Augment:
    """How far training faces are varied; each range is drawn from uniformly, one draw a face.

    rotation: +- degrees. zoom: scale factor 1 +- zoom, one for both axes. shear: x' = x + s y with s within +-
    shear. shift: +- share of the width, and of the height. flip: whether half of the faces are mirrored.
    brightness: factors (low, high). Borders are reflected.
    """

    rotation: float = 15.0
    zoom: float = 0.10
    shear: float = 0.20
    shift: float = 0.0
    flip: bool = True
    brightness: tuple[float, float] = (0.7, 1.3)

    def __call__(self, faces: Tensor, generator: Generator) -> Tensor:
        """Varied faces [B, 1, H, W] in [0, 1] of faces of the same shape; `generator` lives on their device."""
        count = len(faces)
        maps = self.maps(count, faces.device, generator)
        low, high = self.brightness
        factor = _uniform(count, low, high, faces.device, generator)
        return (warp(faces, maps) * factor[:, None, None, None]).clamp_(0, 1)

    def maps(self, count: int, device: torch.device, generator: Generator) -> Tensor:
        """Affine maps [B, 2, 3] from places in the varied face to places in the face as it was (-1 to 1)."""

        def draw(limit: float) -> Tensor:
            return _uniform(count, -limit, limit, device, generator)

        angle = draw(math.radians(self.rotation))
        scale = 1 / (1 + draw(self.zoom))
        shear = draw(self.shear)
        mirror = _uniform(count, 0, 1, device, generator).lt(0.5).float() * -2 + 1 if self.flip else 1
        cos, sin = angle.cos() * scale, angle.sin() * scale
        # rows of (rotate and scale) @ (shear), then the mirror on the columns of x
        rows = [
            cos * mirror,
            cos * shear - sin,
            2 * draw(self.shift),
            sin * mirror,
            sin * shear + cos,
            2 * draw(self.shift),
        ]
        return torch.stack(rows, 1).view(count, 2, 3)


def warp(faces: Tensor, maps: Tensor) -> Tensor:
    """Faces [B, C, H, W] seen through affine maps [B, 2, 3]; bilinear, borders reflected."""
    grid = affine_grid(maps, list(faces.shape), align_corners=False)
    return grid_sample(faces, grid, padding_mode="reflection", align_corners=False)


def _uniform(count: int, low: float, high: float, device: torch.device, generator: Generator) -> Tensor:
    return torch.rand(count, device=device, generator=generator) * (high - low) + low

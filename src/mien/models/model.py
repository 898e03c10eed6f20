"""A trained network with all it needs to be used rightly: class names, preprocessing, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from mien.preprocess import Preprocess

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BATCH = 256


@dataclass(frozen=True)
class Model:
    """A network and what travels with its weights.

    architecture: its name in `networks.NETWORKS`. notes: provenance in words (recipe, seed, data, version).
    """

    network: nn.Module
    architecture: str
    classes: tuple[str, ...]
    preprocess: Preprocess = field(default_factory=Preprocess)
    notes: Mapping[str, str] = field(default_factory=dict)

    def parameters(self) -> int:
        """Number of trained weights."""
        return sum(weight.numel() for weight in self.network.parameters())

    def header(self) -> dict[str, Any]:
        """What travels beside the weights in a file, as plain values."""
        return {
            "architecture": self.architecture,
            "classes": list(self.classes),
            "preprocess": self.preprocess.to_dict(),
            "notes": dict(self.notes),
        }


def predict_proba(model: Model, images: NDArray[np.uint8], device: str = "cpu") -> NDArray[np.float32]:
    """Class probabilities, float32 [N, K], of gray faces uint8 [N, S, S]; always computed in float32."""
    network = model.network.to(device).eval()
    faces = torch.from_numpy(np.ascontiguousarray(images))[:, None]
    with torch.inference_mode():
        logits = [network(batch.to(device).float() / 255) for batch in faces.split(_BATCH)]
    return torch.cat(logits).softmax(1).cpu().numpy()

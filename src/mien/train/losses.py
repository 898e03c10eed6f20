"""What the loss is weighted and adjusted by."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mien.data.dataset import Dataset
from mien.records.recipe import Balance


def class_weights(counts: np.ndarray, balance: Balance) -> np.ndarray:
    """Loss weight of each class [K] given its number of faces [K]; their mean over the faces is 1."""
    if balance == "none":
        return np.ones(len(counts))
    weights = counts.sum() / (len(counts) * np.maximum(counts, 1))
    if balance == "sqrt":
        weights = np.sqrt(weights)
    return weights * counts.sum() / (weights * counts).sum()


def class_frequency(data: Dataset, weights: np.ndarray) -> np.ndarray:
    """How much of the loss each class has, float64 [K], together 1."""
    counts = data.counts() if data.shares is None else data.shares.sum(0, np.float64)
    return counts * weights / (counts * weights).sum()


def adjusted_prior(frequency: np.ndarray, power: float) -> tuple[float, ...]:
    """Frequencies to a power, together 1; () where a class has no faces."""
    raised = frequency**power
    return tuple((raised / raised.sum()).tolist()) if frequency.all() else ()


def as_shares(targets: Tensor, classes: int) -> Tensor:
    """What to answer as float32 [B, K], of shares or of labels [B]."""
    return targets if targets.is_floating_point() else torch.eye(classes, device=targets.device)[targets]

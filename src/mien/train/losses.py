"""The loss, and what it is weighted and adjusted by."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mien.data.dataset import Dataset
from mien.records.recipe import Balance

_RAREST = 1e-6  # frequency that a class without faces is taken to have: a logarithm needs something


def class_weights(counts: NDArray[np.int64], balance: Balance) -> NDArray[np.float64]:
    """Loss weight of each class [K] given its number of faces [K]; their mean over the faces is 1.

    >>> class_weights(np.array([10, 30]), "weights").round(3).tolist()
    [2.0, 0.667]
    """
    if balance == "none":
        return np.ones(len(counts))
    weights = counts.sum() / (len(counts) * np.maximum(counts, 1))
    if balance == "sqrt":
        weights = np.sqrt(weights)
    return weights * counts.sum() / (weights * counts).sum()


def class_frequency(data: Dataset, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the loss that each class has [K], together 1; weights [K] as `class_weights` gives."""
    counts = data.counts() if data.shares is None else data.shares.sum(0, np.float64)
    return counts * weights / (counts * weights).sum()


def log_prior(frequency: NDArray[np.float64], adjust: float) -> NDArray[np.float32]:
    """What logit adjustment adds to the logits in the loss, float32 [K]: adjust * ln(frequency) (arXiv:2007.07314)."""
    return (adjust * np.log(np.maximum(frequency, _RAREST))).astype(np.float32)


def adjusted_prior(frequency: NDArray[np.float64], adjust: float) -> tuple[float, ...]:
    """The prior that answers still owe to the frequencies [K] after logit adjustment; () where a class has no faces.

    >>> adjusted_prior(np.array([0.2, 0.8]), 0.5)
    (0.3333333333333333, 0.6666666666666666)
    """
    raised = frequency ** (1 - adjust)
    return tuple((raised / raised.sum()).tolist()) if frequency.all() else ()


def as_shares(targets: Tensor, classes: int) -> Tensor:
    """Targets as float32 [B, K]: shares of votes as they are, labels int64 [B] one-hot."""
    return targets if targets.is_floating_point() else torch.eye(classes, device=targets.device)[targets]

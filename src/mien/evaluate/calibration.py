"""Temperature: one number that makes a network's probabilities mean what they say (arXiv:1706.04599)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from mien.data.dataset import Dataset
from mien.data.votes import with_majority
from mien.evaluate.evaluation import match_classes
from mien.evaluate.reliability import calibration_error
from mien.models.model import Model, logits, softmax

_BOUNDS = (-3.0, 3.0)  # of ln(temperature)


@dataclass(frozen=True)
class Calibration:
    """A model with its temperature fitted on n faces, and how that changes its calibration.

    error_before, error_after: expected calibration error (15 bins). The latter is cross-fitted: each half of the faces
    is scored at the temperature fitted on the other half, so it is an estimate for new faces.
    """

    model: Model
    n: int
    error_before: float
    error_after: float


def calibrate(model: Model, faces: Dataset, *, seed: int = 0) -> Calibration:
    """`model` with the temperature that fits `faces` best (by likelihood); `seed` draws the halves.

    Raises ModelError where the model lacks a class of the data.
    """
    faces = with_majority(match_classes(model, faces))
    predictions = logits(model, faces.images)
    halves = np.array_split(np.random.default_rng(seed).permutation(len(faces)), 2)
    crossed = np.empty_like(predictions)
    for here, there in (halves, halves[::-1]):
        crossed[here] = softmax(predictions[here] / fit_temperature(predictions[there], faces.labels[there]))
    return Calibration(
        model=replace(model, temperature=fit_temperature(predictions, faces.labels)),
        n=len(faces),
        error_before=calibration_error(softmax(predictions / model.temperature), faces.labels),
        error_after=calibration_error(crossed, faces.labels),
    )


def fit_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The temperature at which labels [N] are most likely under logits [N, K]; between 0.05 and 20."""
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        chosen = softmax(logits / np.exp(log_temperature))[rows, labels]
        return float(-np.log(np.maximum(chosen, 1e-30)).mean())

    return float(np.exp(minimize_scalar(loss, bounds=_BOUNDS, method="bounded").x))

"""Calibration: of the answers given with a confidence of 80 %, are 80 % right?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mien.evaluate.intervals import middle_95
from mien.records.intervals import Interval, wilson

BINS = 15
_SIMULATIONS = 1000
_SEED = 0


@dataclass(frozen=True)
class Reliability:
    """Answers in 15 equal bins of confidence.

    counts: int64 [15]; confidence, accuracy: the means of each bin, float64 [15], nan in an empty one; accuracy_ci95:
    Wilson's intervals of the latter, float64 [15, 2].
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    accuracy_ci95: NDArray[np.float64]


def reliability_bins(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> Reliability:
    """Confidence and accuracy, bin by bin; probabilities [N, K], labels [N]."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    bins = _bins(confidence)
    counts = np.bincount(bins, minlength=BINS)
    faces = np.where(counts, counts, np.nan)
    sure, accuracy = (np.bincount(bins, values, BINS) / faces for values in (confidence, right))
    ends = [
        wilson(round(share * n), n) if n else (np.nan, np.nan)
        for share, n in zip(accuracy.tolist(), counts.tolist(), strict=True)
    ]
    return Reliability(counts, sure, accuracy, np.array(ends))


def calibration_error(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Expected calibration error (arXiv:1706.04599): mean |confidence - accuracy| over 15 equal bins."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    return _error(confidence, right, _bins(confidence))


def error_if_calibrated(probabilities: NDArray[np.floating]) -> tuple[float, Interval]:
    """The calibration error that chance alone gives a calibrated model: its mean, and the middle 95 %.

    Whether each answer is right is drawn 1,000 times with the confidence of the answer as its probability;
    probabilities: [N, K].
    """
    rng, confidence = np.random.default_rng(_SEED), probabilities.max(1)
    bins = _bins(confidence)
    errors = np.array([_error(confidence, rng.random(len(bins)) < confidence, bins) for _ in range(_SIMULATIONS)])
    return float(errors.mean()), middle_95(errors)


def _bins(confidence: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def _error(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: NDArray[np.int64]) -> float:
    gaps = np.bincount(bins, confidence - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(bins))

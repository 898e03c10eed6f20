"""Whether confidence is what it says: of the answers given with 80 %, are 80 % right?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.records.evaluation import Interval

BINS = 15
_SIMULATIONS = 1000
_SEED = 0


@dataclass(frozen=True)
class Reliability:
    """Answers sorted into 15 equal bins of confidence.

    counts: int64 [15]; confidence, accuracy: the means of each bin, float64 [15], nan in an empty one.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def reliability_bins(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> Reliability:
    """How sure and how right the answers are, bin by bin; probabilities [N, K], labels [N]."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    bins = _bins(confidence)
    counts = np.bincount(bins, minlength=BINS)
    faces = np.where(counts, counts, np.nan)
    sums = (np.bincount(bins, values, BINS) for values in (confidence, right))
    return Reliability(counts, *(total / faces for total in sums))


def calibration_error(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Expected calibration error (arXiv:1706.04599): mean |confidence - accuracy| over 15 equal bins."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    return _error(confidence, right, _bins(confidence))


def error_if_calibrated(probabilities: NDArray[np.floating]) -> tuple[float, Interval]:
    """The calibration error that chance alone gives: its mean and middle 95 %, were the probabilities [N, K] exact.

    Labels are drawn from the probabilities themselves, 1,000 times. Then an answer is right as often as its
    confidence says, so it is enough to draw that.
    """
    rng, confidence = np.random.default_rng(_SEED), probabilities.max(1)
    bins = _bins(confidence)
    errors = [_error(confidence, rng.random(len(bins)) < confidence, bins) for _ in range(_SIMULATIONS)]
    low, high = np.percentile(errors, (2.5, 97.5))
    return float(np.mean(errors)), (float(low), float(high))


def _bins(confidence: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def _error(confidence: NDArray[np.floating], right: NDArray[np.bool_], bins: NDArray[np.int64]) -> float:
    gaps = np.bincount(bins, confidence - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(bins))

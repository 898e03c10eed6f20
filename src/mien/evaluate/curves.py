"""Scores at every threshold: each class against the rest, and what leaving unsure answers to a person would give."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from mien.evaluate.intervals import wilson

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.records.evaluation import Interval


@dataclass(frozen=True)
class Curve:
    """A line from (0, y) to (1, y'), x, y: float64 [P], and its area: the mean of y over x."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    area: float


@dataclass(frozen=True)
class Kept:
    """The surest `n` answers: their accuracy, its 95 % interval, and the least confidence among them."""

    n: int
    accuracy: float
    accuracy_ci95: Interval
    confidence: float


def roc(probabilities: NDArray[np.floating], labels: NDArray[np.int64], label: int) -> Curve | None:
    """True positive rate over false positive rate of one class against the rest; None unless both occur."""
    mine = labels == label
    if mine.all() or not mine.any():
        return None
    false, true, _ = roc_curve(mine, probabilities[:, label])
    return Curve(false, true, float(auc(false, true)))


def precision_recall(probabilities: NDArray[np.floating], labels: NDArray[np.int64], label: int) -> Curve | None:
    """Precision over recall of one class against the rest, its area the average precision; None unless both occur."""
    mine = labels == label
    if mine.all() or not mine.any():
        return None
    precision, recall, _ = precision_recall_curve(mine, probabilities[:, label])
    precision[-1] = precision[-2]  # scikit-learn ends in a precision of 1 that nobody measured
    return Curve(recall[::-1], precision[::-1], float(average_precision_score(mine, probabilities[:, label])))


def accuracy_by_coverage(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Accuracy of the surest 1, 2, ... N answers, float64 [N]; equally sure answers count as their mean."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    levels, places = np.unique(-confidence, return_inverse=True)
    shares = np.bincount(places, right, len(levels)) / np.bincount(places)
    return shares[np.sort(places)].cumsum() / np.arange(1, len(labels) + 1)


def kept(probabilities: NDArray[np.floating], labels: NDArray[np.int64], coverage: float) -> Kept:
    """The surest share `coverage` of the answers; the rest is left to a person."""
    n = ceil(coverage * len(labels))
    accuracy = float(accuracy_by_coverage(probabilities, labels)[n - 1])
    least = float(np.sort(probabilities.max(1))[-n])
    return Kept(n, accuracy, wilson(round(accuracy * n), n), least)

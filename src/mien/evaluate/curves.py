"""Scores at every threshold: each class against the rest, and selective prediction (accuracy by coverage)."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_curve

from mien.records.evaluation import Areas, SelectiveScore
from mien.records.intervals import wilson

_POINTS = 200  # of a coverage curve
_LEAST_COVERAGE = 50  # one in so many: the accuracy of fewer predictions is noise


@dataclass(frozen=True)
class Curve:
    """A line from (0, y) to (1, y'), x, y: float64 [P], and its area: the mean of y over x."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    area: float


class ClassCurves(NamedTuple):
    """The curves of one class against the rest; None where they are not defined."""

    precision_recall: Curve | None
    roc: Curve | None

    @property
    def areas(self) -> Areas:
        """The areas under them."""
        roc, precision_recall = (curve.area if curve else None for curve in (self.roc, self.precision_recall))
        return Areas(roc, precision_recall)


@dataclass(frozen=True)
class CoverageCurve:
    """Accuracy of the most confident predictions by their share, with 95 % intervals: float64 [P] each, ci95 [P, 2]."""

    coverage: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    accuracy_ci95: NDArray[np.float64]


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
    """Accuracy of the 1, 2, ... N most confident predictions, float64 [N]; ties count as their mean."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    levels, ranks = np.unique(-confidence, return_inverse=True)
    shares = np.bincount(ranks, right, len(levels)) / np.bincount(ranks)
    return shares[np.sort(ranks)].cumsum() / np.arange(1, len(labels) + 1)


def selective_score(probabilities: NDArray[np.floating], labels: NDArray[np.int64], coverage: float) -> SelectiveScore:
    """The accuracy if only the most confident share `coverage` of the predictions counts."""
    n = ceil(coverage * len(labels))
    accuracy = float(accuracy_by_coverage(probabilities, labels)[n - 1])
    least = float(np.sort(probabilities.max(1))[-n])
    return SelectiveScore(n, accuracy, wilson(round(accuracy * n), n), least)


def coverage_curve(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> CoverageCurve:
    """Accuracy by coverage at some 200 points, from 2 % of the predictions on; probabilities [N, K], labels [N]."""
    accuracy, n = accuracy_by_coverage(probabilities, labels), len(labels)
    counts = np.unique(np.linspace(max(n // _LEAST_COVERAGE, 1), n, _POINTS).astype(int))
    shown = accuracy[counts - 1]
    ends = [wilson(round(share * count), count) for share, count in zip(shown.tolist(), counts.tolist(), strict=True)]
    return CoverageCurve(counts / n, shown, np.array(ends))

"""Scores of a set of predictions, with their uncertainty."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from mien.evaluate.reliability import calibration_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Z95 = 1.959963984540054


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class; `support` is its number of faces."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class Scores:
    """What a model's probabilities are worth on labelled faces.

    accuracy_ci95: Wilson's interval, (low, high). confusion: int64 [K, K], rows true, columns predicted.
    nll: mean of -ln(probability of the true class). ece: expected calibration error, 15 bins.
    """

    n: int
    accuracy: float
    accuracy_ci95: tuple[float, float]
    macro_precision: float
    macro_recall: float
    macro_f1: float
    per_class: dict[str, ClassScore]
    confusion: NDArray[np.int64]
    nll: float
    ece: float


def score(probabilities: NDArray[np.floating], labels: NDArray[np.int64], classes: tuple[str, ...]) -> Scores:
    """Scores of probabilities [N, K] against labels [N]; N >= 1.

    Macro figures are plain means over the classes that occur in `labels`.
    """
    predicted = probabilities.argmax(1)
    places = np.arange(len(classes))
    table = precision_recall_fscore_support(labels, predicted, labels=places, zero_division=0)
    precision, recall, f1, support = np.asarray(table, np.float64)
    per_class = {
        name: ClassScore(float(precision[k]), float(recall[k]), float(f1[k]), int(support[k]))
        for k, name in enumerate(classes)
    }
    present = support > 0
    right = int((predicted == labels).sum())
    return Scores(
        n=len(labels),
        accuracy=right / len(labels),
        accuracy_ci95=wilson(right, len(labels)),
        macro_precision=float(precision[present].mean()),
        macro_recall=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        per_class=per_class,
        confusion=confusion_matrix(labels, predicted, labels=places),
        nll=_negative_log_likelihood(probabilities, labels),
        ece=calibration_error(probabilities, labels),
    )


def wilson(right: float, n: float) -> tuple[float, float]:
    """The 95 % interval of a share of `right` in `n` (Wilson 1927): low, high."""
    share, z2 = right / n, _Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return middle - half if right else 0.0, middle + half if right < n else 1.0  # 0 and 1 without rounding errors


def cross_entropy(probabilities: NDArray[np.floating], shares: NDArray[np.floating]) -> float:
    """Mean of -sum(share ln probability) over the faces; both [N, K]."""
    return float(-(shares * np.log(np.maximum(probabilities, 1e-12))).sum(1).mean())


def _negative_log_likelihood(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())

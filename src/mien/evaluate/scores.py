"""Scores of a set of predictions, with their uncertainty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from mien.evaluate.intervals import wilson
from mien.evaluate.reliability import calibration_error
from mien.records.evaluation import ClassScore, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray


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


def cross_entropy(probabilities: NDArray[np.floating], shares: NDArray[np.floating]) -> float:
    """Mean of -sum(share ln probability) over the faces; both [N, K]."""
    return float(-(shares * np.log(np.maximum(probabilities, 1e-12))).sum(1).mean())


def _negative_log_likelihood(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())

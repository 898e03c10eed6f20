"""Scores of a set of predictions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from mien.evaluate.reliability import calibration_error
from mien.records.evaluation import ClassScore, Scores
from mien.records.intervals import wilson


def score(probabilities: NDArray[np.floating], labels: NDArray[np.int64], classes: tuple[str, ...]) -> Scores:
    """Scores of probabilities [N, K] against labels [N]; N >= 1.

    Macro scores are plain means over the classes that occur in `labels`.

    >>> probabilities = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
    >>> scores = score(probabilities, np.array([0, 1, 1, 0]), ("no", "yes"))
    >>> scores.accuracy, scores.confusion
    (0.75, ((2, 0), (1, 1)))
    """
    predicted = probabilities.argmax(1)
    indices = np.arange(len(classes))
    table = precision_recall_fscore_support(labels, predicted, labels=indices, zero_division=0)
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
        confusion=tuple(map(tuple, confusion_matrix(labels, predicted, labels=indices).tolist())),
        nll=float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-12)).mean()),
        ece=calibration_error(probabilities, labels),
    )


def cross_entropy(probabilities: NDArray[np.floating], shares: NDArray[np.floating]) -> float:
    """Mean of -sum(share ln probability) over the faces; both [N, K]."""
    return float(-(shares * np.log(np.maximum(probabilities, 1e-12))).sum(1).mean())

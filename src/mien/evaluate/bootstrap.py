"""Bootstrap intervals: how far scores move when other faces of the same kind are drawn (Efron 1979).

Faces with the same label and predictions are interchangeable for every score here, so a resample draws the counts of
each such kind, not single faces. Faces count as independent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.evaluate.intervals import middle_95
from mien.records.evaluation import ClassIntervals, Intervals
from mien.records.intervals import Interval, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence


_RESAMPLES = 2000
_SEED = 0


@dataclass(frozen=True)
class Rates:
    """Scores of R sets of faces: accuracy [R]; precision, recall, f1 [R, K], nan where a set lacks the class."""

    accuracy: NDArray[np.float64]
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    f1: NDArray[np.float64]


def intervals(matrix: Sequence[Sequence[int]], classes: tuple[str, ...]) -> Intervals:
    """Intervals from a confusion matrix [K, K], rows true, columns predicted.

    They are the 2.5th and 97.5th percentile of 2,000 resamples; 0 to 1 for a class without faces. Where all resamples
    give the same score, as for a class that is never predicted, it is Wilson's interval: F1 is a share too, of TP in
    TP + (FP + FN) / 2.
    """
    confusion = np.array(matrix)
    truth, answer = confusion.nonzero()
    drawn = rates(resample(confusion[truth, answer]), truth, answer, len(classes))
    hits, labelled, named = confusion.diagonal(), confusion.sum(1), confusion.sum(0)
    per_class = {
        name: ClassIntervals(
            _with_width(middle_95(drawn.precision[:, k]), hits[k], named[k]),
            _with_width(middle_95(drawn.recall[:, k]), hits[k], labelled[k]),
            _with_width(middle_95(drawn.f1[:, k]), hits[k], (labelled[k] + named[k]) / 2),
        )
        for k, name in enumerate(classes)
    }
    return Intervals(
        accuracy=middle_95(drawn.accuracy),
        macro_precision=middle_95(macro_mean(drawn.precision)),
        macro_recall=middle_95(macro_mean(drawn.recall)),
        macro_f1=middle_95(macro_mean(drawn.f1)),
        per_class=per_class,
    )


def _with_width(ends: Interval, right: float, n: float) -> Interval:
    """The interval of a share of `right` in `n`; Wilson's where it has no width."""
    return wilson(float(right), float(n)) if n and ends[0] == ends[1] else ends


def resample(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Faces of each kind in 2,000 resamples, int64 [2000, C], of a set that holds `counts` [C] of them."""
    n = counts.sum()
    return np.random.default_rng(_SEED).multinomial(n, counts / n, _RESAMPLES)


def rates(counts: NDArray[np.int64], truth: NDArray[np.int64], answer: NDArray[np.int64], classes: int) -> Rates:
    """Scores of R sets of faces: `counts` [R, C] of each kind, whose label and prediction are `truth`, `answer` [C]."""
    faces, right, every = counts.astype(np.float64), truth == answer, np.eye(classes)
    hits = faces[:, right] @ every[truth[right]]
    labelled, named = faces @ every[truth], faces @ every[answer]
    present = np.where(labelled > 0, 1, np.nan)
    return Rates(
        accuracy=hits.sum(1) / faces.sum(1),
        precision=present * hits / np.maximum(named, 1),
        recall=present * hits / np.maximum(labelled, 1),
        f1=present * 2 * hits / np.maximum(labelled + named, 1),
    )


def macro_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean [R] over the classes that occur, of `values` [R, K]."""
    return np.nanmean(values, axis=1)

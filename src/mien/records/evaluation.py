"""The record of an evaluation (`metrics.json`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numpy.typing import NDArray

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray


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


Interval = tuple[float, float]


@dataclass(frozen=True)
class ClassIntervals:
    """95 % intervals of one class's scores."""

    precision: Interval
    recall: Interval
    f1: Interval


@dataclass(frozen=True)
class Intervals:
    """95 % intervals (low, high) of what `mien.evaluate.metrics.Scores` holds."""

    accuracy: Interval
    macro_precision: Interval
    macro_recall: Interval
    macro_f1: Interval
    per_class: dict[str, ClassIntervals]


METRICS = "metrics.json"
PREDICTIONS = "predictions.csv"
CONFUSION = "confusion_matrix.csv"
CORRUPTIONS = "corruptions.csv"


def evaluation_folder(base: Path, **facts: str) -> Path:
    """Where an evaluation goes: `base`, or `base-2` ... where one lies of which another fact is recorded."""
    folder, number = base, 1
    while (folder / METRICS).exists() and not is_of(folder, **facts):
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    return folder


def is_of(folder: Path, **facts: str) -> bool:
    """Whether these facts (model_sha256, data, prior ...) are those of the evaluation in `folder`."""
    recorded = read_metrics(folder)
    return all(recorded.get(name, value) == value for name, value in facts.items())


def read_metrics(folder: Path) -> dict[str, Any]:
    """The fields of `metrics.json` in `folder`; raises DataError naming the remedy."""
    path = folder / METRICS
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: not there; evaluate the model first (mien evaluate)") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); evaluate the model again") from None

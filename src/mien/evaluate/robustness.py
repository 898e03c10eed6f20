"""How much accuracy is left on corrupted faces."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mien.csv_files import csv_text
from mien.data.dataset import Dataset
from mien.evaluate.corruptions import KINDS, STRENGTHS, corrupt
from mien.models.model import Model, Prior, predict_proba
from mien.records.evaluation import CorruptionScores

Wrap = Callable[[Iterable[Any]], Iterable[Any]]


def robustness(
    model: Model, faces: Dataset, clean: float, device: str = "auto", prior: Prior = "natural", wrap: Wrap = iter
) -> CorruptionScores:
    """Accuracy under each kind and strength of corruption; `clean` is that without.

    `wrap` goes around the 75 measurements, to show progress.
    """

    def accuracy(kind: str, strength: int) -> float:
        predictions = predict_proba(model, corrupt(faces.images, kind, strength), device, prior).argmax(1)
        return float((predictions == faces.labels).mean())

    shares = [accuracy(kind, strength) for kind, strength in wrap(list(product(KINDS, STRENGTHS)))]
    corrupted = np.array(shares).reshape(len(KINDS), len(STRENGTHS))
    by_kind = {kind: tuple(row) for kind, row in zip(KINDS, corrupted.tolist(), strict=True)}
    return CorruptionScores(float(relative(corrupted, clean).mean()), by_kind)


def relative(corrupted: ArrayLike, clean: float) -> NDArray[np.float64]:
    """Corrupted over clean accuracy; 0 where the latter is."""
    return np.asarray(corrupted) / clean if clean else np.zeros_like(corrupted)


def robustness_text(scores: CorruptionScores, clean: float) -> str:
    """`corruptions.csv`: a row for each kind and strength, with the accuracy, and that relative to clean faces."""
    rows = (
        (kind, strength, f"{accuracy:.6f}", f"{share:.6f}")
        for kind, row in scores.accuracy.items()
        for strength, accuracy, share in zip(STRENGTHS, row, relative(row, clean), strict=True)
    )
    return csv_text(("corruption", "strength", "accuracy", "relative"), rows)

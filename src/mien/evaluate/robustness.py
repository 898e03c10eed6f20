"""How much accuracy is left on corrupted faces."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from mien.csv_files import csv_text
from mien.data.dataset import Dataset
from mien.evaluate.corruptions import KINDS, STRENGTHS, corrupt
from mien.models.model import Model, Prior, predict_proba
from mien.records.evaluation import CorruptionScores

if TYPE_CHECKING:
    from numpy.typing import NDArray

Wrap = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Robustness:
    """Accuracy on clean faces, and on the same faces corrupted: float64 [kinds, strengths], in the order of `KINDS`."""

    clean: float
    corrupted: NDArray[np.float64]

    @property
    def relative(self) -> NDArray[np.float64]:
        """Corrupted over clean accuracy, float64 [kinds, strengths]; 0 where the latter is."""
        return self.corrupted / self.clean if self.clean else np.zeros_like(self.corrupted)

    @property
    def scores(self) -> CorruptionScores:
        """The same for the record."""
        by_kind = {kind: tuple(row) for kind, row in zip(KINDS, self.corrupted.tolist(), strict=True)}
        return CorruptionScores(float(self.relative.mean()), by_kind)


def robustness(
    model: Model, faces: Dataset, clean: float, device: str = "auto", prior: Prior = "natural", wrap: Wrap = iter
) -> Robustness:
    """Accuracy under each kind and strength of corruption; `clean` is that without.

    `wrap` goes around the 75 measurements, to show progress.
    """

    def accuracy(kind: str, strength: int) -> float:
        predictions = predict_proba(model, corrupt(faces.images, kind, strength), device, prior).argmax(1)
        return float((predictions == faces.labels).mean())

    shares = [accuracy(kind, strength) for kind, strength in wrap(list(product(KINDS, STRENGTHS)))]
    return Robustness(clean, np.array(shares).reshape(len(KINDS), len(STRENGTHS)))


def robustness_text(robustness: Robustness) -> str:
    """`corruptions.csv`: a row for each kind and strength, with the accuracy, and that relative to clean faces."""
    rows = (
        (kind, strength, f"{robustness.corrupted[i, j]:.6f}", f"{robustness.relative[i, j]:.6f}")
        for (i, kind), (j, strength) in product(enumerate(KINDS), enumerate(STRENGTHS))
    )
    return csv_text(("corruption", "strength", "accuracy", "relative"), rows)

"""How much accuracy is left on damaged faces."""

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

if TYPE_CHECKING:
    from numpy.typing import NDArray

Wrap = Callable[[Iterable[Any]], Iterable[Any]]


@dataclass(frozen=True)
class Robustness:
    """Accuracy on whole faces, and on the same faces damaged: float64 [kinds, strengths], in the order of `KINDS`."""

    whole: float
    damaged: NDArray[np.float64]

    @property
    def relative(self) -> NDArray[np.float64]:
        """Damaged over whole accuracy, float64 [kinds, strengths]; 0 where no whole face is named right."""
        return self.damaged / self.whole if self.whole else np.zeros_like(self.damaged)


def robustness(
    model: Model, faces: Dataset, whole: float, device: str = "auto", prior: Prior = "natural", wrap: Wrap = iter
) -> Robustness:
    """Accuracy under each kind and strength of damage; `whole` is that on whole faces.

    `wrap` goes around the 75 measurements, to show progress.
    """

    def accuracy(kind: str, strength: int) -> float:
        answers = predict_proba(model, corrupt(faces.images, kind, strength), device, prior).argmax(1)
        return float((answers == faces.labels).mean())

    shares = [accuracy(kind, strength) for kind, strength in wrap(list(product(KINDS, STRENGTHS)))]
    return Robustness(whole, np.array(shares).reshape(len(KINDS), len(STRENGTHS)))


def robustness_text(robustness: Robustness) -> str:
    """`corruptions.csv`: a line a kind and strength, with its accuracy and that divided by the whole faces'."""
    rows = (
        (kind, strength, f"{robustness.damaged[i, j]:.6f}", f"{robustness.relative[i, j]:.6f}")
        for (i, kind), (j, strength) in product(enumerate(KINDS), enumerate(STRENGTHS))
    )
    return csv_text(("corruption", "strength", "accuracy", "relative"), rows)

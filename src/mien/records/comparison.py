"""The record of a comparison of models (`comparison.json`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mien.records.intervals import Interval
from mien.records.record import Record

MODELS = "models.csv"
PAIRS = "pairs.csv"


@dataclass(frozen=True)
class ModelScore:
    """One model's scores and their 95 % intervals (Wilson's for the accuracy, bootstrap for the macro F1)."""

    model: str
    accuracy: float
    accuracy_ci95: Interval
    macro_f1: float
    macro_f1_ci95: Interval


@dataclass(frozen=True)
class Pair:
    """Model `b` minus model `a`: differences with 95 % intervals from resampled faces.

    only_a_right, only_b_right: faces that one model gets right and the other does not. mcnemar_p: the probability of
    counts at least as unequal as these if both models are right equally often (exact, two-sided). holm_p: the same,
    corrected for the number of pairs (Holm 1979); None in files of version 0.1.
    """

    a: str
    b: str
    accuracy_difference: float
    accuracy_difference_ci95: Interval
    macro_f1_difference: float
    macro_f1_difference_ci95: Interval
    only_a_right: int
    only_b_right: int
    mcnemar_p: float
    holm_p: float | None = None

    @property
    def p(self) -> float:
        """What decides whether the models differ: Holm's p where there is one."""
        return self.mcnemar_p if self.holm_p is None else self.holm_p


@dataclass(frozen=True)
class SeedScores:
    """Models that differ in nothing but their seed: means of their scores, and standard deviations (n - 1)."""

    recipe: str
    models: tuple[str, ...]
    accuracy: float
    accuracy_sd: float
    macro_f1: float
    macro_f1_sd: float


@dataclass(frozen=True, kw_only=True)
class ComparisonRecord(Record):
    """Models compared on the same n faces. faces: which ones, in words."""

    FILE: ClassVar = "comparison.json"
    COMMAND: ClassVar = "mien compare A B --out FOLDER"

    faces: str
    command: str
    n: int
    models: tuple[ModelScore, ...]
    pairs: tuple[Pair, ...]
    seeds: tuple[SeedScores, ...] = ()

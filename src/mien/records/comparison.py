"""The record of a comparison of models (`comparison.json`)."""

from __future__ import annotations

from dataclasses import dataclass

from mien.records.evaluation import Interval

COMPARISON = "comparison.json"
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
    """What model `b` has over model `a`: differences b - a with 95 % intervals from resampled faces.

    only_a_right, only_b_right: faces that one names right and the other does not. mcnemar_p: how often such
    unequal numbers, or more unequal ones, come about where both models are right equally often (exact, two-sided).
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

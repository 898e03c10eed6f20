"""The record of an evaluation (`metrics.json`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from mien.records.intervals import Interval
from mien.records.record import Record

PREDICTIONS = "predictions.csv"
CONFUSION = "confusion_matrix.csv"
CORRUPTIONS = "corruptions.csv"

LabelSource = Literal["given labels", "majority of votes"]
Prior = Literal["natural", "uniform"]


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class; `support` is its number of faces."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, kw_only=True)
class Scores:
    """How well a model's probabilities fit labelled faces.

    accuracy_ci95: Wilson's interval. confusion: rows true, columns predicted. nll: mean of -ln(probability of the
    true class), the cross-entropy. ece: expected calibration error, 15 bins.
    """

    n: int
    accuracy: float
    accuracy_ci95: Interval
    macro_precision: float
    macro_recall: float
    macro_f1: float
    per_class: dict[str, ClassScore]
    confusion: tuple[tuple[int, ...], ...]
    nll: float
    ece: float


@dataclass(frozen=True, kw_only=True)
class ScoresWithoutCopies(Scores):
    """The scores of the faces of which no copy is in training; `copies` of them were left out."""

    copies: int


@dataclass(frozen=True)
class ClassIntervals:
    """95 % intervals of one class's scores."""

    precision: Interval
    recall: Interval
    f1: Interval


@dataclass(frozen=True)
class Intervals:
    """95 % intervals of what `Scores` holds, from resampled faces."""

    accuracy: Interval
    macro_precision: Interval
    macro_recall: Interval
    macro_f1: Interval
    per_class: dict[str, ClassIntervals]


@dataclass(frozen=True)
class Areas:
    """Areas under one class's curves against the rest; None where they are not defined."""

    roc: float | None
    precision_recall: float | None


@dataclass(frozen=True)
class SelectiveScore:
    """The `n` most confident predictions: their accuracy, its 95 % interval, and the least confidence among them."""

    n: int
    accuracy: float
    accuracy_ci95: Interval
    confidence: float


@dataclass(frozen=True)
class CorruptionScores:
    """Accuracy on corrupted faces, by kind, for each strength; the mean over all of it relative to clean faces."""

    mean_relative_accuracy: float
    accuracy: dict[str, tuple[float, ...]]


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What was evaluated: the model and its file's SHA-256, the data and its part, in the words of the command.

    prior: the class frequencies assumed. notes: what the model file says of its training.
    """

    model: str
    data: str
    split: str
    model_sha256: str = ""
    prior: Prior = "natural"
    notes: dict[str, str] = field(default_factory=dict)
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class EvaluationRecord(Provenance, Scores, Record):
    """All that is known of an evaluation.

    ece_if_calibrated: the calibration error that a perfectly calibrated model would show on as many faces, with the
    middle 95 % of it. at_80_coverage: the most confident 80 % of the predictions. cross_entropy: against the shares of
    votes. present_only: the scores where only classes that occur in the data may be predicted, None where all occur.
    Fields are None where they were not measured.
    """

    FILE: ClassVar = "metrics.json"
    COMMAND: ClassVar = "mien evaluate --model MODEL --data DATA"

    classes: tuple[str, ...]
    label_source: LabelSource
    bootstrap_ci95: Intervals
    ece_if_calibrated: float
    ece_if_calibrated_95: Interval
    areas: dict[str, Areas]
    at_80_coverage: SelectiveScore
    cross_entropy: float | None = None
    without_copies: ScoresWithoutCopies | None = None
    present_only: Scores | None = None
    tta_flip: Scores | None = None
    corruptions: CorruptionScores | None = None

    @property
    def absent(self) -> tuple[str, ...]:
        """The classes of the model of which the data hold no face."""
        return tuple(name for name, one in self.per_class.items() if not one.support)

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Version 0.1 called the classes `labels`, and the label source `ruler`."""
        return {**fields, "classes": fields["labels"], "label_source": fields["ruler"]}

    def to_json(self) -> dict[str, Any]:
        """The record as values for JSON; the classes for one more version under their old name too."""
        return super().to_json() | {"labels": list(self.classes)}


def evaluation_folder(base: Path, **facts: str) -> Path:
    """Where an evaluation goes: `base`, or `base-2` ... where another one, with other facts, lies there."""
    folder, number = base, 1
    while (record := EvaluationRecord.found(folder)) and not is_of(record, **facts):
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    return folder


def is_of(record: EvaluationRecord, **facts: str) -> bool:
    """Whether these facts (model_sha256, data, prior ...) are those of the evaluation."""
    return all(getattr(record, name) == value for name, value in facts.items())

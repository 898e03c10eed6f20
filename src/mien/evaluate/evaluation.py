"""One evaluation: a model's probabilities on one part of the data, their scores, and the files they become."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import atomic
from mien.csv_files import csv_text
from mien.data.copies import shared_with
from mien.data.dataset import Dataset
from mien.data.votes import with_majority
from mien.evaluate.bootstrap import intervals
from mien.evaluate.corruptions import KINDS
from mien.evaluate.curves import Curve, kept, precision_recall, roc
from mien.evaluate.reliability import error_if_calibrated
from mien.evaluate.robustness import Robustness, Wrap, robustness, robustness_text
from mien.evaluate.scores import cross_entropy, score
from mien.models.files import check_classes
from mien.models.model import Model, Prior, predict_proba
from mien.records.evaluation import CONFUSION, CORRUPTIONS, METRICS, PREDICTIONS, Scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

COVERAGE = 0.8  # the share of answers kept where the least sure are left to a person


@dataclass(frozen=True)
class Evaluation:
    """Faces, what a model said of them, and how good that is.

    probabilities: float32 [N, K]. model, data, split: where they come from, in words, for the records.
    seen: whether a copy of the face is in training, bool [N]; None where that is unknown or goes without saying.
    flipped: the mean answer over the face and its mirror image, float32 [N, K]; None where not asked for.
    robustness: accuracy on damaged faces; None where not asked for.
    """

    faces: Dataset
    probabilities: NDArray[np.float32]
    scores: Scores
    model: str
    data: str
    split: str
    seen: NDArray[np.bool_] | None = None
    flipped: NDArray[np.float32] | None = None
    robustness: Robustness | None = None

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each face, int64 [N]."""
        return self.probabilities.argmax(1)

    @property
    def confidence(self) -> NDArray[np.float32]:
        """The probability of that class, float32 [N]."""
        return self.probabilities.max(1)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether it is the true class, bool [N]."""
        return self.predicted == self.faces.labels


def evaluate(
    model: Model,
    faces: Dataset,
    *,
    name: str,
    data: str,
    split: str,
    device: str = "auto",
    prior: Prior = "natural",
    trained_on: Dataset | None = None,
) -> Evaluation:
    """Run `model` over `faces` and score its answers; `name`, `data` and `split` are for the records.

    Where people voted on the faces, those on which no class has a majority are left out. With the faces it was
    `trained_on` it is known which of the others are copies of them. Raises ModelError where the model names other
    classes than the data.
    """
    check_classes(model, faces.classes, name, data)
    faces = with_majority(faces)
    seen = shared_with(faces.images, trained_on.images) if trained_on else None
    probabilities = predict_proba(model, faces.images, device, prior)
    scores = score(probabilities, faces.labels, faces.classes)
    return Evaluation(faces, probabilities, scores, name, data, split, seen)


def with_flip(evaluation: Evaluation, model: Model, device: str = "auto", prior: Prior = "natural") -> Evaluation:
    """The evaluation, and beside it what `model` answers when it also sees each face mirrored."""
    mirrored = predict_proba(model, evaluation.faces.images[:, :, ::-1], device, prior)
    return replace(evaluation, flipped=np.mean((evaluation.probabilities, mirrored), 0))


def with_corruptions(
    evaluation: Evaluation, model: Model, device: str = "auto", prior: Prior = "natural", wrap: Wrap = iter
) -> Evaluation:
    """The evaluation, and beside it how `model` does on damaged faces; `wrap` shows progress."""
    measured = robustness(model, evaluation.faces, evaluation.scores.accuracy, device, prior, wrap)
    return replace(evaluation, robustness=measured)


def write_evaluation(evaluation: Evaluation, folder: Path, **extra: Any) -> dict[str, Any]:
    """Write `predictions.csv`, `confusion_matrix.csv` and, last, `metrics.json` (with `extra` fields); return the last.

    `corruptions.csv` is written too, or else removed: it would tell of an earlier evaluation.
    """
    atomic.write_text(folder / PREDICTIONS, _predictions(evaluation))
    atomic.write_text(folder / CONFUSION, _confusion(evaluation))
    if evaluation.robustness:
        atomic.write_text(folder / CORRUPTIONS, robustness_text(evaluation.robustness))
    else:
        (folder / CORRUPTIONS).unlink(missing_ok=True)
    fields = metrics(evaluation) | extra
    atomic.write_json(folder / METRICS, fields)
    return fields


def metrics(evaluation: Evaluation) -> dict[str, Any]:
    """The content of `metrics.json`."""
    classes, labels = evaluation.faces.classes, evaluation.faces.labels
    calibrated, calibrated_95 = error_if_calibrated(evaluation.probabilities)
    fields = asdict(evaluation.scores) | {
        "ruler": "given labels" if evaluation.faces.shares is None else "majority of votes",
        "labels": classes,
        "model": evaluation.model,
        "data": evaluation.data,
        "split": evaluation.split,
        "bootstrap_ci95": asdict(intervals(evaluation.scores.confusion, classes)),
        "ece_if_calibrated": calibrated,
        "ece_if_calibrated_95": calibrated_95,
        "areas": _areas(evaluation),
        "at_80_coverage": asdict(kept(evaluation.probabilities, labels, COVERAGE)),
    }
    return _plain(fields | _not_always(evaluation))


def _areas(evaluation: Evaluation) -> dict[str, dict[str, float | None]]:
    """The areas under each class's curves; None where they are not defined."""
    answers, labels = evaluation.probabilities, evaluation.faces.labels

    def area(curve: Curve | None) -> float | None:
        return curve.area if curve else None

    return {
        name: {"roc": area(roc(answers, labels, k)), "precision_recall": area(precision_recall(answers, labels, k))}
        for k, name in enumerate(evaluation.faces.classes)
    }


def _not_always(evaluation: Evaluation) -> dict[str, Any]:
    """What not every evaluation has."""
    faces, fields = evaluation.faces, {}
    if faces.shares is not None:
        fields["cross_entropy"] = cross_entropy(evaluation.probabilities, faces.shares)
    if unseen := unseen_scores(evaluation):
        fields["without_copies"] = asdict(unseen) | {"copies": len(faces) - unseen.n}
    if evaluation.flipped is not None:
        fields["tta_flip"] = asdict(score(evaluation.flipped, faces.labels, faces.classes))
    if evaluation.robustness:
        measured = evaluation.robustness
        fields["corruptions"] = {
            "mean_relative_accuracy": float(measured.relative.mean()),
            "accuracy": dict(zip(KINDS, measured.damaged, strict=True)),
        }
    return fields


def unseen_scores(evaluation: Evaluation) -> Scores | None:
    """The scores less every face that is also in training; None where that is unknown, or no face is left."""
    if evaluation.seen is None or evaluation.seen.all():
        return None
    faces, rest = evaluation.faces, ~evaluation.seen
    return score(evaluation.probabilities[rest], faces.labels[rest], faces.classes)


def _plain(value: Any) -> Any:
    """What JSON gives back as it was: lists for tuples and arrays."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [_plain(one) for one in value] if isinstance(value, tuple) else value


def _predictions(evaluation: Evaluation) -> str:
    faces, classes, answers = evaluation.faces, evaluation.faces.classes, evaluation.predicted
    rows = []
    for i, path in enumerate(faces.paths):
        shares = [f"{p:.6f}" for p in evaluation.probabilities[i]]
        predicted = answers[i]
        rows.append([path, classes[faces.labels[i]], classes[predicted], shares[predicted], *shares])
    return csv_text(["path", "label", "predicted", "confidence", *classes], rows)


def _confusion(evaluation: Evaluation) -> str:
    classes = evaluation.faces.classes
    rows = ([name, *counts] for name, counts in zip(classes, evaluation.scores.confusion.tolist(), strict=True))
    return csv_text(["true \\ predicted", *classes], rows)

"""One evaluation: a model's probabilities on one part of the data, their scores, and the files they become."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien import atomic
from mien.csv_files import csv_text
from mien.data.copies import copy_groups, shared_with
from mien.data.dataset import Dataset
from mien.data.votes import with_majority
from mien.errors import DataError, ModelError
from mien.evaluate.bootstrap import intervals
from mien.evaluate.curves import ClassCurves, precision_recall, roc, selective_score
from mien.evaluate.reliability import error_if_calibrated
from mien.evaluate.robustness import Wrap, robustness, robustness_text
from mien.evaluate.scores import cross_entropy, score
from mien.models.model import Model, Prior, predict_proba
from mien.records.evaluation import (
    CONFUSION,
    CORRUPTIONS,
    PREDICTIONS,
    CorruptionScores,
    EvaluationRecord,
    Provenance,
    Scores,
    ScoresWithoutCopies,
)

_COVERAGE = 0.8  # as `at_80_coverage` says


@dataclass(frozen=True)
class Evaluation:
    """Faces, a model's predictions for them, and how good these are.

    probabilities: float32 [N, K]. in_training: whether a copy of the face is in training, bool [N]; None where that is
    unknown. flipped: the mean over the face and its mirror image, float32 [N, K], and corruptions: accuracy on
    corrupted faces; None where they were not asked for.

    >>> faces = Dataset(np.zeros((2, 48, 48), np.uint8), np.array([0, 1]), ("no", "yes"), ("no/1.png", "yes/2.png"))
    >>> probabilities = np.array([[0.8, 0.2], [0.6, 0.4]], np.float32)
    >>> done = Evaluation(faces, probabilities, score(probabilities, faces.labels, faces.classes))
    >>> done.right, done.scores.accuracy
    (array([ True, False]), 0.5)
    """

    faces: Dataset
    probabilities: NDArray[np.float32]
    scores: Scores
    in_training: NDArray[np.bool_] | None = None
    flipped: NDArray[np.float32] | None = None
    corruptions: CorruptionScores | None = None

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

    @cached_property
    def curves(self) -> dict[str, ClassCurves]:
        """Each class against the rest, at every threshold."""
        predictions, labels = self.probabilities, self.faces.labels
        return {
            name: ClassCurves(precision_recall(predictions, labels, k), roc(predictions, labels, k))
            for k, name in enumerate(self.faces.classes)
        }

    def confident_mistakes(self, most: int) -> NDArray[np.int64]:
        """Indices of the wrong predictions with the highest confidence, in order; of copies of one face the first."""
        wrong = np.flatnonzero(~self.right)
        ranked = wrong[np.argsort(-self.confidence[wrong], kind="stable")]
        _, firsts = np.unique(copy_groups(self.faces.images[ranked]), return_index=True)
        return ranked[np.sort(firsts)][:most]


def evaluate(
    model: Model,
    faces: Dataset,
    *,
    device: str = "auto",
    prior: Prior = "natural",
    trained_on: Dataset | None = None,
) -> Evaluation:
    """Run `model` over `faces` and score its predictions.

    Where annotators voted on the faces, those without a majority are left out. Given the faces it was `trained_on`,
    copies of these are told apart. The data may lack some of the model's classes; raises ModelError where the model
    lacks one of theirs.

    >>> import tempfile
    >>> from mien import open_data, read_model
    >>> from mien.data.drawn import write_drawn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_drawn(Path(folder) / "faces", count=70)
    ...     faces = open_data(f"{folder}/faces").test
    >>> evaluate(read_model("tiny"), faces).scores.n
    9
    """
    faces = with_majority(match_classes(model, faces))
    in_training = shared_with(faces.images, trained_on.images) if trained_on else None
    probabilities = predict_proba(model, faces.images, device, prior)
    return Evaluation(faces, probabilities, score(probabilities, faces.labels, faces.classes), in_training)


def match_classes(model: Model, faces: Dataset, model_name: str = "the model", data_name: str = "the data") -> Dataset:
    """The faces, labelled by the model's classes; raises ModelError where it lacks one that they carry."""
    try:
        return faces.with_classes(model.classes)
    except DataError as error:
        raise ModelError(
            f"{model_name} on {data_name}: {error} (--classes OLD=), rename their class (--classes OLD=NEW), or train "
            "on them"
        ) from None


def with_flip(evaluation: Evaluation, model: Model, device: str = "auto", prior: Prior = "natural") -> Evaluation:
    """The evaluation with flip test-time augmentation beside it: the mean prediction over each face and its mirror."""
    mirrored = predict_proba(model, evaluation.faces.images[:, :, ::-1], device, prior)
    return replace(evaluation, flipped=np.mean((evaluation.probabilities, mirrored), 0))


def with_corruptions(
    evaluation: Evaluation, model: Model, device: str = "auto", prior: Prior = "natural", wrap: Wrap = iter
) -> Evaluation:
    """The evaluation with the accuracy on corrupted faces beside it; `wrap` shows progress."""
    measured = robustness(model, evaluation.faces, evaluation.scores.accuracy, device, prior, wrap)
    return replace(evaluation, corruptions=measured)


def evaluation_record(evaluation: Evaluation, provenance: Provenance) -> EvaluationRecord:
    """All that is known of an evaluation of the model and data that `provenance` names."""
    faces, predictions = evaluation.faces, evaluation.probabilities
    calibrated, calibrated_95 = error_if_calibrated(predictions)
    return EvaluationRecord(
        **vars(evaluation.scores),
        **vars(provenance),
        classes=faces.classes,
        label_source="given labels" if faces.shares is None else "majority of votes",
        bootstrap_ci95=intervals(evaluation.scores.confusion, faces.classes),
        ece_if_calibrated=calibrated,
        ece_if_calibrated_95=calibrated_95,
        areas={name: curves.areas for name, curves in evaluation.curves.items()},
        at_80_coverage=selective_score(predictions, faces.labels, _COVERAGE),
        cross_entropy=None if faces.shares is None else cross_entropy(predictions, faces.shares),
        without_copies=scores_without_copies(evaluation),
        present_only=scores_of_present(evaluation),
        tta_flip=None if evaluation.flipped is None else score(evaluation.flipped, faces.labels, faces.classes),
        corruptions=evaluation.corruptions,
    )


def scores_without_copies(evaluation: Evaluation) -> ScoresWithoutCopies | None:
    """The scores of the faces that are not in training too; None where that is unknown, or no face is left."""
    copied = evaluation.in_training
    if copied is None or copied.all():
        return None
    faces = evaluation.faces
    rest = score(evaluation.probabilities[~copied], faces.labels[~copied], faces.classes)
    return ScoresWithoutCopies(**vars(rest), copies=int(copied.sum()))


def scores_of_present(evaluation: Evaluation) -> Scores | None:
    """The scores where only classes that occur in the data may be predicted; None where all of them occur."""
    faces = evaluation.faces
    present = np.flatnonzero(faces.counts())
    if len(present) == len(faces.classes):
        return None
    likely = np.maximum(evaluation.probabilities[:, present], np.finfo(np.float32).tiny)
    classes = tuple(faces.classes[k] for k in present)
    return score(likely / likely.sum(1, keepdims=True), np.searchsorted(present, faces.labels), classes)


def write_evaluation(evaluation: Evaluation, record: EvaluationRecord, folder: Path) -> None:
    """Write `predictions.csv`, `confusion_matrix.csv` and, last, the record, `metrics.json`.

    `corruptions.csv` is written too, or else removed: it would belong to an earlier evaluation.
    """
    faces, classes = evaluation.faces, evaluation.faces.classes
    labels, predictions = evaluation.faces.labels, evaluation.predicted
    rows = []
    for i, path in enumerate(faces.paths):
        shares = [f"{share:.6f}" for share in evaluation.probabilities[i]]
        rows.append([path, classes[labels[i]], classes[predictions[i]], shares[predictions[i]], *shares])
    atomic.write_text(folder / PREDICTIONS, csv_text(["path", "label", "predicted", "confidence", *classes], rows))
    confusion = ([name, *counts] for name, counts in zip(classes, evaluation.scores.confusion, strict=True))
    atomic.write_text(folder / CONFUSION, csv_text(["true \\ predicted", *classes], confusion))
    if evaluation.corruptions:
        atomic.write_text(folder / CORRUPTIONS, robustness_text(evaluation.corruptions, evaluation.scores.accuracy))
    else:
        (folder / CORRUPTIONS).unlink(missing_ok=True)
    record.write(folder)

"""One evaluation: a model's probabilities on one part of the data, their scores, and the files they become."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mien import atomic
from mien.data.dataset import Dataset
from mien.data.votes import with_majority
from mien.errors import DataError
from mien.evaluate.metrics import Scores, cross_entropy, score
from mien.models.files import check_classes
from mien.models.model import Model, Prior, predict_proba

if TYPE_CHECKING:
    from numpy.typing import NDArray

METRICS = "metrics.json"
PREDICTIONS = "predictions.csv"
CONFUSION = "confusion_matrix.csv"


@dataclass(frozen=True)
class Evaluation:
    """Faces, what a model said of them, and how good that is.

    probabilities: float32 [N, K]. model, data, split: where they come from, in words, for the records.
    """

    faces: Dataset
    probabilities: NDArray[np.float32]
    scores: Scores
    model: str
    data: str
    split: str

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
    model: Model, faces: Dataset, *, name: str, data: str, split: str, device: str = "cpu", prior: Prior = "natural"
) -> Evaluation:
    """Run `model` over `faces` and score its answers; `name`, `data` and `split` are for the records.

    Where people voted on the faces, those on which no class has a majority are left out. Raises ModelError where the
    model names other classes than the data.
    """
    check_classes(model, faces.classes, name, data)
    faces = with_majority(faces)
    probabilities = predict_proba(model, faces.images, device, prior)
    scores = score(probabilities, faces.labels, faces.classes)
    return Evaluation(faces, probabilities, scores, name, data, split)


def write_evaluation(evaluation: Evaluation, folder: Path, **extra: Any) -> None:
    """Write `predictions.csv`, `confusion_matrix.csv` and, last, `metrics.json` (with `extra` fields)."""
    atomic.write_text(folder / PREDICTIONS, _predictions(evaluation))
    atomic.write_text(folder / CONFUSION, _confusion(evaluation))
    atomic.write_json(folder / METRICS, metrics(evaluation) | extra)


def metrics(evaluation: Evaluation) -> dict[str, Any]:
    """The content of `metrics.json`."""
    fields: dict[str, Any] = asdict(evaluation.scores)
    fields["confusion"] = evaluation.scores.confusion.tolist()
    fields["accuracy_ci95"] = list(evaluation.scores.accuracy_ci95)
    if evaluation.faces.shares is not None:
        fields["cross_entropy"] = cross_entropy(evaluation.probabilities, evaluation.faces.shares)
    return fields | {
        "ruler": "given labels" if evaluation.faces.shares is None else "majority of votes",
        "labels": list(evaluation.faces.classes),
        "model": evaluation.model,
        "data": evaluation.data,
        "split": evaluation.split,
    }


def evaluation_folder(base: Path, model_sha256: str) -> Path:
    """Where an evaluation of that model goes: `base`, or `base-2` ... where another model's lies there already."""
    folder, number = base, 1
    while (folder / METRICS).exists() and read_metrics(folder).get("model_sha256") != model_sha256:
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    return folder


def read_metrics(folder: Path) -> dict[str, Any]:
    """The fields of `metrics.json` in `folder`; raises DataError naming the remedy."""
    path = folder / METRICS
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: not there; evaluate the model first (mien evaluate)") from None
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); evaluate the model again") from None


def _predictions(evaluation: Evaluation) -> str:
    faces, classes, answers = evaluation.faces, evaluation.faces.classes, evaluation.predicted
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["path", "label", "predicted", "confidence", *classes])
    for i, path in enumerate(faces.paths):
        shares = [f"{p:.6f}" for p in evaluation.probabilities[i]]
        predicted = answers[i]
        rows.writerow([path, classes[faces.labels[i]], classes[predicted], shares[predicted], *shares])
    return text.getvalue()


def _confusion(evaluation: Evaluation) -> str:
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["true \\ predicted", *evaluation.faces.classes])
    for name, counts in zip(evaluation.faces.classes, evaluation.scores.confusion.tolist(), strict=True):
        rows.writerow([name, *counts])
    return text.getvalue()

"""Which pictures each stage leaves in a run folder's `figures/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.data.dataset import Dataset, Split
from mien.evaluate.comparison import Comparison
from mien.evaluate.evaluation import Evaluation
from mien.explain.gradcam import grad_cam, mean_maps
from mien.models.model import Model
from mien.report import figures
from mien.train.augment import Augment
from mien.train.trainer import Epoch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURES = "figures"
_HEATMAPS = 6  # right and wrong answers shown, of each


def draw_data(split: Split, folder: Path, seed: int = 0) -> list[Path]:
    """What the data look like: bars, pies, augmented variants, faces and mean face per class."""
    pictures = {
        "class_bars": figures.class_bars(split),
        "class_pies": figures.class_pies(split),
        "augmentations": figures.augmentations(split.train, Augment(), seed),
        "faces_per_class": figures.faces_per_class(split.train, seed),
        "mean_faces": figures.mean_faces(split.train),
    }
    return _save(pictures, folder)


def draw_training(history: Sequence[Epoch], folder: Path) -> list[Path]:
    """How training went."""
    return _save({"learning_curves": figures.learning_curves(history)}, folder)


def draw_evaluation(evaluation: Evaluation, folder: Path, seed: int = 0) -> list[Path]:
    """How good and how sure the answers are, and which are wrong; on damaged faces too, where that was measured."""
    classes = evaluation.faces.classes
    pictures = {
        "confusion": figures.confusion(evaluation.scores, classes),
        "class_scores": figures.class_scores(evaluation.scores),
        "ten_predictions": figures.ten_predictions(evaluation, seed),
        "confident_mistakes": figures.confident_mistakes(evaluation),
        "class_curves": figures.class_curves(evaluation),
        "reliability": figures.reliability(evaluation),
        "coverage": figures.coverage(evaluation),
    }
    if evaluation.robustness:
        pictures["corruptions"] = figures.corruptions(evaluation.robustness)
    else:  # an earlier evaluation's would not belong to these scores
        (folder / FIGURES / "corruptions.png").unlink(missing_ok=True)
    return _save(pictures, folder)


def draw_comparison(comparison: Comparison, faces: Dataset, folder: Path, seed: int = 0) -> list[Path]:
    """Faces on which models disagree; `faces` holds those that were compared, in any order."""
    place = {path: i for i, path in enumerate(faces.paths)}
    images = faces.images[[place[path] for path in comparison.paths]]
    return _save({"disagreements": figures.disagreements(comparison, images, seed)}, folder)


def draw_heatmaps(model: Model, evaluation: Evaluation, folder: Path, seed: int = 0) -> list[Path]:
    """Where the network looks: single answers, right and wrong, and the mean map of each class."""
    faces = evaluation.faces
    maps = grad_cam(model, faces.images, evaluation.predicted)
    shown = _some(evaluation, seed)
    titles = [_title(evaluation, i) for i in shown]
    means = np.stack([_mean_face(faces, k) for k in range(len(faces.classes))])
    pictures = {
        "gradcam_predictions": figures.heatmaps(faces.images[shown], maps[shown], titles, evaluation.right[shown]),
        "gradcam_classes": figures.class_heatmaps(
            means, mean_maps(maps, faces.labels, len(faces.classes)), faces.classes
        ),
    }
    return _save(pictures, folder)


def _some(evaluation: Evaluation, seed: int) -> np.ndarray:
    """A few right answers, then a few wrong ones, drawn from `seed`."""
    rng = np.random.default_rng(seed)
    right, wrong = np.flatnonzero(evaluation.right), np.flatnonzero(~evaluation.right)
    drawn = [rng.permutation(indices)[:_HEATMAPS] for indices in (right, wrong)]
    return np.concatenate(drawn).astype(np.int64)


def _title(evaluation: Evaluation, i: int) -> str:
    classes = evaluation.faces.classes
    truth, answer = classes[evaluation.faces.labels[i]], classes[evaluation.predicted[i]]
    return answer if truth == answer else f"{truth}, called {answer}"


def _mean_face(faces: Dataset, label: int) -> np.ndarray:
    """Mean face of a class, uint8 [S, S]; black for a class without faces."""
    mine = faces.images[faces.labels == label]
    return mine.mean(0).astype(np.uint8) if len(mine) else np.zeros(faces.images.shape[1:], np.uint8)


def _save(pictures: dict[str, Figure], folder: Path) -> list[Path]:
    paths = []
    for name, figure in pictures.items():
        path = folder / FIGURES / f"{name}.png"
        figures.save(figure, path)
        paths.append(path)
    return paths

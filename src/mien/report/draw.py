"""Which pictures each stage leaves in a run folder's `figures/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien import atomic
from mien.data.dataset import Dataset, Split
from mien.evaluate.comparison import Comparison
from mien.evaluate.evaluation import Evaluation
from mien.explain.heat import MethodChoice, choose_method, has_gradients, heat_maps
from mien.explain.sanity import cascade, sanity_csv, sanity_file
from mien.explain.study import CHECKED, answer_title, group_maps, some_answers
from mien.models.model import Model
from mien.records.figures import DISAGREEMENTS, FIGURES, HEAT_FIGURES, METHODS
from mien.records.recipe import Augment
from mien.report import figures
from mien.train.trainer import Epoch

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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


def draw_training(history: Sequence[Epoch], kept: Epoch, folder: Path) -> list[Path]:
    """How training went."""
    return _save({"learning_curves": figures.learning_curves(history, kept)}, folder)


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


def forget_heatmaps(folder: Path) -> None:
    """Remove what was explained in `folder`: it would stand beside the scores of another evaluation."""
    for name in HEAT_FIGURES:
        (folder / FIGURES / f"{name}.png").unlink(missing_ok=True)
    for method in METHODS:
        (folder / sanity_file(method)).unlink(missing_ok=True)


def draw_comparison(comparison: Comparison, faces: Dataset | None, folder: Path, seed: int = 0) -> list[Path]:
    """Faces on which models disagree; `faces` holds those that were compared, in any order. Without them no picture
    is left, nor that of an earlier comparison.
    """
    if faces is None:
        (folder / FIGURES / f"{DISAGREEMENTS}.png").unlink(missing_ok=True)
        return []
    place = {path: i for i, path in enumerate(faces.paths)}
    images = faces.images[[place[path] for path in comparison.paths]]
    return _save({DISAGREEMENTS: figures.disagreements(comparison, images, seed)}, folder)


def draw_heatmaps(
    model: Model, evaluation: Evaluation, folder: Path, method: MethodChoice = "auto", seed: int = 0
) -> list[Path]:
    """Where the model looks: single answers, right and wrong, and the mean map of each class and of the commonest
    confusions. Raises ModelError where Grad-CAM is wanted of a model without gradients.
    """
    how = choose_method(model, method)
    faces, answers = evaluation.faces, evaluation.predicted
    shown = some_answers(evaluation, seed)
    maps = heat_maps(model, faces.images[shown], answers[shown], how)
    titles = [answer_title(evaluation, i) for i in shown]
    pictures = {
        f"{how}_predictions": figures.heatmaps(faces.images[shown], maps, titles, evaluation.right[shown]),
        f"{how}_classes": figures.group_heatmaps(group_maps(model, evaluation, how, seed)),
    }
    return _save(pictures, folder)


def draw_sanity(
    model: Model, evaluation: Evaluation, folder: Path, method: MethodChoice = "auto", seed: int = 0
) -> list[Path]:
    """Whether the maps change when the network forgets what it has learned; nothing where torch does not run it."""
    if not has_gradients(model):
        return []
    how = choose_method(model, method)
    chosen = np.random.default_rng(seed).permutation(len(evaluation.faces))[: CHECKED[how]]
    faces = evaluation.faces.images[chosen]
    stages = cascade(model, faces, evaluation.predicted[chosen], how, seed)
    atomic.write_text(folder / sanity_file(how), sanity_csv(stages))
    return _save({f"{how}_sanity": figures.sanity(faces, stages)}, folder)


def _save(pictures: dict[str, Figure], folder: Path) -> list[Path]:
    paths = []
    for name, figure in pictures.items():
        path = folder / FIGURES / f"{name}.png"
        figures.save(figure, path)
        paths.append(path)
    return paths

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
from mien.explain.heat import Method, Wanted, choose_method, groups, has_gradients, heat_maps
from mien.explain.sanity import cascade, sanity_csv, sanity_file
from mien.models.model import Model, predict_proba
from mien.report import figures
from mien.report.content import DISAGREEMENTS, FIGURES, HEAT_FIGURES, METHODS
from mien.train.augment import Augment
from mien.train.trainer import Epoch

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

_HEATMAPS = 6  # right and wrong answers shown, of each
_PAIRS = 5  # confusions whose mean map is shown
# Faces of a group, and of the sanity check: occlusion asks for 82 predictions a face.
_AVERAGED: dict[Method, int] = {"gradcam": 200, "occlusion": 20}
_CHECKED: dict[Method, int] = {"gradcam": 64, "occlusion": 8}


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
    model: Model, evaluation: Evaluation, folder: Path, method: Wanted = "auto", seed: int = 0
) -> list[Path]:
    """Where the model looks: single answers, right and wrong, and the mean map of each class and of the commonest
    confusions. Raises ModelError where Grad-CAM is wanted of a model without gradients.
    """
    how = choose_method(model, method)
    faces, answers = evaluation.faces, evaluation.predicted
    shown = _some(evaluation, seed)
    maps = heat_maps(model, faces.images[shown], answers[shown], how)
    titles = [_title(evaluation, i) for i in shown]
    pictures = {
        f"{how}_predictions": figures.heatmaps(faces.images[shown], maps, titles, evaluation.right[shown]),
        f"{how}_classes": _mean_maps(model, evaluation, how, seed),
    }
    return _save(pictures, folder)


def draw_sanity(
    model: Model, evaluation: Evaluation, folder: Path, method: Wanted = "auto", seed: int = 0
) -> list[Path]:
    """Whether the maps change when the network forgets what it has learned; nothing where torch does not run it."""
    if not has_gradients(model):
        return []
    how = choose_method(model, method)
    chosen = np.random.default_rng(seed).permutation(len(evaluation.faces))[: _CHECKED[how]]
    faces = evaluation.faces.images[chosen]
    stages = cascade(model, faces, evaluation.predicted[chosen], how, seed)
    atomic.write_text(folder / sanity_file(how), sanity_csv(stages))
    return _save({f"{how}_sanity": figures.sanity(faces, stages)}, folder)


def draw_photo(model: Model, faces: NDArray[np.uint8], folder: Path, name: str, method: Wanted = "auto") -> list[Path]:
    """Where the model looks on the faces of a photo, gray squares uint8 [N, S, S]."""
    probabilities = predict_proba(model, faces)
    maps = heat_maps(model, faces, probabilities.argmax(1), choose_method(model, method))
    return _save({name: figures.photo_heatmaps(faces, maps, probabilities, model.classes)}, folder)


def _mean_maps(model: Model, evaluation: Evaluation, method: Method, seed: int) -> Figure:
    """The mean face and map of each class's right answers and of the commonest confusions."""
    faces, rng = evaluation.faces, np.random.default_rng(seed)
    everybody = groups(faces.labels, evaluation.predicted, len(faces.classes), _PAIRS)
    chosen = [group._replace(members=rng.permutation(group.members)[: _AVERAGED[method]]) for group in everybody]
    images = [faces.images[few] for *_, few in chosen]
    maps = [heat_maps(model, faces.images[few], evaluation.predicted[few], method) for *_, few in chosen]
    titles = [(faces.classes[truth], faces.classes[answer], len(few)) for truth, answer, few in chosen]
    return figures.group_heatmaps([few.mean(0) for few in images], [few.mean(0) for few in maps], titles)


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


def _save(pictures: dict[str, Figure], folder: Path) -> list[Path]:
    paths = []
    for name, figure in pictures.items():
        path = folder / FIGURES / f"{name}.png"
        figures.save(figure, path)
        paths.append(path)
    return paths

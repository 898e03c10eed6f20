"""Which pictures each command leaves in a folder's `figures/`; all is drawn from values computed before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mien.records.evaluation import EvaluationRecord
from mien.records.figures import DISAGREEMENTS, FIGURES, HEAT_FIGURES, METHODS, sanity_file
from mien.records.recipe import Augment
from mien.records.run import Epoch
from mien.report import figures
from mien.report.tables import title

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset, Split
    from mien.evaluate.comparison import Comparison
    from mien.evaluate.curves import CoverageCurve
    from mien.evaluate.evaluation import Evaluation
    from mien.evaluate.reliability import Reliability
    from mien.explain.study import SanityCheck, Study


def draw_data(
    split: Split, examples: Mapping[str, NDArray[np.uint8]], augment: Augment, folder: Path, *, data: str, seed: int = 0
) -> list[Path]:
    """What the data look like: bars, pies, faces and mean face per class, and `examples` augmented by `augment`."""
    pictures = {
        "class_bars": figures.class_bars(split),
        "class_pies": figures.class_pies(split),
        "augmentations": figures.augmentations(examples, augment),
        "faces_per_class": figures.faces_per_class(split.train, seed),
        "mean_faces": figures.mean_faces(split.train),
    }
    everything = f"{data} (n = {sum(map(len, split.parts().values())):,})"
    train = f"{data} (train, n = {len(split.train):,})"
    heads = {name: everything if name.startswith("class") else train for name in pictures}
    return [_save(figure, folder, name, heads[name]) for name, figure in pictures.items()]


def draw_training(history: Sequence[Epoch], best: Epoch, folder: Path, *, head: str) -> list[Path]:
    """How training went; `head` names the run."""
    return [_save(figures.learning_curves(history, best), folder, "learning_curves", head)]


def draw_evaluation(
    evaluation: Evaluation,
    record: EvaluationRecord,
    reliability: Reliability,
    coverage: CoverageCurve,
    folder: Path,
    seed: int = 0,
) -> list[Path]:
    """How good and how sure the predictions are, and which are wrong; on corrupted faces too, if that was measured."""
    pictures = {
        "confusion": figures.confusion(record),
        "class_scores": figures.class_scores(record),
        "ten_predictions": figures.ten_predictions(evaluation, seed),
        "confident_mistakes": figures.confident_mistakes(evaluation),
        "class_curves": figures.class_curves(evaluation.curves),
        "reliability": figures.reliability(reliability, record),
        "coverage": figures.coverage(coverage, record),
    }
    if record.corruptions:
        pictures["corruptions"] = figures.corruptions(record.corruptions, record.accuracy)
    else:  # an earlier evaluation's would not belong to these scores
        (folder / FIGURES / "corruptions.png").unlink(missing_ok=True)
    head = title(record.model, record.data, record.split, record.n)
    return [_save(figure, folder, name, head) for name, figure in pictures.items()]


def forget_heatmaps(folder: Path) -> None:
    """Remove what was explained in `folder`: it would stand beside the scores of another evaluation."""
    for name in HEAT_FIGURES:
        (folder / FIGURES / f"{name}.png").unlink(missing_ok=True)
    for method in METHODS:
        (folder / sanity_file(method)).unlink(missing_ok=True)


def draw_comparison(
    comparison: Comparison, faces: Dataset | None, folder: Path, *, head: str, seed: int = 0
) -> list[Path]:
    """Faces on which models disagree; `faces` holds those that were compared, in any order. Without them no picture
    is left, nor that of an earlier comparison.
    """
    if faces is None:
        (folder / FIGURES / f"{DISAGREEMENTS}.png").unlink(missing_ok=True)
        return []
    index = {path: i for i, path in enumerate(faces.paths)}
    images = faces.images[[index[path] for path in comparison.paths]]
    return [_save(figures.disagreements(comparison, images, seed), folder, DISAGREEMENTS, head)]


def draw_study(study: Study, folder: Path, *, head: str) -> list[Path]:
    """Where the model looks: single predictions, and the mean maps of classes and of common confusions."""
    return [
        _save(figures.heatmaps(study), folder, f"{study.method}_predictions", head),
        _save(figures.group_heatmaps(study.groups), folder, f"{study.method}_classes", head),
    ]


def draw_check(check: SanityCheck, folder: Path, *, head: str) -> list[Path]:
    """Whether the maps change as the network loses its weights."""
    return [_save(figures.sanity(check), folder, f"{check.method}_sanity", head)]


def _save(figure: Figure, folder: Path, name: str, head: str) -> Path:
    path = folder / FIGURES / f"{name}.png"
    figures.save(figure, path, head)
    return path

"""The pictures.

    data          class_bars, class_pies, augmentations, faces_per_class, mean_faces
    training      learning_curves
    evaluation    confusion, class_scores, ten_predictions, confident_mistakes
    scores        class_curves, reliability, coverage, corruptions
    comparison    disagreements
    explanation   heatmaps, group_heatmaps, sanity
    style         colours, frames and fonts, stated once

Each function takes plain data and returns a matplotlib Figure; `save` writes it as PNG.
"""

from mien.report.figures.comparison import disagreements
from mien.report.figures.data import augmentations, class_bars, class_pies, faces_per_class, mean_faces
from mien.report.figures.evaluation import class_scores, confident_mistakes, confusion, ten_predictions
from mien.report.figures.explanation import group_heatmaps, heatmaps, sanity
from mien.report.figures.scores import class_curves, corruptions, coverage, reliability
from mien.report.figures.style import save
from mien.report.figures.training import learning_curves

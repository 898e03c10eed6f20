"""The names of the figures that commands draw."""

from __future__ import annotations

from typing import Literal

Method = Literal["gradcam", "occlusion"]

FIGURES = "figures"
DATA_FIGURES = ("class_bars", "class_pies", "faces_per_class", "augmentations", "mean_faces")
TRAINING_FIGURES = ("learning_curves",)


RESULT_FIGURES = (
    "class_scores",
    "class_curves",
    "reliability",
    "coverage",
    "confusion",
    "ten_predictions",
    "confident_mistakes",
    "corruptions",
)


METHODS: tuple[Method, ...] = ("gradcam", "occlusion")
HEAT_FIGURES = tuple(f"{method}_{kind}" for method in METHODS for kind in ("predictions", "classes", "sanity"))
DISAGREEMENTS = "disagreements"
ALL_FIGURES = DATA_FIGURES + TRAINING_FIGURES + RESULT_FIGURES + HEAT_FIGURES

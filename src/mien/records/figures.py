"""The names of the figures that commands draw, and of the folder they are in."""

from __future__ import annotations

from typing import Literal

Method = Literal["gradcam", "occlusion"]

FIGURES = "figures"
METHODS: tuple[Method, ...] = ("gradcam", "occlusion")
DATA_FIGURES = ("class_bars", "class_pies", "faces_per_class", "augmentations", "mean_faces")
TRAINING_FIGURES = ("learning_curves",)
RESULT_FIGURES = (
    "class_scores", "class_curves", "reliability", "coverage", "confusion", "ten_predictions", "confident_mistakes",
    "corruptions",
)  # fmt: skip
HEAT_FIGURES = tuple(f"{method}_{kind}" for method in METHODS for kind in ("predictions", "classes", "sanity"))
DISAGREEMENTS = "disagreements"
ALL_FIGURES = DATA_FIGURES + TRAINING_FIGURES + RESULT_FIGURES + HEAT_FIGURES


def sanity_file(method: Method) -> str:
    """The name of the table that keeps the sanity check of that method's maps."""
    return f"{method}_sanity.csv"

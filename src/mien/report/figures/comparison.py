"""On which faces models disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mien.report.figures import style

if TYPE_CHECKING:
    from mien.evaluate.comparison import Comparison

_SHOWN = 7  # faces a row


def disagreements(comparison: Comparison, images: NDArray[np.uint8], seed: int) -> Figure:
    """For each model faces that only it gets right, or, of three or more, wrong; and faces that all get wrong, but not
    alike; drawn from `seed`.

    images: uint8 [N, S, S], in the order of the comparison's faces. Models are numbered in their order.
    """
    rng = np.random.default_rng(seed)
    groups = [(title, rng.permutation(faces)[:_SHOWN]) for title, faces in _groups(comparison) if len(faces)]
    if not groups:
        return style.sentence("No face is right for one model only, and none is mistaken in different ways.")
    height = style.FACE + 0.16 * len(comparison.models) + 0.6
    figure = style.new_figure(_SHOWN * 1.4, len(groups) * height + 0.5)
    for row, (title, chosen) in zip(figure.subfigures(len(groups), 1, squeeze=False).flat, groups, strict=True):
        row.suptitle(title, fontsize=style.TEXT, color=style.INK, x=0.01, ha="left", weight="bold")
        row_of_axes = row.subplots(1, _SHOWN)
        for axes in row_of_axes:
            axes.set_axis_off()
        for axes, i in zip(row_of_axes, chosen, strict=False):
            style.show_face(axes, images[i])
            axes.set_title(_said(comparison, int(i)), fontsize=style.SMALL, color=style.INK, linespacing=1.15)
    style.note(figure, "; ".join(f"{m}: {style.name(one.model, 60)}" for m, one in enumerate(comparison.models, 1)))
    return figure


def _groups(comparison: Comparison) -> list[tuple[str, NDArray[np.int64]]]:
    """Titles, and the indices of the faces that belong below them."""
    right = comparison.answers == comparison.labels
    alone = right & (right.sum(0) == 1)
    groups = [(f"only model {m} is right", np.flatnonzero(mine)) for m, mine in enumerate(alone, 1)]
    if len(right) > 2:
        astray = ~right & (right.sum(0) == len(right) - 1)
        groups += [(f"only model {m} is wrong", np.flatnonzero(mine)) for m, mine in enumerate(astray, 1)]
    apart = ~right.any(0) & (comparison.answers != comparison.answers[0]).any(0)
    groups.append(("all wrong, in different ways", np.flatnonzero(apart)))
    return [(f"{title}: {len(faces):,} faces", faces) for title, faces in groups]


def _said(comparison: Comparison, i: int) -> str:
    """The label of a face, and each model's answer, a line each."""
    classes, label = comparison.classes, comparison.labels[i]
    answers = [
        f"{style.mark(k == label)} {m}: {style.name(classes[k])}" for m, k in enumerate(comparison.answers[:, i], 1)
    ]
    return "\n".join([f"label: {style.name(classes[label])}", *answers])

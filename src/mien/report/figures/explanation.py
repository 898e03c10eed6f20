"""Where a model looks: heat maps over faces, and whether they can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mien.report.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mien.explain.sanity import Stage
    from mien.explain.study import GroupMap, SanityCheck, Study

_SIDE = 1.25  # inches, a face
_HEAT = "inferno"
_EXAMPLES = 3  # faces shown beside the check
_READ_AS = "the brighter, the more a region counts for the predicted class"


def heatmaps(study: Study) -> Figure:
    """Each face beside itself under its heat map, framed in green where the prediction is right, in red where not."""
    if not len(study.faces):
        return style.sentence("There are no faces to explain.")
    columns = min(3, len(study.faces))
    rows = -(-len(study.faces) // columns)
    figure = style.new_figure(columns * (2 * _SIDE + 0.5), rows * (_SIDE + 0.5) + 0.3)
    pairs = figure.subfigures(rows, columns, squeeze=False).flat
    for pair, face, heat, title, ok in zip(
        pairs, study.faces, study.maps, study.titles, study.right.tolist(), strict=False
    ):
        plain_face, heated = pair.subplots(1, 2)
        style.show_face(plain_face, face)
        _overlay(heated, face, heat)
        style.frame(plain_face, style.verdict(ok))
        style.frame(heated, style.verdict(ok))
        pair.suptitle(f"{style.mark(ok)} {style.name(title, 34)}", fontsize=style.TEXT, color=style.verdict(ok))
    style.note(figure, f"label → prediction where they differ; {_READ_AS}")
    return figure


def group_heatmaps(groups: Sequence[GroupMap]) -> Figure:
    """The mean face of each group under the mean of its heat maps; each map scaled to its own maximum."""
    if not groups:
        return style.sentence("There are no faces to explain.")
    columns = min(len(groups), 6)
    figure = style.new_figure(max(columns, 3) * 1.55, -(-len(groups) // columns) * 1.95 + 0.25)
    for axes, group in zip(style.cells(figure, len(groups), columns), groups, strict=True):
        _overlay(axes, group.face, group.map)
        right = group.truth == group.answer
        title = f"{style.name(group.truth)}\n→ {style.name(group.answer)} {style.mark(right)}\nn = {group.count:,}"
        axes.set_title(title, fontsize=style.SMALL, color=style.verdict(right))
    style.note(figure, _READ_AS)
    return figure


def sanity(check: SanityCheck) -> Figure:
    """A few faces and their maps while the layers are shuffled from the output down, and how alike the maps remain."""
    faces, stages = check.faces, check.stages
    shown = min(_EXAMPLES, len(faces))
    columns = len(stages) + 1
    figure = style.new_figure(max(6.0, columns * 1.0), shown * 1.0 + 2.6)
    grid = figure.add_gridspec(shown + 1, columns, height_ratios=[*[1.0] * shown, 1.7])
    for row in range(shown):
        style.show_face(figure.add_subplot(grid[row, 0]), faces[row])
        for column, stage in enumerate(stages, start=1):
            axes = figure.add_subplot(grid[row, column])
            _overlay(axes, faces[row], stage.maps[row])
            if row == 0:
                axes.set_title(stage.layer, fontsize=style.SMALL, color=style.INK)
    _likeness(figure.add_subplot(grid[shown, 1:]), stages)
    style.note(figure, "shuffled: the layers from the output down to the one named; bars: the middle 80 % of the faces")
    return figure


def _likeness(axes: Axes, stages: Sequence[Stage]) -> None:
    """The mean rank correlation of each stage, and the span of the middle 80 % of the faces."""
    columns = range(len(stages))
    low, high = np.array([np.percentile(stage.likeness, (10, 90)) for stage in stages]).T
    axes.vlines(columns, low, high, color=style.MUTED, alpha=0.4, linewidth=5)
    axes.plot(columns, [stage.likeness.mean() for stage in stages], color=style.INK, marker="o")
    style.plain(axes)
    axes.axhline(0, color=style.MUTED, linewidth=0.8)
    axes.set(xlim=(-0.5, len(stages) - 0.5), ylim=(-1.05, 1.1), yticks=(-1, 0, 1))
    axes.set_xticks([])
    axes.set_ylabel("rank correlation\nwith the first map", fontsize=style.SMALL, color=style.INK)


def _overlay(axes: Axes, face: NDArray[np.integer] | NDArray[np.floating], heat: NDArray[np.floating]) -> None:
    """A face with heat [S, S] over it, scaled to its maximum: where there is none the face shows through."""
    style.show_face(axes, face)
    heat = heat.clip(0) / max(float(heat.max()), 1e-12)
    axes.imshow(heat, cmap=_HEAT, vmin=0, vmax=1, alpha=0.75 * heat, interpolation="bilinear")
    style.bare(axes)

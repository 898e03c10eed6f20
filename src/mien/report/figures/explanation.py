"""Where the network looks: heat maps laid over faces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mien.report.figures.style import (
    INK,
    TEXT,
    bare,
    cells,
    frame,
    mark,
    name,
    new_figure,
    note,
    sentence,
    show_face,
    verdict,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

_SIDE = 1.25  # inches, a face
_HEAT = "inferno"
_READ_AS = "the brighter and yellower, the more a place speaks for the answer"


def heatmaps(
    faces: NDArray[np.uint8],
    maps: NDArray[np.floating],
    titles: Sequence[str],
    right: Sequence[bool] | NDArray[np.bool_],
) -> Figure:
    """Each face beside itself under its heat map, framed in green where the answer was right, in red where not.

    faces: [N, S, S]; maps: [N, S, S] in [0, 1]; titles: what was answered.
    """
    if not len(faces):
        return sentence("There are no faces to explain.")
    columns = min(3, len(faces))
    rows = -(-len(faces) // columns)
    figure = new_figure(columns * (2 * _SIDE + 0.5), rows * (_SIDE + 0.5) + 0.3)
    pairs = figure.subfigures(rows, columns, squeeze=False).flat
    for pair, face, heat, title, ok in zip(pairs, faces, maps, titles, right, strict=False):
        plain, heated = pair.subplots(1, 2)
        show_face(plain, face)
        _overlay(heated, face, heat)
        frame(plain, verdict(ok))
        frame(heated, verdict(ok))
        pair.suptitle(f"{mark(ok)} {name(title, 34)}", fontsize=TEXT, color=verdict(ok))
    note(figure, _READ_AS)
    return figure


def class_heatmaps(
    faces_mean: NDArray[np.integer] | NDArray[np.floating], maps_mean: NDArray[np.floating], classes: Sequence[str]
) -> Figure:
    """The mean face of each class under the mean of its heat maps; each map scaled to its own maximum.

    faces_mean: [K, S, S], 0 to 255; maps_mean: [K, S, S].
    """
    columns = min(len(classes), 7)
    figure = new_figure(columns * 1.3, -(-len(classes) // columns) * 1.55 + 0.25)
    grid = cells(figure, len(classes), columns)
    for axes, face, heat, label in zip(grid, faces_mean, maps_mean, classes, strict=True):
        _overlay(axes, face, heat / max(float(heat.max()), 1e-12))
        axes.set_title(name(label), fontsize=TEXT, color=INK)
    note(figure, _READ_AS)
    return figure


def _overlay(axes: Axes, face: NDArray[np.integer] | NDArray[np.floating], heat: NDArray[np.floating]) -> None:
    """A face with heat [S, S] in [0, 1] over it: where there is none the face shows through."""
    show_face(axes, face)
    axes.imshow(heat, cmap=_HEAT, vmin=0, vmax=1, alpha=np.clip(0.75 * heat, 0, 1), interpolation="bilinear")
    bare(axes)

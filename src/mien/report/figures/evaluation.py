"""How good the predictions are, and which of them are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mien.colours import class_colour
from mien.percent import percent
from mien.records.evaluation import Scores
from mien.report.figures import style
from mien.report.tables import whole_percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mien.evaluate.evaluation import Evaluation

_FEW = 10  # classes; with more, cells and letters of the confusion matrix shrink
_MISTAKES = 24
_MARKERS = {"precision": "o", "recall": "s", "F1": "d"}


def confusion(scores: Scores) -> Figure:
    """The confusion matrix: in each cell the share of the row's faces, which colours it, and their number."""
    counts, classes = np.array(scores.confusion), list(scores.per_class)
    totals = counts.sum(1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    cell, size = (0.8, style.TEXT) if len(classes) <= _FEW else (0.42, 5.5)
    figure = style.new_figure(len(classes) * cell + 1.3, len(classes) * cell + 1.2)
    axes = figure.subplots()
    axes.imshow(shares, cmap=style.BLUES, vmin=0, vmax=1, aspect="equal")
    for (row, column), share in np.ndenumerate(shares):
        empty = "0" if len(classes) <= _FEW else ""
        text = f"{whole_percent(share)}\n{counts[row, column]:,}" if counts[row, column] else empty
        colour = "white" if share > 0.4 else style.INK
        cell_text = axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)
        cell_text.set_in_layout(False)  # it is inside its cell, and asking thousands takes long
    _name_classes(axes, classes, cell)
    style.note(figure, "share of the faces of the row, and their number")
    return figure


def class_scores(scores: Scores) -> Figure:
    """Precision, recall and F1 of each class, best F1 first; the shape tells them apart, the colour the class."""
    present = [k for k, one in enumerate(scores.per_class.values()) if one.support]
    labels, rows = list(scores.per_class), list(scores.per_class.values())
    present.sort(key=lambda k: -rows[k].f1)
    figure = style.new_figure(6.6, 1.3 + 0.36 * (len(present) + 1))
    axes = figure.subplots()
    for line, k in enumerate(present):
        _score_line(axes, line, (rows[k].precision, rows[k].recall, rows[k].f1), class_colour(k))
    _score_line(axes, len(present), (scores.macro_precision, scores.macro_recall, scores.macro_f1), style.INK)
    names = [f"{style.name(labels[k], 20)} (n = {rows[k].support:,})" for k in present]
    style.plain(axes)
    axes.set_yticks(range(len(present) + 1), [*names, f"macro average of {len(present)}"])
    axes.set(xlim=(-0.03, 1.03), ylim=(len(present) + 0.5, -0.5))
    axes.tick_params(axis="y", length=0, labelsize=style.TEXT)
    shapes = [
        Line2D([], [], color=style.MUTED, marker=shape, linestyle="", label=key) for key, shape in _MARKERS.items()
    ]
    figure.legend(handles=shapes, loc="outside lower center", ncols=3, fontsize=style.TEXT, frameon=False)
    return figure


def ten_predictions(evaluation: Evaluation, seed: int) -> Figure:
    """Five right predictions, framed in green, and five wrong ones, in red; fewer where there are fewer."""
    rng = np.random.default_rng(seed)
    right = rng.permutation(np.flatnonzero(evaluation.right))[:5]
    wrong = rng.permutation(np.flatnonzero(~evaluation.right))[:5]
    lines = [chosen for chosen in (right, wrong) if len(chosen)]
    figure = style.new_figure(9.2, 2.3 * len(lines))
    grid = figure.subplots(len(lines), 5, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for line, chosen in zip(grid, lines, strict=True):
        for axes, i in zip(line, chosen, strict=False):
            truth, answer, sure = _answer(evaluation, int(i))
            right = bool(evaluation.right[i])
            colour = style.verdict(right)
            axes.set_axis_on()
            style.show_face(axes, evaluation.faces.images[i])
            style.frame(axes, colour)
            axes.set_title(f"{style.mark(right)} {answer}, {sure}\nlabel: {truth}", fontsize=style.TEXT, color=colour)
    return figure


def confident_mistakes(evaluation: Evaluation) -> Figure:
    """The wrong predictions with the highest confidence, at most 24; of copies of one face the first."""
    chosen = evaluation.confident_mistakes(_MISTAKES)
    if not len(chosen):
        return style.sentence(f"No mistakes among {len(evaluation.faces):,} faces.")
    columns = min(6, len(chosen))
    figure = style.new_figure(max(columns * 1.55, 3.2), -(-len(chosen) // columns) * (style.FACE + 0.75) + 0.3)
    for axes, i in zip(style.cells(figure, len(chosen), columns), chosen, strict=True):
        truth, answer, sure = _answer(evaluation, int(i))
        style.show_face(axes, evaluation.faces.images[i])
        axes.set_title(f"{truth}\n→ {answer}, {sure}", fontsize=style.SMALL, color=style.INK)
    style.note(figure, "label → prediction, confidence")
    return figure


def _score_line(axes: Axes, height: int, values: tuple[float, float, float], colour: str) -> None:
    axes.text(1.05, height, f"F1 {values[2]:.2f}", va="center", fontsize=style.TEXT, color=style.INK)
    axes.plot([min(values), max(values)], [height, height], color=style.FAINT, linewidth=3, zorder=1)
    for value, shape in zip(values, _MARKERS.values(), strict=True):
        axes.plot([value], [height], marker=shape, color=colour, markersize=8, markeredgecolor="white", linestyle="")


def _answer(evaluation: Evaluation, i: int) -> tuple[str, str, str]:
    """Label, prediction and confidence of one face, for print."""
    classes = evaluation.faces.classes
    truth, answer = classes[evaluation.faces.labels[i]], classes[evaluation.predicted[i]]
    return style.name(truth), style.name(answer), percent(float(evaluation.confidence[i]))


def _name_classes(axes: Axes, classes: Sequence[str], cell: float) -> None:
    names = [style.name(label) for label in classes]
    ticks = range(len(names))
    turn, side = (45, "right") if max(map(len, names)) * 0.09 > cell else (0, "center")
    axes.set_xticks(ticks, names, rotation=turn, ha=side, rotation_mode="anchor")
    axes.set_yticks(ticks, names)
    axes.tick_params(length=0, labelsize=style.TEXT, labelcolor=style.INK)
    style.name_axes(axes, "predicted", "true", style.TITLE)
    axes.spines[:].set_color(style.FAINT)

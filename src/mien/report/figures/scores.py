"""How good the predictions are at every threshold, how well they are calibrated, and what corruptions do to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mien.colours import class_colour
from mien.records.evaluation import CorruptionScores, EvaluationRecord
from mien.report.figures import style
from mien.report.tables import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mien.evaluate.curves import ClassCurves, CoverageCurve
    from mien.evaluate.reliability import Reliability

_LINE = "#0072B2"
_STYLES = ("-", "--", "-.", ":")  # colour is not the only sign
_SHARES = PercentFormatter(1, decimals=0, symbol=" %")


def class_curves(curves: Mapping[str, ClassCurves]) -> Figure:
    """Precision over recall, and the ROC curve, of each class against the rest, with the areas in the legend."""
    columns = 2
    figure = style.new_figure(8.6, 4.3 + 0.19 * -(-len(curves) // columns))
    left, right = figure.subplots(1, 2)
    lines = []
    for k, (label, both) in enumerate(curves.items()):
        for axes, curve in zip((left, right), both, strict=True):
            x, y = (curve.x, curve.y) if curve else ([], [])
            lines += axes.plot(x, y, color=class_colour(k), linestyle=_STYLES[k % len(_STYLES)], linewidth=1.6)
        lines[-1].set_label(f"{style.name(label, 20)}: {_areas(both)}")
    right.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.8, linestyle=(0, (1, 3)))
    for axes, across, up in ((left, "recall", "precision"), (right, "false positive rate", "true positive rate")):
        _unit_square(axes, across, up)
    figure.legend(handles=lines[1::2], loc="outside lower center", ncols=columns, fontsize=style.SMALL, frameon=False)
    return figure


def reliability(bins: Reliability, record: EvaluationRecord) -> Figure:
    """Accuracy by confidence, bin by bin, with 95 % intervals; below, how many predictions each bin holds."""
    low, high = record.ece_if_calibrated_95
    figure = style.new_figure(5.2, 5.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    upper.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.9, linestyle="--")
    upper.vlines(bins.confidence, *bins.accuracy_ci95.T, color=_LINE, linewidth=1.4)
    upper.plot(bins.confidence, bins.accuracy, "o", color=_LINE, markersize=5)
    _unit_square(upper, "", "accuracy")
    edges = np.linspace(0, 1, len(bins.counts) + 1)
    lower.bar(edges[:-1], bins.counts, np.diff(edges), align="edge", color=_LINE, edgecolor="white", linewidth=0.8)
    style.plain(lower)
    style.name_axes(lower, "confidence", "faces")
    lower.locator_params(axis="y", nbins=3)
    style.note(
        figure,
        f"expected calibration error {record.ece:.3f}; by chance alone a perfectly calibrated model would show "
        f"{record.ece_if_calibrated:.3f} ({low:.3f} to {high:.3f}) on {record.n:,} faces",
    )
    return figure


def coverage(curve: CoverageCurve, record: EvaluationRecord) -> Figure:
    """Accuracy if only the most confident predictions count, by their share, with its 95 % interval."""
    figure = style.new_figure(5.2, 3.9)
    axes = figure.subplots()
    axes.fill_between(curve.coverage, *curve.accuracy_ci95.T, color=_LINE, alpha=0.18, linewidth=0)
    axes.plot(curve.coverage, curve.accuracy, color=_LINE, linewidth=1.8)
    chosen = record.at_80_coverage
    for share, value in ((chosen.n / record.n, chosen.accuracy), (1.0, record.accuracy)):
        axes.plot([share], [value], "o", color=style.INK, markersize=5, clip_on=False, zorder=3)
        axes.annotate(
            percent(value), (share, value), (-4, -7), textcoords="offset points",
            ha="right", va="top", fontsize=style.TEXT, color=style.INK,
        )  # fmt: skip
    style.plain(axes)
    axes.set(xlim=(0, 1), ylim=(max(0, float(curve.accuracy_ci95.min()) - 0.12), 1.01))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_SHARES)
    style.name_axes(axes, "coverage, the most confident first", "accuracy")
    style.note(figure, "band: 95 % interval; dots: 80 % coverage, and all predictions")
    return figure


def corruptions(scores: CorruptionScores, clean: float) -> Figure:
    """Accuracy on corrupted faces, a row a kind and a column a strength; the paler, the more of `clean` is lost."""
    accuracies = np.array(list(scores.accuracy.values()))
    relative = accuracies / clean if clean else np.zeros_like(accuracies)
    figure = style.new_figure(5.6, 6.2)
    axes = figure.subplots()
    axes.imshow(relative, cmap=style.BLUES, vmin=0, vmax=1.15, aspect="auto")
    for (row, column), accuracy in np.ndenumerate(accuracies):
        colour = "white" if relative[row, column] > 0.46 else style.INK
        text = axes.text(
            column, row, f"{accuracy * 100:.1f}", ha="center", va="center", fontsize=style.TEXT, color=colour
        )
        text.set_in_layout(False)
    axes.set_xticks(range(accuracies.shape[1]), [str(1 + i) for i in range(accuracies.shape[1])])
    axes.set_yticks(range(len(accuracies)), list(scores.accuracy))
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=style.TEXT, labelcolor=style.INK)
    axes.set_title("strength of the corruption", fontsize=style.TITLE - 1, color=style.INK)
    axes.spines[:].set_color(style.FAINT)
    style.note(
        figure,
        f"accuracy in per cent; {clean * 100:.1f} on clean faces; "
        f"the mean of all cells is {percent(scores.mean_relative_accuracy)} of that",
    )
    return figure


def _areas(curves: ClassCurves) -> str:
    if curves.precision_recall is None or curves.roc is None:
        return "not defined"
    return f"average precision {curves.precision_recall.area:.2f}, ROC area {curves.roc.area:.2f}"


def _unit_square(axes: Axes, across: str, up: str) -> None:
    style.plain(axes)
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    style.name_axes(axes, across, up)

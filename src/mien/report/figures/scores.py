"""How good the answers are at every threshold, how far confidence can be trusted, and what damage does to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from mien.colours import class_colour
from mien.evaluate.corruptions import KINDS, STRENGTHS
from mien.evaluate.curves import Curve, accuracy_by_coverage, kept, precision_recall, roc
from mien.evaluate.evaluation import COVERAGE
from mien.evaluate.intervals import wilson
from mien.evaluate.reliability import error_if_calibrated, reliability_bins
from mien.report.figures.style import (
    BLUES,
    FAINT,
    INK,
    MUTED,
    SMALL,
    TEXT,
    TITLE,
    name,
    new_figure,
    note,
    percent,
    plain,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mien.evaluate.evaluation import Evaluation
    from mien.evaluate.robustness import Robustness

_LINE = "#0072B2"
_STYLES = ("-", "--", "-.", ":")  # colour is not the only sign
_SHARES = PercentFormatter(1, decimals=0, symbol=" %")


def class_curves(evaluation: Evaluation) -> Figure:
    """Precision over recall, and the ROC curve, of each class against the rest, with the areas in the legend."""
    answers, labels, classes = evaluation.probabilities, evaluation.faces.labels, evaluation.faces.classes
    columns = 2
    figure = new_figure(8.6, 4.3 + 0.19 * -(-len(classes) // columns))
    left, right = figure.subplots(1, 2)
    lines = []
    for k, label in enumerate(classes):
        both = precision_recall(answers, labels, k), roc(answers, labels, k)
        for axes, curve in zip((left, right), both, strict=True):
            x, y = (curve.x, curve.y) if curve else ([], [])
            lines += axes.plot(x, y, color=class_colour(k), linestyle=_STYLES[k % len(_STYLES)], linewidth=1.6)
        lines[-1].set_label(f"{name(label, 20)}: {_areas(*both)}")
    right.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (1, 3)))
    for axes, across, up in ((left, "recall", "precision"), (right, "false positive rate", "true positive rate")):
        _unit_square(axes, across, up)
    figure.legend(handles=lines[1::2], loc="outside lower center", ncols=columns, fontsize=SMALL, frameon=False)
    return figure


def reliability(evaluation: Evaluation) -> Figure:
    """How many of the answers given with a confidence are right, bin by bin, with 95 % intervals; below, how many."""
    bins = reliability_bins(evaluation.probabilities, evaluation.faces.labels)
    calibrated, (low, high) = error_if_calibrated(evaluation.probabilities)
    figure = new_figure(5.2, 5.6)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    upper.plot([0, 1], [0, 1], color=MUTED, linewidth=0.9, linestyle="--")
    for count, sure, right in zip(bins.counts, bins.confidence, bins.accuracy, strict=True):
        if count:
            upper.plot([sure, sure], wilson(round(right * count), int(count)), color=_LINE, linewidth=1.4)
    upper.plot(bins.confidence, bins.accuracy, "o", color=_LINE, markersize=5)
    _unit_square(upper, "", "right answers")
    edges = np.linspace(0, 1, len(bins.counts) + 1)
    lower.bar(edges[:-1], bins.counts, np.diff(edges), align="edge", color=_LINE, edgecolor="white", linewidth=0.8)
    plain(lower)
    lower.set_xlabel("confidence", fontsize=TEXT, color=INK)
    lower.set_ylabel("faces", fontsize=TEXT, color=INK)
    lower.locator_params(axis="y", nbins=3)
    note(
        figure,
        f"calibration error {evaluation.scores.ece:.3f}; chance alone would give a perfectly calibrated model "
        f"{calibrated:.3f} ({low:.3f} to {high:.3f}) on {evaluation.scores.n:,} faces",
    )
    return figure


def coverage(evaluation: Evaluation) -> Figure:
    """Accuracy of the answers that remain when the least sure ones are left to a person, with its 95 % interval."""
    answers, labels = evaluation.probabilities, evaluation.faces.labels
    accuracy, n = accuracy_by_coverage(answers, labels), len(labels)
    counts = np.arange(1, n + 1)
    shown = np.unique(np.linspace(max(n // 50, 1), n, 200).astype(int)) - 1  # fewer than 2 % are noise
    ends = np.array([wilson(round(accuracy[i] * (i + 1)), i + 1) for i in shown])
    chosen = kept(answers, labels, COVERAGE)
    figure = new_figure(5.2, 3.9)
    axes = figure.subplots()
    axes.fill_between(counts[shown] / n, *ends.T, color=_LINE, alpha=0.18, linewidth=0)
    axes.plot(counts[shown] / n, accuracy[shown], color=_LINE, linewidth=1.8)
    for share, value in ((chosen.n / n, chosen.accuracy), (1.0, float(accuracy[-1]))):
        axes.plot([share], [value], "o", color=INK, markersize=5, clip_on=False, zorder=3)
        axes.annotate(
            f"{value * 100:.1f} %", (share, value), (-4, -7), textcoords="offset points",
            ha="right", va="top", fontsize=TEXT, color=INK,
        )  # fmt: skip
    plain(axes)
    axes.set(xlim=(0, 1), ylim=(max(0, float(ends.min()) - 0.12), 1.01))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(_SHARES)
    axes.set_xlabel("answers kept, the surest first", fontsize=TEXT, color=INK)
    axes.set_ylabel("right among them", fontsize=TEXT, color=INK)
    note(figure, "band: 95 % interval; dots: 80 % of the answers kept, and all")
    return figure


def corruptions(robustness: Robustness) -> Figure:
    """Accuracy on damaged faces, a row a kind and a column a strength; the paler, the more of it is lost."""
    figure = new_figure(5.6, 6.2)
    axes = figure.subplots()
    axes.imshow(robustness.relative, cmap=BLUES, vmin=0, vmax=1.15, aspect="auto")
    for (row, column), accuracy in np.ndenumerate(robustness.damaged):
        colour = "white" if robustness.relative[row, column] > 0.46 else INK
        text = axes.text(column, row, f"{accuracy * 100:.1f}", ha="center", va="center", fontsize=TEXT, color=colour)
        text.set_in_layout(False)
    axes.set_xticks(range(len(STRENGTHS)), [str(strength) for strength in STRENGTHS])
    axes.set_yticks(range(len(KINDS)), KINDS)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=TEXT, labelcolor=INK)
    axes.set_title("strength of the damage", fontsize=TITLE - 1, color=INK)
    axes.spines[:].set_color(FAINT)
    note(
        figure,
        f"accuracy in per cent; {robustness.whole * 100:.1f} on whole faces; "
        f"the mean of all cells is {percent(float(robustness.relative.mean()))} of that",
    )
    return figure


def _areas(first: Curve | None, second: Curve | None) -> str:
    if first is None or second is None:
        return "cannot be drawn"
    return f"average precision {first.area:.2f}, ROC area {second.area:.2f}"


def _unit_square(axes: Axes, across: str, up: str) -> None:
    plain(axes)
    axes.set(xlim=(0, 1), ylim=(0, 1.01))
    axes.set_xlabel(across, fontsize=TEXT, color=INK)
    axes.set_ylabel(up, fontsize=TEXT, color=INK)

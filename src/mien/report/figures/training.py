"""How training went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter

from mien.records.run import Epoch
from mien.report.figures import style
from mien.report.tables import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TRAIN, _VAL = "#E69F00", "#0072B2"


def learning_curves(history: Sequence[Epoch], best: Epoch) -> Figure:
    """Loss and accuracy of training and validation, the selected epoch, and the learning rate."""
    epochs = [epoch.epoch for epoch in history]
    figure = style.new_figure(9.4, 4.9)
    panels = figure.subplot_mosaic([["loss", "accuracy"], ["rate", "rate"]], height_ratios=[3, 1])
    loss, accuracy, rate = panels["loss"], panels["accuracy"], panels["rate"]
    _pair(loss, epochs, [epoch.loss for epoch in history], [epoch.val_loss for epoch in history])
    _pair(accuracy, epochs, [epoch.accuracy for epoch in history], [epoch.val_accuracy for epoch in history])
    _title(loss, f"loss (validation, selected epoch {best.epoch}: {best.val_loss:.3f})")
    _title(accuracy, f"accuracy (validation, selected epoch: {percent(best.val_accuracy)})")
    _mark(loss, best.epoch, best.val_loss)
    _mark(accuracy, best.epoch, best.val_accuracy)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    rate.plot(epochs, [epoch.lr for epoch in history], color=style.INK, marker=".", linewidth=1.2)
    rate.set_yscale("log")
    _title(rate, "learning rate")
    for axes in panels.values():
        style.plain(axes)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    _label_extremes(rate, [epoch.lr for epoch in history])
    rate.set_xlabel("epoch", fontsize=style.SMALL, color=style.INK)
    return figure


def _pair(axes: Axes, epochs: Sequence[int], train: Sequence[float], val: Sequence[float]) -> None:
    axes.plot(epochs, train, color=_TRAIN, marker=".", linestyle="--", label="training")
    axes.plot(epochs, val, color=_VAL, marker=".", label="validation")
    axes.legend(fontsize=style.SMALL, frameon=False, loc="best")


def _mark(axes: Axes, epoch: int, value: float) -> None:
    axes.axvline(epoch, color=style.MUTED, linewidth=0.8, linestyle=":")
    axes.plot([epoch], [value], color=_VAL, marker="o", markersize=9, fillstyle="none", markeredgewidth=1.6)


def _label_extremes(axes: Axes, rates: Sequence[float]) -> None:
    """Label only the highest and the lowest rate; decades alone would miss a halving or two."""
    low, high = min(rate for rate in rates if rate > 0), max(rates)
    ticks = [low, high] if high > 1.3 * low else [high]
    axes.set_yticks(ticks, [f"{tick:.2g}" for tick in ticks])
    axes.yaxis.set_minor_locator(NullLocator())


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, fontsize=style.TITLE - 1, color=style.INK, loc="left")

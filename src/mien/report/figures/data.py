"""What the data look like: how many faces, which faces, and how training augments them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from mien.colours import class_colour
from mien.records.recipe import Augment
from mien.report.figures import style
from mien.report.summaries import variations
from mien.report.tables import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mien.data.dataset import Dataset, Split

_EXAMPLES = 8  # faces a class
_ENLARGED = 3  # times, before faces are laid side by side, so that none bleeds into its neighbour
_WEDGES = 8  # more cannot be told apart in a pie
_EMPTY = "There are no faces in this part."


def class_bars(split: Split) -> Figure:
    """Faces of each class: a panel a part, a bar a class, its count written at its end."""
    parts, classes = split.parts(), split.classes
    figure = style.new_figure(9.4, 1.0 + 0.27 * len(classes))
    for i, (axes, (part, faces)) in enumerate(zip(style.cells(figure, len(parts), 3), parts.items(), strict=True)):
        counts = faces.counts()
        bars = axes.barh(np.arange(len(classes)), counts, color=[class_colour(k) for k in range(len(classes))])
        axes.bar_label(bars, [f"{count:,}" for count in counts], padding=3, fontsize=style.SMALL, color=style.INK)
        axes.set_title(f"{part}: {len(faces):,} faces", fontsize=style.TITLE, color=style.INK, loc="left")
        style.bare(axes)
        axes.set_yticks(np.arange(len(classes)), [style.name(label) for label in classes] if not i else [])
        axes.tick_params(length=0, labelsize=style.TEXT, labelcolor=style.INK)
        axes.set(xlim=(0, 1.22 * max(counts.max(), 1)), ylim=(len(classes) - 0.4, -0.6))
    style.note(figure, "each panel has its own scale")
    return figure


def class_pies(split: Split) -> Figure:
    """Shares of the classes: a pie a part. Where there are many classes, the smallest share one wedge."""
    parts = split.parts()
    figure = style.new_figure(3.15 * len(parts), 2.6)
    for axes, (part, faces) in zip(style.cells(figure, len(parts), 3), parts.items(), strict=True):
        labels, counts, colours = _wedges(faces)
        wedges, *_ = axes.pie(
            counts, colors=colours, startangle=90, counterclock=False, wedgeprops={"edgecolor": "white", "linewidth": 1}
        )
        middles = [np.deg2rad((wedge.theta1 + wedge.theta2) / 2) for wedge in wedges]
        texts = [f"{label}\n{percent(count / len(faces))}" for label, count in zip(labels, counts, strict=True)]
        _label_wedges(axes, np.array(middles), texts)
        axes.set_title(f"{part}: {len(faces):,} faces", fontsize=style.TITLE, color=style.INK)
    return figure


def augmentations(examples: Mapping[str, NDArray[np.uint8]], augment: Augment) -> Figure:
    """Faces beside their variants as training sees them, augmented by `augment`: a row a class.

    examples: uint8 [1 + variants, S, S] by class, the original first.
    """
    if not examples:
        return style.sentence(_EMPTY)
    rows = list(examples.values())
    figure = _mosaic([style.name(label) for label in examples], rows, ["original", *["augmented"] * (len(rows[0]) - 1)])
    style.note(figure, variations(augment))
    return figure


def faces_per_class(dataset: Dataset, seed: int) -> Figure:
    """Eight faces of each class, drawn at random; a row a class."""
    classes = [k for k, count in enumerate(dataset.counts()) if count]
    if not classes:
        return style.sentence(_EMPTY)
    rng = np.random.default_rng(seed)
    rows = [dataset.images[rng.permutation(np.flatnonzero(dataset.labels == k))[:_EXAMPLES]] for k in classes]
    return _mosaic([style.name(dataset.classes[k]) for k in classes], rows, [""] * _EXAMPLES)


def mean_faces(dataset: Dataset) -> Figure:
    """The mean of all faces of each class."""
    counts = dataset.counts()
    classes = np.flatnonzero(counts)
    if not len(classes):
        return style.sentence(_EMPTY)
    columns = min(len(classes), 7)
    figure = style.new_figure(columns * 1.3, -(-len(classes) // columns) * 1.75)
    means = [dataset.images[dataset.labels == k].mean(0) for k in classes]
    low, high = np.percentile(means, (1, 99))  # means are pale; one scale for all
    for axes, mean, k in zip(style.cells(figure, len(classes), columns), means, classes, strict=True):
        style.show_face(axes, mean, (low, high))
        axes.set_title(style.name(dataset.classes[k]), fontsize=style.TEXT, color=style.INK)
        axes.set_xlabel(f"n = {counts[k]:,}", fontsize=style.SMALL, color=style.MUTED)
    return figure


def _wedges(faces: Dataset) -> tuple[list[str], list[int], list[str]]:
    """Names, counts and colours of the pie's wedges, in label order, the merged rest last."""
    counts = faces.counts()
    present = np.flatnonzero(counts)
    shown = present if len(present) <= _WEDGES else np.sort(np.argsort(-counts, kind="stable")[: _WEDGES - 1])
    labels = [style.name(faces.classes[k], 11) for k in shown]
    colours = [class_colour(int(k)) for k in shown]
    sizes = counts[shown].tolist()
    if rest := len(present) - len(shown):
        return [*labels, f"{rest} others"], [*sizes, int(counts.sum()) - sum(sizes)], [*colours, "#BBBBBB"]
    return labels, sizes, colours


def _label_wedges(axes: Axes, angles: NDArray[np.floating], texts: Sequence[str]) -> None:
    """Write a text beside each wedge, with a line to it; texts on one side are pushed apart."""
    for side in (-1, 1):
        mine = [i for i in range(len(texts)) if (np.cos(angles[i]) >= 0) == (side > 0)]
        mine.sort(key=lambda i: np.sin(angles[i]))
        heights = _spread([1.15 * np.sin(angles[i]) for i in mine], gap=0.37)
        for i, height in zip(mine, heights, strict=True):
            axes.annotate(
                texts[i],
                xy=(np.cos(angles[i]), np.sin(angles[i])),
                xytext=(side * max(1.2, 1.25 * abs(np.cos(angles[i]))), height),
                ha="left" if side > 0 else "right",
                va="center",
                fontsize=style.SMALL,
                color=style.INK,
                arrowprops={"arrowstyle": "-", "color": style.MUTED, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 0},
            )
    axes.set(xlim=(-1.85, 1.85), ylim=(-1.4, 1.4))


def _spread(heights: Sequence[float], gap: float) -> list[float]:
    """Ascending heights, moved as little as a sweep needs to keep `gap` between neighbours, about the same centre."""
    spread: list[float] = []
    for height in heights:
        spread.append(max(height, spread[-1] + gap) if spread else height)
    shift = (sum(heights) - sum(spread)) / max(len(spread), 1)
    return [height + shift for height in spread]


def _mosaic(labels: Sequence[str], rows: Sequence[NDArray[np.uint8]], heads: Sequence[str]) -> Figure:
    """A grid of faces: a row a label, its name at the left. One picture, as hundreds of axes would be slow."""
    side = rows[0].shape[1] * _ENLARGED
    step = side + side // 12  # a face and the gap after it
    canvas = np.full((len(rows) * step, len(heads) * step), 255, np.uint8)
    for top, faces in enumerate(rows):
        for left, face in enumerate(faces):
            enlarged = Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC)
            canvas[top * step : top * step + side, left * step : left * step + side] = enlarged
    figure = style.new_figure(
        0.4 + 0.09 * max(map(len, labels)) + len(heads) * style.FACE, len(rows) * style.FACE + 0.6
    )
    axes = figure.subplots()
    style.show_face(axes, canvas[: step * len(rows) - (step - side), : step * len(heads) - (step - side)])
    axes.set_xticks((np.arange(len(heads)) * step + side / 2), heads)
    axes.set_yticks((np.arange(len(rows)) * step + side / 2), labels)
    axes.tick_params(length=0, labelsize=style.TEXT, labelcolor=style.INK, labeltop=True, labelbottom=False)
    return figure

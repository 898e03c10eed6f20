"""One look for all figures.

Figures are built without pyplot: it keeps every figure in a global list, which leaks, and is not safe in threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from mien import atomic

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

Limits = tuple[float, float]

INK, MUTED, FAINT = "#222222", "#666666", "#DDDDDD"
RIGHT, WRONG = "#00795A", "#C8301A"  # green and red, dark enough to be read as text on white
SMALL, TEXT, TITLE = 8.0, 9.0, 11.0  # points
FACE = 0.95  # inches, the side of a face in a grid
DPI = 150
BLUES = LinearSegmentedColormap.from_list("blues", ["#FFFFFF", "#0072B2", "#003A5C"])  # shares, from 0 to 1
_LETTERS = 15  # of size SMALL, an inch
_HEAD_LINE = 0.2  # inches


def new_figure(width: float, height: float) -> Figure:
    """An empty white figure, in inches, that keeps its labels inside its border."""
    figure = Figure((width, height), dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def sentence(text: str) -> Figure:
    """A figure that says in words why there is nothing to show."""
    figure = new_figure(6, 1)
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=TEXT, color=MUTED)
    return figure


def name(label: str, limit: int = 14) -> str:
    """A class name as figures print it: on one line, long ones shortened in the middle, never read as a formula."""
    label = " ".join(label.split())
    if len(label) > limit:
        tail = limit // 3
        label = f"{label[: limit - tail - 1]}…{label[-tail:]}"
    return label.replace("$", r"\$")


def note(figure: Figure, text: str) -> None:
    """A remark below a figure, in as many lines as its width asks for."""
    figure.supxlabel(fill(text, int(figure.get_figwidth() * _LETTERS)), fontsize=SMALL, color=MUTED)


def bare(axes: Axes) -> None:
    """Leave only what is drawn: no ticks, no frame."""
    axes.xaxis.set_major_locator(NullLocator())
    axes.yaxis.set_major_locator(NullLocator())
    for spine in axes.spines.values():
        spine.set_visible(False)


def plain(axes: Axes) -> None:
    """Axes with a baseline and light grid lines only."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(labelsize=SMALL, color=MUTED, labelcolor=INK)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)


def name_axes(axes: Axes, across: str, up: str, size: float = TEXT) -> None:
    """Say what the axes show."""
    axes.set_xlabel(across, fontsize=size, color=INK)
    axes.set_ylabel(up, fontsize=size, color=INK)


def show_face(axes: Axes, face: NDArray[np.integer] | NDArray[np.floating], limits: Limits = (0, 255)) -> None:
    """A gray face [S, S]; `limits` are the values shown black and white."""
    axes.imshow(face, cmap="gray", vmin=limits[0], vmax=limits[1], interpolation="bicubic")
    bare(axes)


def frame(axes: Axes, colour: str) -> None:
    """A thick frame around a face."""
    for spine in axes.spines.values():
        spine.set(visible=True, color=colour, linewidth=3.5)


def mark(right: bool) -> str:
    """A tick or a cross: colour is not the only sign."""
    return "✓" if right else "✗"


def verdict(right: bool) -> str:
    """Green for right, red for wrong."""
    return RIGHT if right else WRONG


def cells(figure: Figure, count: int, columns: int) -> Iterator[Axes]:
    """The first `count` axes of a grid, row by row; the rest of the last row stays empty."""
    columns = max(1, min(columns, count))
    grid = figure.add_gridspec(-(-count // columns), columns)
    for i in range(count):
        yield figure.add_subplot(grid[i // columns, i % columns])


def save(figure: Figure, path: Path, head: str = "") -> None:
    """Write `figure` as PNG at 150 dpi, whole or not at all; `head`, a line above it, says what it is of."""
    if head:
        text = fill(head.replace("$", r"\$"), int((figure.get_figwidth() - 0.3) * (_LETTERS - 1)))
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height + _HEAD_LINE * (text.count("\n") + 1))
        figure.suptitle(text, x=0.012, ha="left", fontsize=SMALL, color=MUTED)
    figure.draw_without_rendering()  # the layout of square pictures settles in the second pass; one would cut titles
    atomic.write_with(path, lambda temporary: figure.savefig(temporary, dpi=DPI))

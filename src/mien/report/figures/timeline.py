"""What the faces of a video showed over its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FuncFormatter, MultipleLocator
from numpy.typing import NDArray

from mien.colours import class_colour
from mien.predict.video.timeline import Course, Timeline, minutes
from mien.report.figures import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 6  # faces, each with a strip of its own
_PATIENCE = 1.0  # seconds without a look in which a face is taken to be still there
_WIDTH, _STRIP, _MARGIN = 10.0, 0.95, 0.9  # inches: of the figure, the height of a strip, of legend and axis
_STEPS = np.array([0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400])
_MOST_TICKS = 12


def chart(timeline: Timeline) -> Figure:
    """A strip for each of the longest-visible faces: the probability of each expression, stacked; gray while away."""
    courses = timeline.courses()
    if not courses:
        return style.sentence("no face in this video")
    shown = sorted(courses[:_MOST], key=lambda course: course.track)
    figure = style.new_figure(_WIDTH, _MARGIN + _STRIP * len(shown))
    seconds = np.arange(len(shown[0].looks) + 1) * timeline.step
    colours = [class_colour(index) for index in range(len(timeline.classes))]
    for axes, course in zip(figure.subplots(len(shown), sharex=True, squeeze=False)[:, 0], shown, strict=True):
        style.plain(axes)
        held = _held(course, timeline.step)
        shares = np.concatenate([held, held[-1:]]).T
        axes.set(xlim=(0, seconds[-1]), ylim=(1, 0), facecolor=style.FAINT, yticks=[])  # the first class is on top
        bands = axes.stackplot(seconds, shares, colors=colours, step="post")
        axes.set_ylabel(
            f"face {course.track}", fontsize=style.TEXT, color=style.INK, rotation=0, ha="right", va="center"
        )
    apart = _STEPS[np.searchsorted(_STEPS, seconds[-1] / _MOST_TICKS).clip(max=len(_STEPS) - 1)]
    axes.xaxis.set_major_locator(MultipleLocator(apart))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: minutes(at)))
    names = [style.name(label) for label in timeline.classes]
    figure.legend(bands, names, loc="outside upper center", ncols=7, fontsize=style.SMALL, frameon=False)
    if len(courses) > _MOST:
        style.note(figure, f"the {_MOST} faces most seen of {len(courses)}")
    return figure


def _held(course: Course, step: float) -> NDArray[np.float64]:
    """Mean probabilities [T, K], held over short gaps between looks; not a number where the face is away."""
    known = np.flatnonzero(course.looks)
    usual = np.median(np.diff(known)) if len(known) > 1 else 0.0
    steps = np.arange(len(course.looks))
    before = known[(np.searchsorted(known, steps, side="right") - 1).clip(0)]
    after = known[np.searchsorted(known, steps).clip(max=len(known) - 1)]
    there = (steps >= before) & (steps <= after) & (after - before <= max(_PATIENCE / step, 2 * usual))
    return np.where(there[:, None], course.means[before], np.nan)

"""The picture of a video's expressions over time; drawn with Pillow, so that prediction needs no plotting library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from mien.colours import class_colour
from mien.predict.fonts import font
from mien.predict.video.timeline import Course, Timeline, minutes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST = 6  # faces, each with a strip of its own
_PATIENCE = 1.0  # seconds without a look in which a face is taken to be still there
_LEFT, _WIDTH, _RIGHT = 150, 1600, 60  # pixels, of the margins and of the time axis between them
_TOP, _HEIGHT, _GAP, _BOTTOM = 30, 130, 24, 90  # pixels, of the margins and of strips and gaps
_LEGEND_ROW = 44
_SIZE = 26  # pixels, of letters
_WHITE, _INK, _FAINT = "#FFFFFF", "#222222", "#EEEEEE"
_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)  # seconds
_MOST_TICKS = 12


def chart(timeline: Timeline) -> Image.Image:
    """A strip for each of the faces most seen: how probable each expression was, stacked; gray while it was away."""
    courses = timeline.courses()
    if not courses:
        return _sentence("no face in this video")
    shown = sorted(courses[:_MOST], key=lambda course: course.track)
    rows = _legend_rows(timeline.classes)
    top = _TOP + len(rows) * _LEGEND_ROW
    end = top + len(shown) * (_HEIGHT + _GAP)
    picture = Image.new("RGB", (_LEFT + _WIDTH + _RIGHT, end + _BOTTOM), _WHITE)
    draw = ImageDraw.Draw(picture)
    _draw_legend(draw, rows)
    for i, course in enumerate(shown):
        y = top + i * (_HEIGHT + _GAP)
        picture.paste(Image.fromarray(_strip(course, timeline.step)), (_LEFT, y))
        draw.text((_LEFT - 16, y + _HEIGHT / 2), f"face {course.track}", _INK, font(_SIZE, ""), anchor="rm")
    _draw_axis(draw, end - _GAP, len(shown[0].looks) * timeline.step)
    if len(courses) > _MOST:
        remark = f"the {_MOST} faces most seen of {len(courses)}"
        draw.text((_LEFT + _WIDTH, end + _BOTTOM - 12), remark, _INK, font(_SIZE, ""), anchor="rs")
    return picture


def _sentence(text: str) -> Image.Image:
    picture = Image.new("RGB", (_LEFT + _WIDTH + _RIGHT, 160), _WHITE)
    ImageDraw.Draw(picture).text((picture.width / 2, 80), text, _INK, font(_SIZE, ""), anchor="mm")
    return picture


def _legend_rows(classes: tuple[str, ...]) -> list[list[tuple[float, int, str]]]:
    """Left edge, place and name of each class, in as many rows as they need."""
    rows: list[list[tuple[float, int, str]]] = [[]]
    left = float(_LEFT)
    for place, name in enumerate(classes):
        width = _SIZE * 2.5 + font(_SIZE, name).getlength(name)
        if rows[-1] and left + width > _LEFT + _WIDTH:
            rows.append([])
            left = _LEFT
        rows[-1].append((left, place, name))
        left += width
    return rows


def _draw_legend(draw: ImageDraw.ImageDraw, rows: list[list[tuple[float, int, str]]]) -> None:
    for i, row in enumerate(rows):
        middle = _TOP + i * _LEGEND_ROW + 8
        for left, place, name in row:
            draw.rectangle((left, middle - _SIZE / 2, left + _SIZE, middle + _SIZE / 2), fill=class_colour(place))
            draw.text((left + 1.4 * _SIZE, middle), name, _INK, font(_SIZE, name), anchor="lm")


def _draw_axis(draw: ImageDraw.ImageDraw, y: float, seconds: float) -> None:
    """Round times below the strips."""
    apart = next((tick for tick in _TICKS if seconds / tick <= _MOST_TICKS), _TICKS[-1])
    for i in range(int(seconds / apart) + 1):
        x = _LEFT + i * apart / seconds * (_WIDTH - 1)
        draw.line((x, y + 4, x, y + 12), _INK, 2)
        draw.text((x, y + 18), minutes(i * apart), _INK, font(_SIZE, ""), anchor="mt")


def _strip(course: Course, step: float) -> NDArray[np.uint8]:
    """One face's expressions, RGB [_HEIGHT, _WIDTH, 3]: the first class is on top."""
    held = _held(course, step)
    columns = held[np.arange(_WIDTH) * len(held) // _WIDTH]
    edges = columns.cumsum(1)[:, :-1]
    heights = (np.arange(_HEIGHT) + 0.5) / _HEIGHT
    places = (heights[:, None, None] > edges).sum(2)
    colours = np.array([ImageColor.getrgb(class_colour(k)) for k in range(held.shape[1])], np.uint8)
    faint = np.array(ImageColor.getrgb(_FAINT), np.uint8)
    away = np.isnan(columns[:, 0])
    return np.where(away[:, None], faint, colours[places])


def _held(course: Course, step: float) -> NDArray[np.float64]:
    """Mean probabilities [T, K], held over short gaps between looks; not a number where the face is away."""
    known = np.flatnonzero(course.looks)
    usual = np.median(np.diff(known)) if len(known) > 1 else 0.0
    steps = np.arange(len(course.looks))
    before = known[(np.searchsorted(known, steps, side="right") - 1).clip(0)]
    after = known[np.searchsorted(known, steps).clip(max=len(known) - 1)]
    there = (steps >= before) & (steps <= after) & (after - before <= max(_PATIENCE / step, 2 * usual))
    return np.where(there[:, None], course.means[before], np.nan)

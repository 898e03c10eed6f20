"""Pictures with their answers drawn in: box, label, confidence, and small bars where there is room."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from mien.boxes import Corners, intersection
from mien.colours import class_colour
from mien.errors import DataError
from mien.percent import percent
from mien.predict.fonts import font
from mien.predict.sources import read_file

if TYPE_CHECKING:
    from mien.pictures import Picture
    from mien.predict.face import Face

_SHOWN = 1024  # pixels, longer side in a notebook
_SMALLEST = 480  # pixels; a picture whose longer side has fewer is enlarged by a whole number, or no label would fit
_LEAST_TEXT = 11  # pixels, height of the smallest letters
_BARS = 7  # at most: the likeliest of a model with more classes
_WHITE, _PALE, _BLACK = (255, 255, 255), (205, 205, 205), (0, 0, 0)
_PANEL = (16, 16, 16, 225)  # dark glass: white letters and bars are readable on it, whatever lies behind
_TROUGH = (255, 255, 255, 35)

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class _Label:
    """A text, its size, and where it goes."""

    text: str
    size: int
    area: Corners


def annotate(image: Image.Image, faces: Sequence[Face]) -> Image.Image:
    """An RGB copy of `image` with its faces' boxes, labels, confidences and, where there is room, bars.

    A picture of less than 480 pixels is enlarged, since no label would fit; boxes are in pixels of `image`.
    """
    times = max(1, _SMALLEST // max(image.size))
    canvas = image.convert("RGB").resize((image.width * times, image.height * times), Image.Resampling.BICUBIC)
    whole = Corners.of(0, 0, *canvas.size)
    order = sorted(faces, key=lambda face: -face.box[2] * face.box[3])  # the small ones give way
    boxes = [Corners.of(*(times * edge for edge in face.box)) for face in order]
    boxes = [Corners.of(box.left, box.top, max(1, box.width), max(1, box.height)) for box in boxes]
    labels = _position_labels(order, boxes, whole)
    panels = _position_panels(order, boxes, [label.area for label in labels], whole)
    draw = ImageDraw.Draw(canvas, "RGBA")
    for face, box in zip(order, boxes, strict=True):
        _draw_box(draw, box, face, _line(box, whole))
    for face, label, panel in zip(order, labels, panels, strict=True):
        if panel:
            _draw_panel(draw, panel, face)
        _draw_label(draw, label, face)
    return canvas


def _width(text: str, size: int) -> float:
    return font(size, text).getlength(text)


def _text_size(box: Corners, whole: Corners) -> int:
    """Letters grow with the face and with the picture, which is looked at as a whole."""
    side = min(whole.width, whole.height)
    return round(max(_LEAST_TEXT, 0.02 * side, min(0.12 * box.height, 0.045 * side)))


def _line(box: Corners, whole: Corners) -> int:
    """Thickness of a box's line."""
    return max(2, round(_text_size(box, whole) / 8))


def annotated_png(photo: str, faces: Sequence[Face]) -> bytes | None:
    """A photo's annotated copy as PNG, its longer side at most 1,024 pixels; None where it cannot be read again."""
    try:
        drawn = annotate_photo(read_file(Path(photo)), faces)
    except DataError:
        return None
    drawn.thumbnail((_SHOWN, _SHOWN))
    file = io.BytesIO()
    drawn.save(file, "PNG")
    return file.getvalue()


def annotate_photo(picture: Picture, faces: Sequence[Face]) -> Image.Image:
    """A photo's annotated copy, in the photo's working size."""
    return annotate(picture.image, [_shrunk(face, picture.scale) for face in faces])


def _shrunk(face: Face, scale: int) -> Face:
    x, y, width, height = (value // scale for value in face.box)
    points = tuple((across / scale, down / scale) for across, down in face.landmarks)
    return replace(face, box=(x, y, width, height), landmarks=points)


def _position_labels(faces: Sequence[Face], boxes: Sequence[Corners], whole: Corners) -> list[_Label]:
    """For each face the first way to write its label that hides nothing, or the one that hides least."""
    labels: list[_Label] = []
    for face, box in zip(faces, boxes, strict=True):
        others = np.array([other for other in boxes if other is not box] + [label.area for label in labels])
        hidden = {}
        for label in _ways(face, box, whole):
            hidden[label] = intersection(label.area, others.reshape(-1, 4)).sum()
            if not hidden[label]:
                break
        labels.append(min(hidden, key=hidden.__getitem__))
    return labels


def _ways(face: Face, box: Corners, whole: Corners) -> Iterator[_Label]:
    """The label of a face above, below or inside its box, large before small, long before short."""
    full = _text_size(box, whole)
    name = f"{face.emotion}?" if face.uncertain else face.emotion
    for size in dict.fromkeys((full, max(_LEAST_TEXT, round(0.7 * full)), _LEAST_TEXT)):
        for text in (f"{name} {percent(face.confidence)}", name):
            width, height = _width(text, size) + size, 1.5 * size
            for top in (box.top - height, box.bottom, box.top, box.bottom - height):
                middle = box.left + (box.width - width) / 2
                for left in (box.left, middle) if width > box.width else (box.left,):
                    area = Corners.of(left, top, width, height).moved_into(whole)
                    if top in (box.top, box.bottom - height) or not intersection(area, box):
                        yield _Label(text, size, area)


def _position_panels(
    faces: Sequence[Face], boxes: Sequence[Corners], labels: Sequence[Corners], whole: Corners
) -> list[Corners | None]:
    """For each face the first position of its bars that hides nothing, None where there is no room."""
    taken = [*boxes, *labels]
    panels: list[Corners | None] = []
    for face, box in zip(faces, boxes, strict=True):
        inside = (panel for panel in _panel_positions(face, box, whole) if panel.inside(whole))
        panel = next((panel for panel in inside if not intersection(panel, taken).any()), None)
        panels.append(panel)
        taken += [panel] if panel else []
    return panels


def _panel_positions(face: Face, box: Corners, whole: Corners) -> Iterator[Corners]:
    """Where the bars of a face may go, beside its box or above or below it, large before small, none taller than it."""
    full, gap = 0.75 * _text_size(box, whole), 2 * _line(box, whole)
    for size in dict.fromkeys(round(max(_LEAST_TEXT, share * full)) for share in (1, 0.7, 0.5, 0)):
        width, height = _panel_size(face, size)
        if height > box.height:
            continue
        for left in (box.right + gap, box.left - gap - width):
            for top in (box.top, box.top + (box.height - height) / 2, box.bottom - height):
                yield Corners.of(left, top, width, height)
        for top in (box.bottom + gap, box.top - gap - height):
            for left in (box.left, box.right - width):
                yield Corners.of(left, top, width, height)


def _shown(face: Face) -> list[tuple[int, str, float]]:
    """Index, name and probability of the classes with bars, in the model's order."""
    classes = [(index, name, share) for index, (name, share) in enumerate(face.probabilities.items())]
    return sorted(sorted(classes, key=lambda each: -each[2])[:_BARS])


def _panel_size(face: Face, size: int) -> tuple[float, float]:
    names = max(_width(name, size) for _, name, _ in _shown(face))
    return names + 6 * size, (len(_shown(face)) + 0.5) * 1.25 * size


def _colour(face: Face, name: str) -> Colour:
    """The colour of a class of the model that answered."""
    red, green, blue = bytes.fromhex(class_colour(list(face.probabilities).index(name))[1:])
    return red, green, blue


def _draw_box(draw: ImageDraw.ImageDraw, box: Corners, face: Face, line: int) -> None:
    """A line in the class's colour between black and white ones, seen on every ground; dashed if uncertain."""
    colour = _colour(face, face.emotion)
    edges = (box.left, box.top, box.right - 1, box.bottom - 1)
    if min(box.width, box.height) <= 4 * line:
        draw.rectangle(edges, outline=colour)
        return
    _outline(draw, edges, -1, _WHITE, 1)
    _outline(draw, edges, line, _BLACK, 1)
    _outline(draw, edges, 0, colour, line)
    if face.uncertain:
        _dash(draw, edges, line)


def _outline(draw: ImageDraw.ImageDraw, edges: Sequence[float], inset: int, colour: Colour, line: int) -> None:
    left, top, right, bottom = edges
    draw.rectangle((left + inset, top + inset, right - inset, bottom - inset), outline=colour, width=line)


def _dash(draw: ImageDraw.ImageDraw, edges: Sequence[float], line: int) -> None:
    """Interrupt a box's line by black gaps."""
    left, top, right, bottom = (round(edge) for edge in edges)
    step = 6 * line
    for x in range(left + step, right - step // 2, 2 * step):
        for y in (top, bottom - line + 1):
            draw.rectangle((x, y, min(right, x + step), y + line - 1), fill=_BLACK)
    for y in range(top + step, bottom - step // 2, 2 * step):
        for x in (left, right - line + 1):
            draw.rectangle((x, y, x + line - 1, min(bottom, y + step)), fill=_BLACK)


def _draw_label(draw: ImageDraw.ImageDraw, label: _Label, face: Face) -> None:
    """Letters on the class's colour; an uncertain face's on black, framed in that colour."""
    colour = _colour(face, face.emotion)
    area = label.area
    edges = (area.left, area.top, area.right - 1, area.bottom - 1)
    ground = _BLACK if face.uncertain else colour
    draw.rectangle(edges, fill=ground, outline=colour, width=max(1, label.size // 8))
    middle = (area.left + label.size / 2, (area.top + area.bottom) / 2)
    draw.text(middle, label.text, fill=_ink(ground), font=font(label.size, label.text), anchor="lm")


def _ink(ground: Colour) -> Colour:
    """Black or white, whichever stands out more from `ground` (WCAG's relative luminance)."""
    linear = [(part / 255 / 12.92) if part < 11 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in ground]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return _BLACK if (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) else _WHITE


def _draw_panel(draw: ImageDraw.ImageDraw, panel: Corners, face: Face) -> None:
    """A row a class: its name and a bar as long as its probability; the answer's name is the brightest."""
    shown = _shown(face)
    row = panel.height / (len(shown) + 0.5)
    size = round(row / 1.25)
    start = panel.right - 4.75 * size
    length = panel.right - size / 2 - start
    draw.rectangle((panel.left, panel.top, panel.right - 1, panel.bottom - 1), fill=_PANEL)
    for i, (_, name, share) in enumerate(shown):
        middle = panel.top + (i + 0.75) * row
        ink = _WHITE if name == face.emotion else _PALE
        draw.text((panel.left + size / 2, middle), name, fill=ink, font=font(size, name), anchor="lm")
        top, bottom = middle - 0.3 * size, middle + 0.3 * size
        draw.rectangle((start, top, start + length, bottom), fill=_TROUGH)
        if share * length >= 1:
            draw.rectangle((start, top, start + share * length, bottom), fill=_colour(face, name))

"""Where a model looks on the faces of one photo, drawn with Pillow alone: the light install can do it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from mien.colours import class_colour
from mien.explain.heat import MethodChoice, choose_method, heat_maps
from mien.models.model import Model, predict_proba
from mien.percent import percent
from mien.predict.fonts import font

_SIDE = 240  # pixels of a face in the picture
_GAP = 16
_BARS = 300  # pixels for the bars and their names
_MOST_PROBABLE = 4  # classes named beside a face
_TEXT, _LETTERS = 16, 14  # pixels of a line, letters of a name
_INK, _MUTED = "#222222", "#666666"
_STRENGTH = 0.75  # how far the hottest spot hides the face
_HEAT = np.array(  # red, green and blue of nine colours of matplotlib's inferno, evenly spaced
    [
        [0, 33, 87, 138, 188, 228, 249, 249, 252],
        [0, 12, 16, 34, 55, 90, 142, 203, 255],
        [4, 74, 110, 106, 84, 49, 9, 53, 164],
    ]
)
_READ_AS = "the brighter, the more a region counts for the predicted class"


@dataclass(frozen=True)
class PhotoMaps:
    """The faces of a photo uint8 [N, S, S], their maps [N, S, S], and their probabilities [N, K] of the classes."""

    faces: NDArray[np.uint8]
    maps: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]


def explain_faces(model: Model, faces: NDArray[np.uint8], method: MethodChoice = "auto") -> PhotoMaps:
    """Where the model looks on the faces of a photo, gray squares uint8 [N, S, S].

    Raises ModelError where Grad-CAM is asked of a model without gradients.
    """
    probabilities = predict_proba(model, faces)
    maps = heat_maps(model, faces, probabilities.argmax(1), choose_method(model, method))
    return PhotoMaps(faces, maps, probabilities, model.classes)


def heat_overlay(face: NDArray[np.uint8], heat: NDArray[np.floating], side: int = _SIDE) -> Image.Image:
    """A gray face [S, S] under its heat map [S, S], `side` pixels wide, in RGB.

    The map is scaled to its maximum; where it is zero or less the face shows through.
    """
    enlarged = np.asarray(Image.fromarray(heat.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR))
    level = enlarged.clip(0) / max(float(heat.max()), 1e-12)
    steps = np.linspace(0, 1, _HEAT.shape[1])
    colours = np.stack([np.interp(level, steps, channel) for channel in _HEAT], axis=-1)
    gray = np.asarray(_enlarged(face, side), np.float64)
    mixed = gray + _STRENGTH * level[..., None] * (colours - gray)
    return Image.fromarray(mixed.round().clip(0, 255).astype(np.uint8))


def photo_picture(photo: PhotoMaps, head: str) -> Image.Image:
    """A row a face: the face as the model gets it, the same under its heat map, and the most probable classes.

    head: the title, above.
    """
    row, above = _SIDE + _GAP, 2 * _GAP + _TEXT
    picture = Image.new("RGB", (2 * row + _BARS + 2 * _GAP, above + len(photo.faces) * row + _GAP + _TEXT), "white")
    draw = ImageDraw.Draw(picture)
    draw.text((_GAP, _GAP), head, fill=_INK, font=font(_TEXT, head))
    for number, (face, heat, shares) in enumerate(zip(photo.faces, photo.maps, photo.probabilities, strict=True)):
        top = above + number * row
        picture.paste(_enlarged(face, _SIDE), (_GAP, top))
        picture.paste(heat_overlay(face, heat), (_GAP + row, top))
        _draw_bars(draw, (_GAP + 2 * row, top), shares, photo.classes)
    draw.text((_GAP, above + len(photo.faces) * row), _READ_AS, fill=_MUTED, font=font(_TEXT, _READ_AS))
    return picture


def _enlarged(face: NDArray[np.uint8], side: int) -> Image.Image:
    return Image.fromarray(face).convert("RGB").resize((side, side), Image.Resampling.BICUBIC)


def _draw_bars(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], shares: NDArray[np.floating], classes: tuple[str, ...]
) -> None:
    """The most probable classes, in order, each with its name, its bar and its probability."""
    left, top = corner
    start, longest, row = left + 8 * _TEXT, _BARS - 12 * _TEXT, _SIDE // _MOST_PROBABLE
    for line, k in enumerate(np.argsort(-shares, kind="stable")[:_MOST_PROBABLE]):
        share, middle = float(shares[k]), top + line * row + row // 2
        name = " ".join(classes[k].split())
        if len(name) > _LETTERS:
            name = f"{name[: _LETTERS - 3]}..."
        end = start + max(1, round(share * longest))
        draw.text((start - 6, middle), name, fill=_INK, font=font(_TEXT, name), anchor="rm")
        draw.rectangle((start, middle - row // 4, end, middle + row // 4), fill=class_colour(int(k)))
        text = percent(share)
        draw.text((end + 6, middle), text, fill=_INK, font=font(_TEXT, text), anchor="lm")

"""Drawn faces: the data set that Mien carries along as code.

FER-2013's photographs may not be passed on, and a demo, a notebook or a test should run on a fresh
machine without a download. So this module draws faces, 48 x 48 and gray as FER-2013's are, and labelled
in its seven classes: never to be mixed with photographs, and worth nothing as a measure of them.

Expressions are made as faces make them, from the action units of the Facial Action Coding System (Ekman &
Friesen 1978; Ekman, Friesen & Hager 2002), put together as its emotion tables do (EMFACS, Friesen & Ekman
1983): `_EXPRESSIONS` says which units an expression uses, `_MOVES` what each unit moves. People differ
(`_Person`), so do heads, lamps and cameras (`_View`), and many a face shows little of what it is labelled.

Lengths are pixels of a canvas four times as fine as the picture; x goes right, y down, from mid-face.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from mien.emotions import EMOTIONS
from mien.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Points = NDArray[np.float64]  # [N, 2]
    Moves = dict[str, NDArray[np.float64]]  # name in _MOVES -> [2]: left, right

SIZE = 48
_FINE = 4
_CANVAS = SIZE * _FINE
_EVEN = 160  # of a shade that neither lightens nor darkens; 255 is 1.6 times as light

# FER-2013's faces in a class, its three parts together; of disgust twice its share, or a small set had none.
_FREQUENCY = {"angry": 4953, "disgust": 1094, "fear": 5121, "happy": 8989, "neutral": 6198, "sad": 6077,
              "surprise": 4002}  # fmt: skip
_COPY_EVERY = 50  # files; one of so many is a copy of an earlier one ...
_CONFLICT_EVERY = 3  # copies; ... and one of so many copies lies in another class

# Action units that an expression shows, and those that it shows in half of its faces.
_EXPRESSIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "angry": ((4, 5, 7, 23), (10, 17)),
    "disgust": ((9, 10), (15, 16, 17, 25)),
    "fear": ((1, 2, 4, 5, 20, 25), (7, 26)),
    "happy": ((6, 12), (25, 26)),
    "neutral": ((), ()),
    "sad": ((1, 4, 15), (7, 17)),
    "surprise": ((1, 2, 5, 25, 26), (27,)),
}

# What a unit moves at full strength. Lengths in canvas pixels, down and outwards positive; the rest are shares.
_MOVES: dict[str, dict[int, float]] = {
    "brow inner y": {1: -13, 2: -5, 4: 8, 9: 6},
    "brow middle y": {1: -4, 2: -11, 4: 5, 9: 5},
    "brow outer y": {2: -11, 4: 1, 1: 1.5, 6: 1},
    "brow inner x": {4: -5, 9: -2},
    "upper lid y": {5: -4.5, 6: 1, 7: 1.5, 9: 2, 12: 0.5},
    "lower lid y": {5: 1, 6: -3.5, 7: -3.5, 9: -2.5},
    "nose wing y": {9: -4.5, 10: -2},
    "cheek y": {6: -7, 12: -3, 9: -3},
    "corner x": {12: 9, 20: 9, 10: 2, 23: -5, 26: -4, 27: -6},
    "corner y": {12: -11, 15: 9, 20: 3, 26: 3, 27: 7, 17: 1},
    "upper lip y": {9: -4, 10: -7, 25: -3, 27: -2, 12: -1, 17: -2},
    "lower lip y": {25: 4, 26: 12, 27: 13, 16: 5, 12: 1, 17: -3, 10: 1},
    "jaw y": {26: 6, 27: 9, 17: -2},
    "lips": {23: -0.55, 12: -0.15, 20: -0.25, 27: -0.1, 17: -0.1},
    "teeth": {12: 8, 10: 5, 20: 6, 16: 2},
    "frown": {4: 1, 9: 0.5},
    "forehead": {1: 0.5, 2: 0.6},
    "crow's feet": {6: 1, 7: 0.2},
    "nose wrinkles": {9: 1, 10: 0.2},
    "fold": {6: 0.2, 9: 0.6, 10: 0.7, 12: 0.7, 20: 0.2},
    "mouth frown": {15: 1, 17: 0.4},
    "chin": {17: 1, 15: 0.3},
}
_UNITS = sorted({unit for moved in _MOVES.values() for unit in moved})
_SIDES = (-1, 1)


@dataclass(frozen=True)
class _Person:
    """One person's looks: lengths in canvas pixels, tones in gray levels, the rest in shares."""

    width: float
    height: float
    jaw: float
    skin: float
    age: float
    eye_x: float
    eye: float
    tilt: float
    iris: float
    lashes: float
    brow: float
    brow_y: float
    nose: float
    nose_y: float
    mouth: float
    mouth_y: float
    lips: float
    hair: float
    volume: float
    curl: float
    hairline: float
    parting: float
    fringe: float
    fall: float
    bald: bool
    beard: float
    moustache: bool
    glasses: float


def _person(rng: np.random.Generator) -> _Person:
    """Somebody."""
    between, chance = rng.uniform, lambda share: bool(rng.random() < share)
    skin, long = between(88, 222), chance(0.4)
    return _Person(
        width=between(57, 69), height=between(84, 95), jaw=between(0.62, 0.92), skin=skin, age=between(0, 1) ** 2,
        eye_x=between(27, 33), eye=between(0.85, 1.2), tilt=between(-2, 2), iris=between(20, 90), lashes=between(2, 4),
        brow=between(3.5, 9), brow_y=between(-45, -39), nose=between(10, 17), nose_y=between(17, 27),
        mouth=between(20, 28), mouth_y=between(46, 53), lips=between(0.6, 1.4),
        hair=rng.choice((between(15, 55), between(55, 110), between(150, 225)), p=(0.55, 0.25, 0.2)),
        volume=between(4, 12) + 10 * chance(0.2), curl=between(1.5, 4) * chance(0.3),
        hairline=between(-76, -58), parting=between(-0.6, 0.6), fringe=between(2, 9),
        fall=between(45, 110) if long else between(-30, 0), bald=not long and chance(0.12),
        beard=between(0.45, 0.9) * (not long and chance(0.25)), moustache=not long and chance(0.15),
        glasses=between(1.5, 4) * chance(0.16),
    )  # fmt: skip


@dataclass(frozen=True)
class _View:
    """How a head is held, lit and taken: pixels of the canvas, radians, shares; blur and noise of the picture."""

    x: float
    y: float
    scale: float
    roll: float
    turn: float
    nod: float
    lamp: float
    relief: float
    contrast: float
    exposure: float
    blur: float
    noise: float

    def place(self, points: Points, width: float, near: float) -> list[tuple[float, float]]:
        """Points of the face [N, 2] on the canvas; a turn moves what is `near` (mid-face 1, its edge 0) most."""
        x, y = points[:, 0], points[:, 1]
        depth = near * (1 - np.minimum(1, (x / width) ** 2))
        x, y = x + depth * self.turn, y + depth * self.nod
        cos, sin = self.scale * np.cos(self.roll), self.scale * np.sin(self.roll)
        across, down = x * cos - y * sin + self.x, x * sin + y * cos + self.y
        return list(zip(across.tolist(), down.tolist(), strict=True))


def _view(rng: np.random.Generator) -> _View:
    """A head held roughly upright, in some light, before some camera."""
    middle = _CANVAS / 2
    return _View(
        x=middle + rng.normal(0, 4), y=middle + rng.normal(0, 4), scale=rng.uniform(0.92, 1.14),
        roll=rng.normal(0, 0.08), turn=rng.uniform(-13, 13), nod=rng.uniform(-5, 5),
        lamp=rng.uniform(-np.pi, 0), relief=rng.uniform(0.1, 0.55), contrast=rng.uniform(0.6, 1.15),
        exposure=rng.normal(0, 18), blur=rng.uniform(0, 0.8), noise=rng.uniform(2, 11),
    )  # fmt: skip


class _Sheet:
    """The canvas under the pen: tones, soft shades that multiply them, and where the body is at all."""

    def __init__(self, person: _Person, view: _View) -> None:
        self._width, self._view = person.width * 1.15, view
        self._layers = [Image.new("L", (_CANVAS, _CANVAS), ground) for ground in (0, _EVEN, 0)]
        self._tone, self._shade, self._body = (ImageDraw.Draw(layer) for layer in self._layers)

    def body(self, points: Points, tone: float) -> None:
        """Fill part of the outline of head, hair and shoulders, which no turn moves."""
        placed = self._view.place(points, self._width, 0)
        self._tone.polygon(placed, int(tone))
        self._body.polygon(placed, 255)

    def area(self, points: Points, tone: float, near: float = 1) -> None:
        """Fill a polygon."""
        self._tone.polygon(self._view.place(points, self._width, near), int(tone))

    def line(self, points: Points, tone: float, width: float, near: float = 1) -> None:
        """Draw a line through points."""
        self._tone.line(self._view.place(points, self._width, near), int(tone), max(1, round(width)))

    def soft(self, points: Points, light: float, near: float = 1) -> None:
        """Lighten (above 1) or darken (below 1) a polygon, with soft borders."""
        self._shade.polygon(self._view.place(points, self._width, near), int(min(255, light * _EVEN)))

    def crease(self, points: Points, light: float, width: float) -> None:
        """Lighten or darken a line, with soft borders."""
        self._shade.line(self._view.place(points, self._width, 1), int(light * _EVEN), round(width))

    def layers(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Tone in gray levels, shade as a factor, body as a share, each [48, 48]."""
        tone, shade, body = (layer.reduce(_FINE) for layer in self._layers)
        shade = shade.filter(ImageFilter.GaussianBlur(1))
        return np.asarray(tone, float), np.asarray(shade, float) / _EVEN, np.asarray(body, float) / 255


def _curve(*knots: tuple[float, float]) -> Points:
    """A smooth line [13, 2] from the first of three knots through the second to the third."""
    start, middle, end = np.array(knots)
    t = np.linspace(0, 1, 13)[:, None]
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * (2 * middle - (start + end) / 2) + t**2 * end


def _ellipse(x: float, y: float, across: float, down: float) -> Points:
    """An ellipse [20, 2] by its middle and its half axes."""
    angle = np.linspace(0, 2 * np.pi, 20)
    return np.stack([x + across * np.cos(angle), y + down * np.sin(angle)], 1)


def _between(upper: Points, lower: Points) -> Points:
    """The polygon between two lines that run the same way."""
    return np.concatenate([upper, lower[::-1]])


def _outline(person: _Person, drop: float, grow: float = 0) -> Points:
    """The face's contour [48, 2], the chin lowered by `drop`, all of it `grow` further out."""
    angle = np.linspace(-np.pi, np.pi, 48)
    x, y = np.cos(angle), np.sin(angle)
    low = np.maximum(0, y)
    wide = np.sign(x) * np.abs(x) ** 0.85 * (1 - (1 - person.jaw) * low**2)
    return np.stack([wide * (person.width + grow), y * (person.height + grow) + drop * low**2], 1)


def _draw_head(sheet: _Sheet, person: _Person, move: Moves) -> None:
    """Back hair, neck, ears and the bare face."""
    skull = _outline(person, 0, person.volume * (not person.bald))
    if not person.bald:
        above = skull[skull[:, 1] <= 0]
        wave = 1 + person.curl / 60 * np.sin(np.arange(len(above)) * 2.1)[:, None]
        right = above[-1] + [0, person.fall]
        sheet.body(np.concatenate([above * wave, [right, right * [-1, 1]]]), person.hair * 0.85)
    neck = person.width * 0.62
    sheet.body(np.array([[-neck, 50], [neck, 50], [neck * 1.1, 130], [-neck * 1.1, 130]]), person.skin * 0.72)
    for side in _SIDES:
        if person.fall <= 0:
            sheet.body(_ellipse(side * person.width, 2, 8, 17), person.skin * 0.8)
    drop = move["jaw y"].mean()
    sheet.body(_outline(person, drop), person.skin)
    sheet.soft(_outline(person, drop), 0.86, 0)
    sheet.soft(_outline(person, drop, -9), 1.0, 0)


def _draw_beard(sheet: _Sheet, person: _Person, move: Moves) -> None:
    """Beard (a mix of hair and skin, as short hair looks) and moustache."""
    if not person.beard:
        return
    tone = person.beard * person.hair * 0.9 + (1 - person.beard) * person.skin
    jaw = _outline(person, move["jaw y"].mean(), -1)
    jaw = jaw[jaw[:, 1] > 8]
    inner = np.stack([jaw[:, 0] * 0.72, np.minimum(jaw[:, 1], person.mouth_y - 14 + 0.06 * jaw[:, 1])], 1)
    sheet.area(_between(jaw, inner), tone, 0.5)


def _draw_cheeks(sheet: _Sheet, person: _Person, move: Moves) -> None:
    """Cheeks, the fold from nose to mouth, forehead, frown and chin: what light does on skin."""
    mouth = person.mouth_y
    brows = person.brow_y + move["brow middle y"].mean()
    lined = 0.05 + 0.15 * person.age
    for left, side in enumerate(_SIDES):
        lifted = -move["cheek y"][left]
        sheet.soft(_ellipse(side * 37, 19 - lifted, 14, 11), 1.08 + 0.012 * lifted)
        corner = (side * (person.mouth + move["corner x"][left] + 8), mouth + move["corner y"][left] - 3)
        start = (side * (person.nose + 4), person.nose_y - 5 + move["nose wing y"][left])
        middle = (side * (person.nose + 17 + 6 * move["fold"][left]), (start[1] + corner[1]) / 2 - 3)
        sheet.crease(_curve(start, middle, corner), 1 - lined - 0.33 * move["fold"][left], 5)
        sheet.crease(_curve((side * 20, -6), (side * 32, -2 - lifted / 3), (side * 46, -8)), 1 - lined, 4)
        low = (corner[0] - side * 3, corner[1] + 5)
        sheet.crease(_curve(low, (low[0] + side * 2, low[1] + 6), (low[0] + side * 2, low[1] + 13)),
                     1 - lined - 0.3 * move["mouth frown"][left], 5)  # fmt: skip
        for spoke in (-5, 0, 5):
            x = side * (person.eye_x + 20)
            sheet.line(np.array([[x, -16 + spoke / 2], [x + side * 8, -16 + spoke * 1.6]]),
                       person.skin * (1 - 0.3 * move["crow's feet"][left] - 0.1 * person.age), 1)  # fmt: skip
        sheet.crease(np.array([[side * 4, -22], [side * 5, brows + 2]]), 1 - 0.35 * move["frown"][left], 3)
    for line in (8, 16):
        strength = move["forehead"].mean() * 0.26 + 0.1 * person.age
        sheet.crease(_curve((-32, brows - line), (0, brows - line - 3), (32, brows - line)), 1 - strength, 3)
    sheet.soft(_ellipse(0, mouth + 30 + move["jaw y"].mean(), 14, 7), 1.07 - 0.15 * move["chin"].mean())


def _draw_nose(sheet: _Sheet, person: _Person, move: Moves, view: _View) -> None:
    """Bridge, tip, wings and nostrils; the bridge throws its shade away from the lamp."""
    tip, wing = person.nose_y, person.nose
    dark = -1 if np.cos(view.lamp) > 0 else 1
    sheet.soft(np.array([[dark * 4, -20], [dark * 12, -18], [dark * (wing + 2), tip - 2], [dark * 5, tip]]), 0.83)
    sheet.soft(_ellipse(0, tip + 7, wing, 4), 0.82)
    sheet.soft(np.array([[-3, -18], [3, -18], [5, tip - 4], [-5, tip - 4]]), 1.12, 1.25)
    for left, side in enumerate(_SIDES):
        lift = move["nose wing y"][left]
        sheet.line(_curve((side * (wing - 2), tip - 9 + lift), (side * wing, tip - 2 + lift), (side * (wing - 5), tip + 2)),
                   person.skin * 0.62, 2, 1.2)  # fmt: skip
        sheet.area(_ellipse(side * wing * 0.45, tip + 2 + lift / 2, 3.5, 2.2), person.skin * 0.32, 1.2)
        for row in (-8, -2, 4):
            crease = _curve((side * 2, row), (side * 7, row - 2), (side * 11, row - 7))
            sheet.crease(crease, 1 - 0.35 * move["nose wrinkles"][left], 3)


def _draw_mouth(sheet: _Sheet, person: _Person, move: Moves) -> None:
    """Lips, and between them the teeth and the dark."""
    t = np.linspace(-1, 1, 21)
    arch, bow = 1 - t**2, 1 - 0.3 * np.exp(-((t / 0.18) ** 2))
    side = (t > 0).astype(int)
    x = t * (person.mouth + move["corner x"][side])
    middle = person.mouth_y + move["corner y"][side] * np.abs(t) ** 1.7
    raised, lowered = move["upper lip y"].mean(), move["lower lip y"].mean()
    apart = max(0.0, lowered - 0.55 * raised - 3)
    top = middle + (raised * 0.9) * np.abs(arch) ** 0.7
    bottom = top + (apart + 0.5) * np.abs(arch) ** 0.6
    full = person.lips * max(0.25, 1 + move["lips"].mean())
    upper, lower = top - 7 * full * arch**0.7 * bow, bottom + 9 * full * arch**0.6
    red = person.skin * 0.68
    sheet.soft(_ellipse(0, lower[10] + 5, 14, 4), 0.84)
    sheet.area(np.stack([np.r_[x, x[::-1]], np.r_[upper, lower[::-1]]], 1), red)
    sheet.area(np.stack([np.r_[x, x[::-1]], np.r_[top, bottom[::-1]]], 1), person.skin * 0.18)
    teeth = np.minimum(bottom, top + max(0.0, move["teeth"].mean()) * arch**0.5)
    if apart > 2:
        sheet.area(np.stack([np.r_[x, x[::-1]], np.r_[top, teeth[::-1]]], 1), 150 + person.skin * 0.35)
    sheet.line(np.stack([x, top], 1), person.skin * 0.28, 2)
    sheet.soft(np.stack([x * 0.5, (bottom + lower) / 2], 1)[5:16], 1.12)
    if person.moustache:
        lip = np.stack([x * 1.05, upper + 1], 1)
        sheet.area(_between(lip * [1, 0] + [0, person.nose_y + 8] + np.abs(t)[:, None] * [0, 12], lip), person.hair)


def _draw_eye(sheet: _Sheet, person: _Person, move: Moves, left: int, gaze: tuple[float, float]) -> None:
    """One eye: white, iris, glint, lids."""
    side = _SIDES[left]
    x0, y0 = side * person.eye_x, -16.0
    u = np.linspace(-1, 1, 15)
    x = x0 + u * 14.5 * person.eye
    arch, slant = 1 - u**2, side * u * person.tilt
    upper = y0 - slant - np.maximum(1.0, 7.5 * person.eye - move["upper lid y"][left]) * arch**0.75
    lower = y0 - slant + np.maximum(0.5, 5.5 * person.eye + move["lower lid y"][left]) * arch
    lid, floor = np.stack([x, upper], 1), np.stack([x, lower], 1)
    sheet.soft(_ellipse(x0, y0 - 3, 19 * person.eye, 13), 0.87)
    sheet.area(_between(lid, floor), min(235, 110 + person.skin * 0.55))
    for radius, tone in ((7.6 * person.eye, person.iris), (3.4 * person.eye, 12)):
        ball = _ellipse(x0 + gaze[0], y0 - 1.5 + gaze[1], radius, radius)
        ball[:, 1] = np.clip(ball[:, 1], np.interp(ball[:, 0], x, upper), np.interp(ball[:, 0], x, lower))
        sheet.area(ball, tone)
    sheet.area(_ellipse(x0 + gaze[0] - 2.5, y0 - 3.5 + gaze[1], 1.6, 1.6), 245)
    sheet.line(lid, 25 + person.skin * 0.12, person.lashes)
    sheet.line(floor, person.skin * 0.6, 1)
    sheet.line(lid - [0, 5], person.skin * 0.72, 1)


def _draw_brow(sheet: _Sheet, person: _Person, move: Moves, left: int) -> None:
    """One brow, thick within and thin without."""
    side, y = _SIDES[left], person.brow_y
    spine = _curve(
        (side * (13 + move["brow inner x"][left]), y + 3 + move["brow inner y"][left]),
        (side * 31, y - 2 + move["brow middle y"][left]),
        (side * 49, y + 4 + move["brow outer y"][left]),
    )
    half = person.brow / 2 * np.linspace(1, 0.35, len(spine))[:, None] * [0, 1]
    sheet.area(_between(spine - half, spine + half), min(person.hair, person.skin * 0.75))


def _draw_hair(sheet: _Sheet, person: _Person) -> None:
    """The hair before the forehead, from the crown to the hairline."""
    if person.bald:
        return
    crown = _outline(person, 0, person.volume)
    crown = crown[crown[:, 1] <= -8]
    t = np.linspace(-1, 1, len(crown))
    far = np.minimum(1, np.abs(t - person.parting * (1 - np.abs(t))))
    line = person.hairline + (-12 - person.hairline) * far**person.fringe
    front = np.stack([t * (person.width + 1), line], 1)
    front[[0, -1]] = crown[[0, -1]]
    sheet.area(_between(crown, front), person.hair, 0.3)
    for strand in (0.25, 0.5, 0.75):
        sheet.line(crown * (1 - strand) + front * strand, person.hair * 0.8 + 12, 1, 0.3)


def _draw_glasses(sheet: _Sheet, person: _Person) -> None:
    """Two rims, a bridge and the temples."""
    if not person.glasses:
        return
    for side in _SIDES:
        sheet.line(_ellipse(side * person.eye_x, -13, 21, 16), 35, person.glasses)
        sheet.line(np.array([[side * (person.eye_x + 21), -15], [side * person.width, -18]]), 35, person.glasses)
    sheet.line(_curve((21 - person.eye_x, -15), (0, -18), (person.eye_x - 21, -15)), 35, person.glasses)


def _activity(emotion: str, rng: np.random.Generator) -> dict[int, float]:
    """How strongly each action unit acts, 0 to 1: the expression's own units, and a little of any other."""
    always, sometimes = _EXPRESSIONS[emotion]
    shown = always + tuple(unit for unit in sometimes if rng.random() < 0.5)
    strength = rng.uniform(0.3, 1.05)
    stray = {unit: rng.uniform(0, 0.35) * (rng.random() < 0.3) for unit in _UNITS}
    return stray | {unit: strength * rng.uniform(0.65, 1.3) * (rng.random() > 0.08) for unit in shown}


def _moves(activity: dict[int, float], rng: np.random.Generator) -> Moves:
    """What the action units move, left and right; no face is quite even."""
    even = {name: sum(by * activity[unit] for unit, by in moved.items()) for name, moved in _MOVES.items()}
    return {name: by * (1 + rng.normal(0, 0.12, 2)) for name, by in even.items()}


def _background(rng: np.random.Generator) -> NDArray[np.float64]:
    """Something out of focus, [48, 48] gray levels."""
    patches = np.clip(rng.uniform(20, 220) + rng.normal(0, 35, (4, 4)), 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(patches).resize((SIZE, SIZE), Image.Resampling.BICUBIC), float)


def _lamp(view: _View, person: _Person) -> NDArray[np.float64]:
    """Light on a head-shaped ellipsoid, [48, 48], about 1."""
    y, x = (np.mgrid[:SIZE, :SIZE] + 0.5) * _FINE
    right, down = (x - view.x) / (person.width * 1.35), (y - view.y) / (person.height * 1.35)
    front = np.sqrt(np.maximum(0.05, 1 - right**2 - down**2))
    toward = right * np.cos(view.lamp) + down * np.sin(view.lamp)
    return 1 + view.relief * (toward + 0.8 * front - 0.75)


def _develop(picture: NDArray[np.float64], view: _View, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The camera's share: contrast, exposure, blur, noise."""
    picture = (picture - 128) * view.contrast + 128 + view.exposure
    blurred = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(view.blur))
    grainy = np.asarray(blurred) + view.noise * rng.standard_normal((SIZE, SIZE))
    return np.clip(np.rint(grainy), 0, 255).astype(np.uint8)


def draw_face(emotion: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One face that shows an expression of `EMOTIONS`, gray [48, 48]; everything else about it is `rng`'s."""
    person, view = _person(rng), _view(rng)
    move = _moves(_activity(emotion, rng), rng)
    gaze = (rng.normal(0, 1.5), rng.normal(0, 0.7))
    sheet = _Sheet(person, view)
    _draw_head(sheet, person, move)
    _draw_beard(sheet, person, move)
    _draw_cheeks(sheet, person, move)
    for left in range(len(_SIDES)):
        _draw_eye(sheet, person, move, left, gaze)
        _draw_brow(sheet, person, move, left)
    _draw_nose(sheet, person, move, view)
    _draw_mouth(sheet, person, move)
    _draw_glasses(sheet, person)
    _draw_hair(sheet, person)
    tone, shade, body = sheet.layers()
    return _develop(tone * shade * _lamp(view, person) + (1 - body) * _background(rng), view, rng)


def write_drawn(folder: Path, count: int = 1400, seed: int = 0) -> None:
    """Write `count` faces as `<folder>/<emotion>/drawn_<number>.png`: the same bytes for the same arguments.

    Classes are about as frequent as FER-2013's, and as there one file in fifty is an exact copy of an earlier
    one, now and then under another label. A file depends on its number and `seed`, never on `count`.
    Raises UsageError if the folder has anything in it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: not an empty folder, and faces are never mixed; name a new one or empty it")
    faces: list[tuple[str, NDArray[np.uint8]]] = []
    for number, emotion in zip(range(count), _labels(), strict=False):
        rng = np.random.default_rng((seed, number))
        if number % _COPY_EVERY == _COPY_EVERY - 1:
            face = _earlier(faces, emotion, number // _COPY_EVERY % _CONFLICT_EVERY == _CONFLICT_EVERY - 1, rng)
        else:
            face = draw_face(emotion, rng)
        faces.append((emotion, face))
        path = folder / emotion / f"drawn_{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face).save(path)


def _labels() -> Iterator[str]:
    """Classes without end: each once, then always the one that lacks most of its frequency."""
    have = dict.fromkeys(EMOTIONS, 0)
    while True:
        emotion = max(EMOTIONS, key=lambda name: _FREQUENCY[name] / (have[name] or 1e-9))
        have[emotion] += 1
        yield emotion


def _earlier(
    faces: list[tuple[str, NDArray[np.uint8]]], emotion: str, conflict: bool, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A face already written, of the same label or, for a conflict, of another."""
    fitting = [face for label, face in faces if (label != emotion) == conflict]
    return fitting[rng.integers(len(fitting))]

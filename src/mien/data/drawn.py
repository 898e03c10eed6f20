"""Drawn faces: the data set that Mien carries along as code.

FER-2013's photographs may not be passed on, and a demo, a notebook or a test should run on a fresh
machine without a download. So this module draws faces, 48 x 48 and gray as FER-2013's are, and labelled
in its seven classes: never to be mixed with photographs, and worth nothing as a measure of them.

Expressions are made as faces make them, from the action units of the Facial Action Coding System (Ekman &
Friesen 1978; Ekman, Friesen & Hager 2002), put together as its emotion tables do (EMFACS, Friesen & Ekman
1983): `_EXPRESSIONS` says which units an expression uses, `_MOVES` what each unit moves. People differ
(`_Person`), so do poses, lamps and cameras (`_View`), and each shows its expression more or less clearly.

Points are complex numbers, `x + 1j * y`, in pixels of a canvas four times as fine as the picture: x goes
right, or outwards where a thing is drawn on both sides; y goes down; mid-face is 0. So turning a head is
a product.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from mien.emotions import EMOTIONS
from mien.errors import UsageError

Points = NDArray[np.complex128]  # [N]
Moves = dict[str, list[float]]  # name in _MOVES -> right, left, mean of both

SIZE = 48
_FINE = 4
_CANVAS = SIZE * _FINE

# FER-2013's faces in a class, its three parts together; of disgust twice its share, or a small set had none.
_FREQUENCY = {
    "angry": 4953, "disgust": 2 * 547, "fear": 5121, "happy": 8989, "neutral": 6198, "sad": 6077, "surprise": 4002,
}  # fmt: skip
_COPY_EVERY = 50  # faces; one of so many is a copy of an earlier one ...
_CONFLICT_EVERY = 3  # copies; ... and one of so many copies lies in another class

# The action units that an expression shows, and those that half of its faces show too.
_EXPRESSIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "angry": ((4, 5, 7, 23), (10, 17)),
    "disgust": ((9, 10), (15, 16, 17, 25)),
    "fear": ((1, 2, 4, 5, 20, 25), (7, 26)),
    "happy": ((6, 12), (25, 26)),
    "neutral": ((), ()),
    "sad": ((1, 4, 15), (7, 17)),
    "surprise": ((1, 2, 5, 25, 26), (27,)),
}

# What a unit moves at full strength: pixels of the canvas, down (y) or outwards (x) positive; the rest are shares.
_MOVES: dict[str, dict[int, float]] = {
    "brow inner y": {1: -13, 2: -5, 4: 11, 9: 6},
    "brow middle y": {1: -4, 2: -11, 4: 7, 9: 5},
    "brow outer y": {1: 2, 2: -11, 6: 1},
    "brow inner x": {4: -5, 9: -3},
    "upper lid y": {5: -4.5, 6: 1, 7: 2, 9: 2, 12: 0.5},
    "lower lid y": {5: 1, 6: -3.5, 7: -3.5, 9: -2.5},
    "nose wing y": {9: -4.5, 10: -2},
    "cheek y": {6: -7, 9: -3, 12: -3},
    "corner x": {10: 2, 12: 9, 20: 9, 23: -5, 26: -4, 27: -6},
    "corner y": {12: -11, 15: 9, 17: 1, 20: 3, 26: 3, 27: 7},
    "upper lip y": {9: -4, 10: -7, 12: -1, 17: -2, 25: -3, 27: -2},
    "lower lip y": {10: 1, 12: 1, 16: 5, 17: -3, 25: 4, 26: 12, 27: 13},
    "jaw y": {17: -2, 26: 6, 27: 9},
    "fuller lips": {12: -0.15, 17: -0.1, 20: -0.25, 23: -0.55, 27: -0.1},
    "teeth": {10: 5, 12: 8, 16: 2, 20: 6},
    "frown": {4: 0.5, 9: 0.3},
    "forehead lines": {1: 0.15, 2: 0.15},
    "eye corner lines": {6: 0.4, 7: 0.1},
    "nose wrinkles": {9: 0.4, 10: 0.1},
    "nose fold": {6: 0.1, 9: 0.2, 10: 0.25, 12: 0.25, 20: 0.1},
    "mouth corner fold": {15: 0.3, 17: 0.1},
    "chin": {15: 0.05, 17: 0.15},
}
_UNITS = sorted({unit for moved in _MOVES.values() for unit in moved})
_MOVE_TABLE = np.array([[moved.get(unit, 0.0) for unit in _UNITS] for moved in _MOVES.values()])
_RIGHT, _LEFT, _MEAN = range(3)

_WHITE = 255
_EVEN = 160  # of a soft shade: neither lightens nor darkens; white lightens by 1.6
_ACROSS = np.linspace(-1, 1, 21)
_ARCH = 1 - _ACROSS**2
_CIRCLE = np.exp(np.linspace(0, 2j * np.pi, 18))
_HEAD = np.exp(np.linspace(-1j * np.pi, 1j * np.pi, 48))
_WAY = np.linspace(0, 1, 9)
_THROUGH = np.stack([(1 - _WAY) * (1 - 2 * _WAY), 4 * _WAY * (1 - _WAY), _WAY * (2 * _WAY - 1)], 1) + 0j
_PIXELS = np.add.outer(1j * (np.arange(SIZE) + 0.5), np.arange(SIZE) + 0.5) * _FINE


@dataclass(frozen=True)
class _Person:
    """One person's looks: lengths in pixels of the canvas, tones in gray levels, sizes and strengths in shares."""

    width: float
    height: float
    jaw: float
    skin: float
    age: float
    eye_x: float
    eye: float
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
    glasses: float


def _person(rng: np.random.Generator) -> _Person:
    """Somebody."""
    between, chance = rng.uniform, lambda share: bool(rng.random() < share)
    long = chance(0.45)
    return _Person(
        width=between(57, 69), height=between(84, 94), jaw=between(0.62, 0.9), skin=between(105, 215),
        age=between(0, 1) ** 2, eye_x=between(27, 33), eye=between(0.9, 1.25), iris=between(15, 80),
        lashes=between(2, 4.5), brow=between(3.5, 8.5), brow_y=between(-46, -40), nose=between(10, 17),
        nose_y=between(17, 26), mouth=between(20, 28), mouth_y=between(46, 53), lips=between(0.6, 1.4),
        hair=between(*((15, 50), (50, 110), (150, 220))[rng.choice(3, p=(0.55, 0.27, 0.18))]),
        volume=between(4, 11) + 9 * chance(0.25), curl=between(0.02, 0.06) * chance(0.3),
        hairline=between(-76, -60), parting=between(-0.7, 0.7), fringe=between(2, 9),
        fall=between(55, 120) if long else -10, bald=not long and chance(0.12),
        beard=between(0.3, 0.9) * (not long and chance(0.35)), glasses=between(1.5, 4) * chance(0.15),
    )  # fmt: skip


@dataclass(frozen=True)
class _View:
    """How a head is held, lit and taken: pixels of the canvas, radians, shares; blur and noise of the picture."""

    middle: complex
    scale: float
    roll: float
    turn: complex
    lamp: float
    relief: float
    contrast: float
    exposure: float
    blur: float
    noise: float


def _view(rng: np.random.Generator) -> _View:
    """A head held roughly upright, in some light, before some camera."""
    return _View(
        middle=complex(*rng.normal(_CANVAS / 2, 4, 2)), scale=rng.uniform(0.98, 1.2), roll=rng.normal(0, 0.08),
        turn=complex(rng.uniform(-12, 12), rng.uniform(-5, 5)), lamp=rng.uniform(-np.pi, 0),
        relief=rng.uniform(0.15, 0.6), contrast=rng.uniform(0.8, 1.25), exposure=rng.normal(0, 14),
        blur=rng.uniform(0, 0.7), noise=rng.uniform(1.5, 8),
    )  # fmt: skip


class _Sheet:
    """The canvas: tones, soft shades that multiply them, and where the body is at all.

    Shapes wait until `layers`, which puts all their points in place at once. `near` is how much of a turn
    of the head a shape follows; `left` draws it on the other side.
    """

    def __init__(self) -> None:
        self._layers = [Image.new("L", (_CANVAS, _CANVAS), ground) for ground in (0, _EVEN, 0)]
        self._tone, self._shade, self._body = (ImageDraw.Draw(layer) for layer in self._layers)
        self._waiting: list[tuple[Callable[..., None], Points, tuple[int, ...], float]] = []

    def body(self, points: Points, tone: float, left: int = _RIGHT) -> None:
        """Fill part of the outline of the body, which no turn moves."""
        self._wait(self._tone.polygon, points, (tone,), 0, left)
        self._wait(self._body.polygon, points, (_WHITE,), 0, left)

    def area(self, points: Points, tone: float, left: int = _RIGHT, near: float = 1) -> None:
        """Fill a polygon."""
        self._wait(self._tone.polygon, points, (tone,), near, left)

    def line(self, points: Points, tone: float, width: float, left: int = _RIGHT, near: float = 1) -> None:
        """Draw a line through points."""
        self._wait(self._tone.line, points, (tone, width), near, left)

    def soft(self, points: Points, light: float, left: int = _RIGHT, near: float = 1) -> None:
        """Lighten (above 1) or darken (below 1) a polygon, with soft borders."""
        self._wait(self._shade.polygon, points, (light * _EVEN,), near, left)

    def crease(self, points: Points, light: float, width: int, left: int = _RIGHT) -> None:
        """Lighten or darken a line, with soft borders."""
        self._wait(self._shade.line, points, (light * _EVEN, width), 1, left)

    def _wait(self, draw: Callable[..., None], points: Points, ink: tuple[float, ...], near: float, left: int) -> None:
        whole = tuple(min(_WHITE, max(0, round(value))) for value in ink)
        self._waiting.append((draw, -points.conj() if left else points, whole, near))

    def layers(self, width: float, view: _View) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Tone in gray levels, shade as a factor, body as a share, each [48, 48], of a face so wide, seen so."""
        ends = np.cumsum([len(points) for _, points, _, _ in self._waiting])
        points = np.concatenate([points for _, points, _, _ in self._waiting])
        near = np.repeat([near for _, _, _, near in self._waiting], np.diff(ends, prepend=0))
        turned = points + view.turn * near * (1 - np.minimum(1, (points.real / width) ** 2))
        placed = (turned * view.scale * np.exp(1j * view.roll) + view.middle).view(np.float64).tolist()
        for end, (draw, shape, ink, _) in zip(ends.tolist(), self._waiting, strict=True):
            draw(placed[2 * (end - len(shape)) : 2 * end], *ink)
        tone, shade, body = (layer.reduce(_FINE) for layer in self._layers)
        shade = shade.filter(ImageFilter.GaussianBlur(1))
        return (
            np.asarray(tone, np.float64),
            np.asarray(shade, np.float64) / _EVEN,
            np.asarray(body, np.float64) / _WHITE,
        )


def _points(*points: complex) -> Points:
    return np.array(points, np.complex128)


def _curve(start: complex, middle: complex, end: complex) -> Points:
    """A smooth line [9] from the first point through the second to the third."""
    return _THROUGH @ _points(start, middle, end)


def _ellipse(middle: complex, across: float, down: float) -> Points:
    """An ellipse [18] by its middle and its half axes."""
    return middle + across * _CIRCLE.real + 1j * down * _CIRCLE.imag


def _between(upper: Points, lower: Points) -> Points:
    """The polygon between two lines that run the same way."""
    return np.concatenate([upper, lower[::-1]])


def _outline(person: _Person, drop: float, grow: float = 0) -> Points:
    """The face's contour [48] from ear over crown and ear to chin; the chin dropped, all of it grown."""
    low = np.maximum(0, _HEAD.imag) ** 2
    wide = np.sign(_HEAD.real) * np.abs(_HEAD.real) ** 0.85 * (1 - (1 - person.jaw) * low)
    return wide * (person.width + grow) + 1j * (_HEAD.imag * (person.height + grow) + drop * low)


def _crown(person: _Person) -> Points:
    """The outer border of the hair [M], from temple to temple; curls make it wavy."""
    crown = _outline(person, 0, person.volume)
    crown = crown[crown.imag <= -25]
    return crown * (1 + person.curl * np.sin(2.1 * np.arange(len(crown))))


def _draw_head(sheet: _Sheet, person: _Person, move: Moves) -> None:
    """Back hair, neck, ears, and the bare face, darker where it turns away."""
    if not person.bald:
        long = person.fall > 0
        end = person.width + person.volume * long + 1j * person.fall
        inner = person.width * 0.5 + 1j * (person.fall + 8)
        sheet.body(np.concatenate([_crown(person), _points(end, inner, -inner.conjugate(), -end.conjugate())]),
                   person.hair * 0.8)  # fmt: skip
    neck, drop = person.width * 0.62, move["jaw y"][_MEAN]
    sheet.body(_points(-neck + 50j, neck + 50j, neck * 1.1 + 130j, -neck * 1.1 + 130j), person.skin * 0.66)
    for left in (_RIGHT, _LEFT):
        if person.fall <= 0:
            sheet.body(_ellipse(person.width + 2j, 8, 17), person.skin * 0.85, left)
    sheet.body(_outline(person, drop), person.skin)
    sheet.soft(_outline(person, drop), 0.88, near=0)
    sheet.soft(_outline(person, drop, -9), 1, near=0)


def _draw_beard(sheet: _Sheet, person: _Person, move: Moves) -> None:
    """A beard up to the nose, as a shade of the skin: full, or stubble."""
    jaw = _outline(person, move["jaw y"][_MEAN])
    jaw = jaw[jaw.imag > 5]
    upper = 5 + (person.mouth_y - 18) * (1 - np.abs(jaw.real / person.width) ** 3)
    tone = person.beard * person.hair + (1 - person.beard) * person.skin
    sheet.soft(_between(jaw, jaw.real * 0.95 + 1j * np.minimum(jaw.imag, upper)), tone / person.skin, near=0.6)


def _draw_skin(sheet: _Sheet, person: _Person, move: Moves, side: int) -> None:
    """One cheek, and the lines that movement and age draw around it."""
    mouth, brow = person.mouth_y, person.brow_y + move["brow middle y"][side]
    lift, age = move["cheek y"][side], 0.04 + 0.14 * person.age
    corner = person.mouth + move["corner x"][side] + 1j * (mouth + move["corner y"][side])
    start = person.nose + 4 + 1j * (person.nose_y - 5 + move["nose wing y"][side])
    bulge = 5 + 14 * move["nose fold"][side]
    sheet.soft(_ellipse(38 + 1j * (19 + lift), 14, 11), 1.07 - 0.012 * lift, side)
    fold, fall = _curve(start, (start + corner) / 2 + bulge, corner + 8 - 3j), _points(corner + 2j, corner + 2 + 14j)
    sheet.crease(fold, 1 - age - move["nose fold"][side], 5, side)
    sheet.crease(fall, 1 - age - move["mouth corner fold"][side], 5, side)
    sheet.crease(_curve(20 - 5j, 32 + 1j * (lift / 3 - 1), 46 - 8j), 1 - age, 4, side)
    sheet.crease(_points(4 - 20j, 6 + 1j * (brow + 3)), 1 - move["frown"][side], 4, side)
    for fan in (-0.6, 0.0, 0.6):
        outer = person.eye_x + 17 * person.eye - 15j + fan * 5j
        sheet.crease(_points(outer, outer + 9 * np.exp(1j * fan)), 1 - age - move["eye corner lines"][side], 2, side)
    for row in (-9, -17):
        line = _curve(1j * (brow + row - 3), 18 + 1j * (brow + row - 2), 34 + 1j * (brow + row + 1))
        sheet.crease(line, 1 - age - move["forehead lines"][side], 3, side)


def _draw_nose(sheet: _Sheet, person: _Person, move: Moves, shaded: int) -> None:
    """Bridge, tip, wings and nostrils; the bridge shades one side."""
    tip, wing, skin = 1j * person.nose_y, person.nose, person.skin
    sheet.soft(_points(4 - 20j, 13 - 19j, wing + 2 + tip - 2j, 5 + tip), 0.84, shaded)
    sheet.soft(_ellipse(tip + 7j, wing, 4), 0.84)
    sheet.soft(_points(-3 - 18j, 3 - 18j, 5 + tip - 4j, -5 + tip - 4j), 1.12, near=1.25)
    for side in (_RIGHT, _LEFT):
        lift = 1j * move["nose wing y"][side]
        edge = tip + _curve(wing - 2 - 9j + lift, wing - 2j + lift, wing - 5 + 2j)
        sheet.line(edge, skin * 0.62, 2, side, 1.2)
        sheet.area(_ellipse(wing * 0.45 + tip + 2j + lift / 2, 3.5, 2.2), skin * 0.32, side, 1.2)
        for row in (-7j, 1j):
            sheet.crease(_curve(2 + row, 7 + row - 2j, 12 + row - 7j), 1 - move["nose wrinkles"][side], 3, side)


def _draw_mouth(sheet: _Sheet, person: _Person, move: Moves) -> None:
    """Lips, and between them the teeth and the dark."""
    corner_x, corner_y = (np.where(_ACROSS > 0, *move[name][:2]) for name in ("corner x", "corner y"))
    raised, lowered = move["upper lip y"][_MEAN], move["lower lip y"][_MEAN]
    full, apart = person.lips * max(0.25, 1 + move["fuller lips"][_MEAN]), max(0.0, lowered - 0.55 * raised - 3)
    line = _ACROSS * (person.mouth + corner_x) + 1j * (person.mouth_y + (corner_y - 1.5) * np.abs(_ACROSS) ** 1.7)
    top = line + 0.9j * raised * _ARCH**0.7
    bottom = top + 1j * apart * _ARCH**0.6
    bow = 1 - 0.3 * np.exp(-((_ACROSS / 0.18) ** 2))
    upper, lower = top - 7j * full * _ARCH**0.7 * bow, bottom + 9j * full * _ARCH**0.6
    sheet.soft(_ellipse(lower[10] + 5j, 14, 4), 0.86 - move["chin"][_MEAN])
    sheet.soft(_between(upper, lower), 1)
    sheet.soft((0.5 * lower.real + 0.5j * (bottom + lower).imag)[5:16], 1.12)
    sheet.area(_between(upper, lower), person.skin * 0.68)
    if apart > 2:
        teeth = np.minimum(max(0.0, move["teeth"][_MEAN]) * _ARCH**0.5, (bottom - top).imag)
        sheet.area(_between(top, bottom), person.skin * 0.18)
        sheet.area(_between(top, top + 1j * teeth), 150 + person.skin * 0.35)
    sheet.line(top, person.skin * 0.28, 2)


def _draw_eye(sheet: _Sheet, person: _Person, move: Moves, gaze: complex, side: int) -> None:
    """One eye: socket, white, iris, glint, lids."""
    middle, across = person.eye_x - 16j, 14.5 * person.eye * _ACROSS
    above = np.maximum(1.0, 7.5 * person.eye - move["upper lid y"][side]) * _ARCH**0.75
    below = np.maximum(0.5, 5.5 * person.eye + move["lower lid y"][side]) * _ARCH
    upper, lower = middle + across - 1j * above, middle + across + 1j * below
    sheet.soft(_ellipse(middle - 3j, 19 * person.eye, 13), 0.88, side)
    sheet.area(_between(upper, lower), min(235, 110 + person.skin * 0.55), side)
    for radius, tone in ((7.6 * person.eye, person.iris), (3.4 * person.eye, 10)):
        ball = _ellipse(gaze - 1.5j, radius, radius)
        limits = (np.interp(ball.real, across, edge) for edge in (-above, below))
        sheet.area(middle + ball.real + 1j * np.clip(ball.imag, *limits), tone, side)
    sheet.area(_ellipse(middle + gaze - 2.5 - 3.5j, 1.6, 1.6), 245, side)
    sheet.line(upper, 20 + person.skin * 0.12, person.lashes, side)
    sheet.line(lower, person.skin * 0.6, 1, side)
    sheet.line(upper - 5j, person.skin * 0.72, 1, side)


def _draw_brow(sheet: _Sheet, person: _Person, move: Moves, side: int) -> None:
    """One brow, thick within and thin without."""
    spine = 1j * person.brow_y + _curve(
        13 + move["brow inner x"][side] + 1j * (3 + move["brow inner y"][side]),
        31 + 1j * (move["brow middle y"][side] - 2),
        49 + 1j * (move["brow outer y"][side] + 4),
    )
    half = person.brow / 2j * (1 - 0.65 * _WAY)
    sheet.area(_between(spine + half, spine - half), min(person.hair, person.skin * 0.7), side)


def _draw_hair(sheet: _Sheet, person: _Person) -> None:
    """The hair before the forehead, from the crown to the hairline, with a gloss and some strands."""
    crown = _crown(person)
    across = np.linspace(-1, 1, len(crown))
    far = np.abs(across - person.parting * (1 - np.abs(across))) ** person.fringe
    line = across * (person.width + 1) + 1j * (person.hairline - (8 + person.hairline) * np.minimum(1, far))
    sheet.area(_between(crown, line), person.hair, near=0.3)
    for strand, light in ((0.2, 0.85), (0.45, 1.12), (0.55, 1.15), (0.8, 0.85)):
        sheet.line(crown * (1 - strand) + line * strand, person.hair * light, 2, near=0.3)


def _draw_glasses(sheet: _Sheet, person: _Person) -> None:
    """Two rims, their temples and a bridge."""
    for side in (_RIGHT, _LEFT):
        sheet.line(_ellipse(person.eye_x - 13j, 20, 16), 35, person.glasses, side)
        sheet.line(_points(person.eye_x + 20 - 15j, person.width - 18j), 35, person.glasses, side)
    sheet.line(_curve(20 - person.eye_x - 15j, -18j, person.eye_x - 20 - 15j), 35, person.glasses)


def _moves(emotion: str, rng: np.random.Generator) -> Moves:
    """What an expression moves: its own action units act at some strength, and others a little; no face is even."""
    always, sometimes = _EXPRESSIONS[emotion]
    strength = rng.uniform(0.7, 1.3)
    activity = rng.uniform(0, 0.35, len(_UNITS)) * (rng.random(len(_UNITS)) < 0.3)
    for unit, share in [(unit, 0.96) for unit in always] + [(unit, 0.5) for unit in sometimes]:
        if rng.random() < share:
            activity[_UNITS.index(unit)] = strength * rng.uniform(0.65, 1.3)
    sides = (_MOVE_TABLE @ activity)[:, None] * (1 + rng.normal(0, 0.12, (len(_MOVES), 2)))
    return dict(zip(_MOVES, np.c_[sides, sides.mean(axis=1)].tolist(), strict=True))


def _background(rng: np.random.Generator) -> NDArray[np.float64]:
    """Something out of focus, [48, 48] gray levels."""
    patches = np.clip(rng.uniform(20, 220) + rng.normal(0, 35, (4, 4)), 0, 255).astype(np.uint8)
    return np.asarray(Image.fromarray(patches).resize((SIZE, SIZE), Image.Resampling.BICUBIC), np.float64)


def _light(person: _Person, view: _View) -> NDArray[np.float64]:
    """The lamp's light on a head-shaped ellipsoid, [48, 48], about 1."""
    from_middle = _PIXELS - view.middle
    right, down = from_middle.real / (person.width * 1.35), from_middle.imag / (person.height * 1.35)
    front = np.sqrt(np.maximum(0.05, 1 - right**2 - down**2))
    return 1 + view.relief * (right * np.cos(view.lamp) + down * np.sin(view.lamp) + 0.8 * front - 0.75)


def _develop(picture: NDArray[np.float64], view: _View, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The camera's share: contrast, exposure, blur, noise."""
    exposed = np.clip((picture - 128) * view.contrast + 128 + view.exposure, 0, 255).astype(np.uint8)
    blurred = Image.fromarray(exposed).filter(ImageFilter.GaussianBlur(view.blur))
    return np.clip(np.asarray(blurred) + view.noise * rng.standard_normal((SIZE, SIZE)), 0, 255).astype(np.uint8)


def draw_face(emotion: str, rng: np.random.Generator) -> NDArray[np.uint8]:
    """One face that shows an expression of `EMOTIONS`, gray [48, 48]; all else about it comes from `rng`."""
    person, view, move = _person(rng), _view(rng), _moves(emotion, rng)
    gaze, sheet = complex(rng.normal(0, 1.5), rng.normal(0, 0.7)), _Sheet()
    _draw_head(sheet, person, move)
    if person.beard:
        _draw_beard(sheet, person, move)
    for side in (_RIGHT, _LEFT):
        _draw_skin(sheet, person, move, side)
        _draw_eye(sheet, person, move, gaze if side == _RIGHT else -gaze.conjugate(), side)
        _draw_brow(sheet, person, move, side)
    _draw_nose(sheet, person, move, shaded=_LEFT if np.cos(view.lamp) > 0 else _RIGHT)
    _draw_mouth(sheet, person, move)
    if person.glasses:
        _draw_glasses(sheet, person)
    if not person.bald:
        _draw_hair(sheet, person)
    tone, shade, body = sheet.layers(person.width * 1.15, view)
    return _develop(tone * shade * _light(person, view) + (1 - body) * _background(rng), view, rng)


def write_drawn(folder: Path, count: int = 1400, seed: int = 0) -> None:
    """Write `count` faces as `<folder>/<emotion>/drawn_<number>.png`: the same bytes for the same arguments.

    Classes are about as frequent as FER-2013's, and, as there, some faces are exact copies of earlier ones,
    now and then under another label. A face depends on its number and `seed`, never on `count`.
    Raises UsageError if there is anything in the folder.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: not an empty folder; drawn faces go into one of their own, so name a new one")
    faces: list[tuple[str, NDArray[np.uint8]]] = []
    for number, emotion in zip(range(count), _labels(), strict=False):
        rng = np.random.default_rng((seed, number))
        copies, rest = divmod(number + 1, _COPY_EVERY)
        face = draw_face(emotion, rng) if rest else _earlier(faces, emotion, copies % _CONFLICT_EVERY == 0, rng)
        faces.append((emotion, face))
        path = folder / emotion / f"drawn_{number:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(face).save(path)


def _labels() -> Iterator[str]:
    """Classes without end: each of them once, then always the one that lags most behind its frequency."""
    have = dict.fromkeys(EMOTIONS, 0)
    while True:
        emotion = max(EMOTIONS, key=lambda name: _FREQUENCY[name] / (have[name] or 1e-9))
        have[emotion] += 1
        yield emotion


def _earlier(
    faces: list[tuple[str, NDArray[np.uint8]]], emotion: str, conflict: bool, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A face drawn before: of the same label or, for a conflict, of another."""
    fitting = [face for label, face in faces if (label != emotion) == conflict]
    return fitting[rng.integers(len(fitting))]

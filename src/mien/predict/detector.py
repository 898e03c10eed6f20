"""Finding the faces in a picture, whichever way it or they are turned.

YuNet sees faces of some 15 to 400 pixels that stand within 40 degrees of upright. So each picture is looked at twice:
small, for faces that fill it, and large, for groups; where small faces are wanted in a large photo, a third time, in
tiles. What is found with less than certainty is cut out and looked at again by itself, and turned unless another face
shows that the picture is upright: that tells a face from a pattern, and which way up it is. A picture whose faces lie
on their side, or stand on their head, does so itself.
"""

from __future__ import annotations

import cmath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil, degrees, radians, sqrt
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from mien.boxes import Corners, distinct, intersection
from mien.predict.faces import ALIGNING, POSITIONS, alignment, turned_square
from mien.predict.yunet import DetectedFace, detect

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_FACE = 50  # pixels: a 12-megapixel photo costs some 2.2 times what one of a megapixel does, with 24 some 12 times
_SMALL_LOOK, _LARGE_LOOK = 320, 1280  # longer side, in pixels, of what the detector is shown
_TILE, _SHARED = 2048, 160  # pixels, largest side of a look in one piece or a tile; what neighbouring tiles share
_LEAST_PIXELS = 24  # of a face, for the detector to see it well
_MOST_ENLARGED = 2
_SAME = 0.3  # overlap (intersection over union) from which on two finds are one face
_SMALLEST = 8  # pixels, side of a face

# Scores: an upright face for certain; a face; worth a second look, and the same for small faces in large photos.
_SURE, _LIKELY, _CANDIDATE, _SMALL_CANDIDATE = 0.92, 0.75, 0.4, 0.25
_TILTED, _STEEP = 15, 25  # degrees from upright beyond which a face is looked at again, and is taken as seen then
# Mean scores of the second look that make a candidate a face, a small one too, and a likely face none.
_CONFIRMED, _CONFIRMED_SMALL, _REFUTED = 0.66, 0.78, 0.2
_CONFIRMED_TURNED, _MARGIN = 0.75, 0.06  # the same for a face the other way up, and by how much it must be better
_HOPELESS = 0.55  # of all views, the best score that is no face
_UPRIGHT, _TURNED = (0, 45, 315), (90, 135, 180, 225, 270)  # degrees, of second looks
_MOST_CANDIDATES = 12  # of a picture, and 4 more for each 1.6 megapixels, those with the highest scores
_CLOSE, _ROOM = 160, 1.8  # pixels of a second look; its side beside that of the face
_ALIKE = 25  # degrees from a quarter turn within which a face lies as its picture does

_BACK = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


@dataclass(frozen=True)
class Detection:
    """The faces of a picture, from left to right, in its own pixels; turned: by how many degrees clockwise it lies."""

    faces: list[DetectedFace]
    turned: int = 0


def find_faces(image: Image.Image, min_face: float = MIN_FACE, turned: int | None = None) -> Detection:
    """All faces of a picture in mode L or RGB.

    min_face: side in pixels of faces that are worth looking for; photos of more than 1,280 / 24 times as many pixels
    across take longer, the smaller it is. turned: by how many degrees clockwise (0, 90, 180, 270) the picture is known
    to lie; None to find out.
    """
    if turned:
        upright = image.transpose(_BACK[turned])
        faces = [_turned_back(face, image, turned) for face in find_faces(upright, min_face, 0).faces]
        return Detection(sorted(faces, key=lambda face: face.box), turned)
    faces = _judged(_candidates(image, min_face), image, tell_turn=turned is None)
    if turned is None:
        votes = dict.fromkeys((0, 90, 180, 270), 0.0)
        for face in faces:
            votes[_quarter(face)] += max(0.0, face.score - _LIKELY)
        quarter = max(votes, key=votes.__getitem__)
        if quarter:
            return find_faces(image, min_face, quarter)
    return Detection(sorted(faces, key=lambda face: face.box))


def look(image: Image.Image, side: int, least: float = _LIKELY) -> list[DetectedFace]:
    """The faces seen when the picture is `side` pixels long, with scores of at least `least`."""
    small, factor = _scaled(image, side)
    (faces,) = detect([small], least)
    return [_moved(face, 0, factor) for face in faces]


def roll(face: DetectedFace) -> float:
    """By how many degrees clockwise a face is turned, from -180 to 180."""
    return degrees(cmath.phase(alignment(face.landmarks)[0]))


def _candidates(image: Image.Image, min_face: float) -> list[DetectedFace]:
    """What may be a face, the highest score first."""
    longest = max(image.size)
    wanted = round(longest * min(1.0, _LEAST_PIXELS / min_face))
    in_tiles = wanted > _TILE
    large = _LARGE_LOOK if in_tiles else max(wanted, _LARGE_LOOK)
    sides = sorted({min(side, _MOST_ENLARGED * longest) for side in (_SMALL_LOOK, large)})
    found = [face for side in sides for face in look(image, side, _CANDIDATE) if _is_sound(face, image)]
    found = [found[i] for i in distinct([face.box for face in found], [face.score for face in found], _SAME)]
    if in_tiles:
        likely = [face for face in found if face.score >= _LIKELY]
        tiled = [
            face for face in _look_in_tiles(image, wanted) if _is_sound(face, image) and not _covered(face, likely)
        ]
        found += [tiled[i] for i in distinct([face.box for face in tiled], [face.score for face in tiled], _SAME)]
    return sorted(found, key=lambda face: -face.score)


def _look_in_tiles(image: Image.Image, side: int) -> Iterator[DetectedFace]:
    """The small faces seen when the picture is `side` pixels long, a part at a time."""
    large, factor = _scaled(image, side)
    for top, bottom in _parts(large.height):
        for left, right in _parts(large.width):
            for face in detect([large.crop((left, top, right, bottom))], _SMALL_CANDIDATE)[0]:
                if max(face.box.width, face.box.height) < _SHARED:  # larger ones were seen at the second look
                    yield _moved(face, complex(left, top), factor)


def _parts(length: int) -> list[tuple[int, int]]:
    """Where tiles begin and end that cover a side, all of one length, and share some pixels."""
    count = max(1, ceil((length - _SHARED) / (_TILE - _SHARED)))
    tile = ceil((length + (count - 1) * _SHARED) / count)
    return [(round(start), round(start) + tile) for start in np.linspace(0, length - tile, count)]


def _covered(face: DetectedFace, others: Sequence[DetectedFace]) -> bool:
    """Whether most of a box lies in another, or most of another in it."""
    first, second = np.array(face.box), np.array([other.box for other in others]).reshape(-1, 4)
    smaller = np.minimum((first[2:] - first[:2]).prod(), (second[:, 2:] - second[:, :2]).prod(1))
    return bool((intersection(first, second) > 0.5 * smaller).any())


def _scaled(image: Image.Image, side: int) -> tuple[Image.Image, float]:
    factor = side / max(image.size)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0), factor


def _moved(face: DetectedFace, start: complex, factor: float) -> DetectedFace:
    """A face seen in a part, which begins at `start`, of a picture made `factor` times as large."""
    shift = np.array([start.real, start.imag])
    box = (np.array(face.box).reshape(2, 2) + shift).ravel() / factor
    return replace(face, box=Corners(*box.tolist()), landmarks=(face.landmarks + shift) / factor)


def _judged(candidates: Sequence[DetectedFace], image: Image.Image, tell_turn: bool) -> list[DetectedFace]:
    """Those candidates, the highest score first, that are faces, looked at again where there is doubt."""
    faces: list[DetectedFace] = []
    upright = not tell_turn or any(face.score >= _SURE and abs(roll(face)) < _TILTED for face in candidates)
    seconds, most = 0, _MOST_CANDIDATES * (3 + image.width * image.height // _LARGE_LOOK**2) // 3
    for face in candidates:
        likely = face.score >= _LIKELY
        if abs(roll(face)) < _TILTED and face.score >= (_LIKELY if upright else _SURE):
            faces.append(face)
        elif seconds < most and (likely or not _covered(face, faces)):
            seconds += 1
            again = _second_look(face, image, not upright)
            upright |= likely and again is face
            if again and ((likely and again is face) or not _covered(again, faces)):
                faces.append(again)
        elif likely:
            faces.append(face)
    return faces


def _second_look(face: DetectedFace, image: Image.Image, tell_turn: bool) -> DetectedFace | None:
    """A candidate by itself: the same, the same the other way up, or None where it is no face."""
    likely, straight = face.score >= _LIKELY, abs(roll(face)) < _TILTED
    if likely and straight and tell_turn:
        ahead, *others = _seen([_close(image, face, angle).picture for angle in (0, 90, 180, 270)])
        if ahead.score >= _LIKELY and ahead.score > max(other.score for other in others) + _MARGIN:
            return face
    angles = _UPRIGHT + (_TURNED if tell_turn else ())
    views = {angle: _close(image, face, angle) for angle in angles}
    first = dict(zip(angles, _seen([view.picture for view in views.values()]), strict=True))
    angle = upright = max(_UPRIGHT, key=lambda angle: first[angle].score)
    best = max(first, key=lambda angle: first[angle].score)
    if not likely and first[best].score < _HOPELESS:
        return None
    if best in _TURNED and _mean_score(views[best].picture) > _mean_score(views[upright].picture) + _MARGIN:
        angle = best
    if angle or not straight:
        other = views[angle].place(first[angle])
        for _ in range(2):  # landmarks are drawn towards the upright: step by step they come to the face's own
            view = _close(image, other, roll(other))
            other = view.place(_seen([view.picture])[0])
        steep = _is_sound(other, image) and abs(roll(other)) >= _STEEP
        if steep and _mean_score(_close(image, other, roll(other)).picture) >= _CONFIRMED_TURNED:
            return replace(other, score=max(face.score, other.score))
    score = _mean_score(_close(image, face, roll(face)).picture)
    small = face.box.width < _LEAST_PIXELS * max(image.size) / _LARGE_LOOK  # seen in a tile alone
    confirmed = _CONFIRMED_SMALL if small else _CONFIRMED
    return face if score >= (_REFUTED if likely else confirmed) else None


def _mean_score(picture: Image.Image) -> float:
    """How much like a face a second look is: as it is and with full contrast, and both mirrored."""
    clear = ImageOps.autocontrast(picture.convert("L"), 1).convert(picture.mode)
    views = [picture, clear]
    return float(np.mean([face.score for face in _seen([*views, *map(ImageOps.mirror, views)])]))


def _seen(pictures: Sequence[Image.Image]) -> list[DetectedFace]:
    """The likeliest face around the middle of each second look; one with a score of 0 where there is none."""
    middle = Corners(*(_CLOSE * edge for edge in (0.25, 0.25, 0.75, 0.75)))
    nothing = DetectedFace(middle, _CLOSE * POSITIONS, 0.0)
    found = [[face for face in faces if _is_in(face.box, middle)] for faces in detect(pictures, 0.05)]
    return [max(faces, key=lambda face: face.score, default=nothing) for faces in found]


def _is_in(box: Corners, area: Corners) -> bool:
    """Whether the middle of a box is in an area."""
    across, down = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    return Corners(across, down, across, down).inside(area)


@dataclass(frozen=True)
class _View:
    """A second look: the square from `origin` to origin + turn * (1 + 1j), upright."""

    picture: Image.Image
    origin: complex
    turn: complex

    def place(self, face: DetectedFace) -> DetectedFace:
        """A face seen in it, in pixels of the whole picture; its box stands upright around the same middle."""
        step, box = self.turn / _CLOSE, face.box
        points = self.origin + step * (face.landmarks @ [1, 1j])
        middle = self.origin + step * complex(box.left + box.right, box.top + box.bottom) / 2
        width, height = abs(step) * box.width, abs(step) * box.height
        if abs(step.imag) > abs(step.real):
            width, height = height, width
        corners = Corners.of(middle.real - width / 2, middle.imag - height / 2, width, height)
        return DetectedFace(corners, _coordinates(points), face.score)


def _close(image: Image.Image, face: DetectedFace, angle: float) -> _View:
    """A face with some room around it, turned upright by `angle` degrees."""
    left, top, right, bottom = face.box
    across, down = min(max((left + right) / 2, 0), image.width - 1), min(max((top + bottom) / 2, 0), image.height - 1)
    turn = cmath.rect(_ROOM * max(1.0, sqrt((right - left) * (bottom - top))), radians(angle))
    origin = complex(across, down) - turn * (1 + 1j) / 2
    return _View(turned_square(image, origin, turn, _CLOSE, max(1, int(abs(turn) / _CLOSE))), origin, turn)


def _coordinates(points: NDArray[np.complexfloating]) -> NDArray[np.float64]:
    """Across and down [N, 2] of complex points [N]."""
    return np.stack([points.real, points.imag], 1).astype(np.float64)


def _quarter(face: DetectedFace) -> int:
    """The quarter turn by which a face lies, 0 where it is between two."""
    quarter = round(roll(face) / 90)
    return 90 * (quarter % 4) if abs(roll(face) - 90 * quarter) <= _ALIKE else 0


def _turned_back(face: DetectedFace, image: Image.Image, turned: int) -> DetectedFace:
    """A face of the upright picture in pixels of `image`, which lies by `turned` degrees clockwise."""
    width, height = image.size
    corner = {90: complex(width, 0), 180: complex(width, height), 270: complex(0, height)}[turned]
    turn = 1j ** (turned // 90)
    points = corner + turn * (face.landmarks @ [1, 1j])
    ends = corner + turn * (np.array(face.box).reshape(2, 2) @ [1, 1j])
    box = Corners(ends.real.min(), ends.imag.min(), ends.real.max(), ends.imag.max())
    return DetectedFace(box, _coordinates(points), face.score)


def _is_sound(face: DetectedFace, image: Image.Image) -> bool:
    """Whether a face lies in the picture and has a size: otherwise there is nothing to cut out."""
    if not np.isfinite(face.landmarks).all():
        return False
    across, down = face.landmarks[ALIGNING].mean(0)
    side = abs(alignment(face.landmarks)[0])
    return 0 <= across < image.width and 0 <= down < image.height and _SMALLEST <= side <= 4 * max(image.size)

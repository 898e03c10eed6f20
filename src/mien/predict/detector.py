"""Finding the faces in a picture, whichever way it or they are turned.

YuNet sees faces of some 20 to 400 pixels that stand within 40 degrees of upright. So each picture is looked at twice:
large, for groups, and small, for faces that fill it; one that is too large for one piece a third time, in tiles. What
is found with less than certainty is cut out and looked at again by itself, and turned unless another face shows that
the picture is upright: that tells a face from a pattern, and which way up it is. A picture whose faces lie on their
side, or stand on their head, does so itself.
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

MIN_FACE = 96  # pixels: photos of 5 megapixels and more are shown at half their size
_LARGE_LOOK, _SMALL_LOOK = 1_228_800, 320  # pixels of the large look, at least; longer side of the small one
_TILE, _SHARED = 2048, 160  # pixels, largest side of a look in one piece or a tile; what neighbouring tiles share
_LARGEST_IN_TILES = 320  # pixels of a face in a tile; larger ones are seen at the other looks
_LEAST_PIXELS = 48  # of a face, for the detector to see it well
_MOST_ENLARGED, _LEAST_ENLARGED = 2.0, 1.2
_SAME = 0.3  # overlap (intersection over union) from which on two finds are one face
_SMALLEST = 8  # pixels, side of a face

# Scores: an upright face for certain; a face; worth a second look, and the same where that shows more pixels.
_SURE, _LIKELY, _CANDIDATE, _FAINT = 0.92, 0.75, 0.4, 0.25
_TILTED, _STEEP = 15, 25  # degrees from upright beyond which a face is looked at again, and is taken as seen then
# Mean scores of the second look that make a candidate a face, a faint one too, and a likely face none.
_CONFIRMED, _CONFIRMED_FAINT, _REFUTED = 0.66, 0.78, 0.2
_CONFIRMED_TURNED, _MARGIN = 0.75, 0.06  # the same for a face the other way up, and by how much it must be better
_AHEAD_BY = 0.03  # by how much a view is better than the other quarter turns
_HOPELESS = 0.55  # of all views, the best score that is no face
_UPRIGHT, _TURNED = (0, 45, 315), (90, 135, 180, 225, 270)  # degrees, of second looks
_MOST_CANDIDATES = 12  # of a picture, and 4 more for each 1.2 megapixels, those with the highest scores
_CLOSE, _ROOM = 160, 1.8  # pixels of a second look; its side beside that of the face
_QUICK = 128  # pixels of the views that only tell which way up a face is
_ALIKE = 25  # degrees from a quarter turn within which faces lie as their picture does

_BACK = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}


@dataclass(frozen=True)
class Detection:
    """The faces of a picture, from left to right, in its own pixels; turned: by how many degrees clockwise it lies."""

    faces: list[DetectedFace]
    turned: int = 0


def find_faces(image: Image.Image, min_face: float = MIN_FACE, turned: int | None = None) -> Detection:
    """All faces of a picture in mode L or RGB.

    min_face: side in pixels of faces that are worth looking for. The picture is shown to the detector so large that
    they have 48 pixels, and that it has 1.2 megapixels, but at most at twice its own size. turned: by how many degrees
    clockwise (0, 90, 180, 270) the picture is known to lie; None to find out.
    """
    if turned:
        upright = image.transpose(_BACK[turned])
        faces = [_turned_back(face, image, turned) for face in find_faces(upright, min_face, 0).faces]
        return Detection(sorted(faces, key=lambda face: face.box), turned)
    faces = _judged(_candidates(image, min_face), image, tell_turn=turned is None)
    if turned is None:
        turns = [(max(0.0, face.score - _LIKELY), radians(roll(face))) for face in faces]
        quarter = _quarter(degrees(cmath.phase(sum(cmath.rect(*turn) for turn in turns))))
        if quarter:
            return find_faces(image, min_face, quarter)
    return Detection(sorted(faces, key=lambda face: face.box))


def find_near(image: Image.Image, areas: Sequence[Corners], min_face: float = MIN_FACE) -> Detection | None:
    """The faces of an upright picture that has one in each of some areas, and none elsewhere, as is known from before.

    Only these areas, with as much around them, are looked at large. None where that does not show as many faces for
    certain.
    """
    wanted, large = _factors(image, min_face)
    if wanted != large:  # small faces, seen in tiles alone
        return None
    step, found = 32 / large, list[DetectedFace]()  # as the detector's cells lie when all of the picture is looked at
    for area in areas:
        across, down = area.width / 2, area.height / 2
        left, top = (round(step * (max(0.0, start) // step)) for start in (area.left - across, area.top - down))
        right, bottom = min(image.width, ceil(area.right + across)), min(image.height, ceil(area.bottom + down))
        part = image.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
        found += [_moved(face, complex(left, top), large) for face in detect([_scaled(part, part, large)], _LIKELY)[0]]
    small = _small(image, large)
    found += _seen_in(_scaled(image, image, small), image, small, _LIKELY)
    faces = _distinct([face for face in found if _is_sound(face, image)])
    certain = len(faces) == len(areas) and all(abs(roll(face)) < _TILTED for face in faces)
    return Detection(sorted(faces, key=lambda face: face.box)) if certain else None


def roll(face: DetectedFace) -> float:
    """By how many degrees clockwise a face is turned, from -180 to 180."""
    return degrees(cmath.phase(alignment(face.landmarks)[0]))


def _candidates(image: Image.Image, min_face: float) -> list[DetectedFace]:
    """What may be a face, the highest score first."""
    wanted, large = _factors(image, min_face)
    picture, found = image, []
    for factor in sorted({large, _small(image, large)}, reverse=True):
        picture = _scaled(picture, image, factor)
        found += _seen_in(picture, image, factor, _CANDIDATE if factor >= 1 else _FAINT)
    found = _distinct(found)
    if wanted != large:
        likely = [face for face in found if face.score >= _LIKELY]
        found += _distinct([face for face in _look_in_tiles(image, wanted) if not _covered(face, likely)])
    return sorted(found, key=lambda face: -face.score)


def _factors(image: Image.Image, min_face: float) -> tuple[float, float]:
    """How many times as large a picture is to be looked at, and is in one piece: less where it takes tiles."""
    usual = sqrt(_LARGE_LOOK / (image.width * image.height))
    wanted = min(max(usual, _LEAST_PIXELS / min_face), _MOST_ENLARGED)
    if 1 < wanted < _LEAST_ENLARGED:
        wanted = 1.0
    return wanted, min(usual, wanted) if max(image.size) * wanted > _TILE else wanted


def _small(image: Image.Image, large: float) -> float:
    """How many times as large the small look is, beside the large one."""
    return min(large, _SMALL_LOOK / max(image.size))


def _seen_in(picture: Image.Image, image: Image.Image, factor: float, least: float) -> list[DetectedFace]:
    """The faces seen in a picture that is `image` made `factor` times as large, in pixels of `image`."""
    moved = [_moved(face, 0, factor) for face in detect([picture], least)[0]]
    return [face for face in moved if _is_sound(face, image)]


def _distinct(faces: Sequence[DetectedFace]) -> list[DetectedFace]:
    """The faces without those that overlap one with a higher score, that one first."""
    return [faces[i] for i in distinct([face.box for face in faces], [face.score for face in faces], _SAME)]


def _look_in_tiles(image: Image.Image, factor: float) -> Iterator[DetectedFace]:
    """The small faces seen when the picture is made `factor` times as large, a part at a time."""
    for top, bottom in _parts(image.height, factor):
        for left, right in _parts(image.width, factor):
            part = image.crop((left, top, right, bottom))
            for face in detect([_scaled(part, part, factor)], _FAINT)[0]:
                if max(face.box.width, face.box.height) < _LARGEST_IN_TILES:
                    moved = _moved(face, complex(left, top), factor)
                    if _is_sound(moved, image):
                        yield moved


def _parts(length: int, factor: float) -> list[tuple[int, int]]:
    """Where tiles begin and end that cover a side, all of one length, and share some pixels."""
    shared = ceil(_SHARED / factor)
    count = max(1, ceil((length - shared) / (_TILE / factor - shared)))
    tile = ceil((length + (count - 1) * shared) / count)
    return [(start, start + tile) for start in (round(i * (length - tile) / max(1, count - 1)) for i in range(count))]


def _covered(face: DetectedFace, others: Sequence[DetectedFace]) -> bool:
    """Whether most of a box lies in another, or most of another in it."""
    first, second = np.array(face.box), np.array([other.box for other in others]).reshape(-1, 4)
    smaller = np.minimum((first[2:] - first[:2]).prod(), (second[:, 2:] - second[:, :2]).prod(1))
    return bool((intersection(first, second) > 0.5 * smaller).any())


def _scaled(picture: Image.Image, image: Image.Image, factor: float) -> Image.Image:
    """`image` made `factor` times as large, out of a picture of all of it."""
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0)


def _moved(face: DetectedFace, start: complex, factor: float) -> DetectedFace:
    """A face seen in a part, which begins at `start`, of a picture, after it was made `factor` times as large."""
    shift = np.array([start.real, start.imag])
    box = (np.array(face.box).reshape(2, 2) / factor + shift).ravel()
    return replace(face, box=Corners(*box.tolist()), landmarks=face.landmarks / factor + shift)


def _judged(candidates: Sequence[DetectedFace], image: Image.Image, tell_turn: bool) -> list[DetectedFace]:
    """Those candidates, the highest score first, that are faces, looked at again where there is doubt."""
    faces: list[DetectedFace] = []
    upright = not tell_turn or any(face.score >= _SURE and abs(roll(face)) < _TILTED for face in candidates)
    seconds, most = 0, _MOST_CANDIDATES * (3 + image.width * image.height // _LARGE_LOOK) // 3
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
        ahead, *others = _seen([_close(image, face, angle, _QUICK).picture for angle in (0, 90, 180, 270)])
        if ahead.score > max(_CONFIRMED, *(other.score for other in others)):
            return face
    angles = (0,) if face.score < _CANDIDATE else _UPRIGHT + (_TURNED if tell_turn else ())
    views = {angle: _close(image, face, angle) for angle in angles}
    first = dict(zip(angles, _seen([view.picture for view in views.values()]), strict=True))
    if likely and straight and tell_turn:
        ahead, *others = (first[angle].score for angle in (0, 90, 180, 270))
        if ahead > max(_LIKELY, max(others) + _AHEAD_BY):
            return face
    best = max(first, key=lambda angle: first[angle].score)
    angle = upright = max(first.keys() & _UPRIGHT, key=lambda angle: first[angle].score)
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
    confirmed = _CONFIRMED if face.score >= _CANDIDATE else _CONFIRMED_FAINT
    return face if score >= (_REFUTED if likely else confirmed) else None


def _mean_score(picture: Image.Image) -> float:
    """How much like a face a second look is: as it is and with full contrast, and both mirrored."""
    clear = ImageOps.autocontrast(picture.convert("L"), 1).convert(picture.mode)
    views = [picture, clear]
    return float(np.mean([face.score for face in _seen([*views, *map(ImageOps.mirror, views)])]))


def _seen(pictures: Sequence[Image.Image]) -> list[DetectedFace]:
    """The likeliest face around the middle of each second look; one with a score of 0 where there is none."""
    side = pictures[0].width
    middle = Corners(*(side * edge for edge in (0.25, 0.25, 0.75, 0.75)))
    nothing = DetectedFace(middle, side * POSITIONS, 0.0)
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
        step, box = self.turn / self.picture.width, face.box
        points = self.origin + step * (face.landmarks @ [1, 1j])
        middle = self.origin + step * complex(box.left + box.right, box.top + box.bottom) / 2
        width, height = abs(step) * box.width, abs(step) * box.height
        if abs(step.imag) > abs(step.real):
            width, height = height, width
        corners = Corners.of(middle.real - width / 2, middle.imag - height / 2, width, height)
        return DetectedFace(corners, _coordinates(points), face.score)


def _close(image: Image.Image, face: DetectedFace, angle: float, pixels: int = _CLOSE) -> _View:
    """A face with some room around it, turned upright by `angle` degrees, `pixels` wide and high."""
    left, top, right, bottom = face.box
    across, down = min(max((left + right) / 2, 0), image.width - 1), min(max((top + bottom) / 2, 0), image.height - 1)
    turn = cmath.rect(_ROOM * max(1.0, sqrt((right - left) * (bottom - top))), radians(angle))
    origin = complex(across, down) - turn * (1 + 1j) / 2
    return _View(turned_square(image, origin, turn, pixels, max(1, int(abs(turn) / pixels))), origin, turn)


def _coordinates(points: NDArray[np.complexfloating]) -> NDArray[np.float64]:
    """Across and down [N, 2] of complex points [N]."""
    return np.stack([points.real, points.imag], 1).astype(np.float64)


def _quarter(angle: float) -> int:
    """The quarter turn by which a picture lies whose faces lie by `angle` degrees on average; 0 if between two."""
    quarter = round(angle / 90)
    return 90 * (quarter % 4) if abs(angle - 90 * quarter) <= _ALIKE else 0


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

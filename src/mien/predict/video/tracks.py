"""Who is who from frame to frame, and expressions steadied in time.

A detector knows nothing of time: it finds each frame's faces anew, misses one now and then, and expressions flicker.
The tracker gives a face the number it had in the frames before, and lets its probabilities follow the new ones with a
time constant in seconds, so that looking at every third frame steadies no more and no less than looking at each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import exp

import numpy as np

from mien.boxes import Box, Corners, overlap
from mien.predict.face import Face

_ALIKE = 0.25  # least overlap of grown boxes: a face may move by its own width, or double its area, between two looks
_PATIENCE = 1.0  # seconds, and ...
_MISSES = 3  # ... looks in a row that a face may go unseen and still be the same


@dataclass(frozen=True)
class Tracked:
    """A face and its number: the same for the same face, from 1, never given twice in one video."""

    face: Face
    track: int


@dataclass(frozen=True)
class _Track:
    """What is kept of a face until it is seen again."""

    tracked: Tracked
    seen: float
    misses: int = 0


class Tracker:
    """Follows the faces of one video.

    smooth: time constant in seconds; after a sudden change 63 % of it shows after this time, 0 shows it at once.
    min_confidence: below it, after smoothing, a face is uncertain.
    """

    def __init__(self, smooth: float = 0.5, min_confidence: float = 0.0) -> None:
        self.smooth, self.min_confidence = smooth, min_confidence
        self._tracks: list[_Track] = []
        self._last = 0

    def follow(self, faces: Sequence[Face], time: float) -> tuple[Tracked, ...]:
        """The faces of the next frame, seen at `time` in seconds, with numbers and steadied probabilities."""
        partners = pairs([face.box for face in faces], [track.tracked.face.box for track in self._tracks])
        before = {new: self._tracks[old] for new, old in partners.items()}
        tracks = [self._seen(face, before.get(new), time) for new, face in enumerate(faces)]
        unseen = [track for old, track in enumerate(self._tracks) if old not in partners.values()]
        missed = [replace(track, misses=track.misses + 1) for track in unseen]
        patient = [track for track in missed if track.misses <= _MISSES or time - track.seen <= _PATIENCE]
        self._tracks = tracks + patient
        return tuple(track.tracked for track in tracks)

    def _seen(self, face: Face, before: _Track | None, time: float) -> _Track:
        if before is None:
            self._last += 1
            return _Track(self._numbered(face, self._last), time)
        share = 1 - exp(-(time - before.seen) / self.smooth) if self.smooth > 0 else 1.0
        return _Track(self._numbered(_between(before.tracked.face, face, share), before.tracked.track), time)

    def _numbered(self, face: Face, number: int) -> Tracked:
        return Tracked(replace(face, uncertain=face.is_doubtful(self.min_confidence)), number)


def _between(old: Face, new: Face, share: float) -> Face:
    """The new face; its probabilities have gone `share` of the way from the old ones to its own."""
    mixed = {
        name: old.probabilities[name] + share * (value - old.probabilities[name])
        for name, value in new.probabilities.items()
    }
    emotion = max(mixed, key=mixed.__getitem__)
    return replace(new, emotion=emotion, confidence=mixed[emotion], probabilities=mixed)


def pairs(new: Sequence[Box], old: Sequence[Box]) -> dict[int, int]:
    """Which new box is which old one: the most alike first, each at most once.

    Likeness is the overlap of boxes grown to twice their side, so that quick and small faces still meet.
    """
    first, second = (np.array([_grown(*box) for box in boxes]).reshape(-1, 4) for boxes in (new, old))
    likeness = overlap(first[:, None], second[None])
    found: dict[int, int] = {}
    candidates = [(likeness[i, j], i, j) for i, j in np.argwhere(likeness >= _ALIKE).tolist()]
    for _, i, j in sorted(candidates, reverse=True):
        if i not in found and j not in found.values():
            found[i] = j
    return found


def _grown(left: int, top: int, width: int, height: int) -> Corners:
    return Corners.of(left - width / 2, top - height / 2, 2 * width, 2 * height)

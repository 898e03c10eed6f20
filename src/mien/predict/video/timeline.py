"""What faces showed over the time of a video: means in steps of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.percent import percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.predict.video.follow import FrameResult
    from mien.predict.video.tracks import Tracked

_STEPS = 1024  # however long the video
_FIRST_STEP = 1 / 32  # seconds
_NAMED = 3  # expressions of a face, in words
_MOST_FACES = 32  # that are remembered; of more, those with the fewest looks are forgotten, once they are out of sight


@dataclass(frozen=True)
class Course:
    """What one face showed: looks in each step of time [T], mean probabilities there [T, K] (0 where unseen)."""

    track: int
    looks: NDArray[np.int64]
    means: NDArray[np.float64]


class Timeline:
    """Sums of probabilities in steps of time, which double whenever the video outgrows them: memory stays bounded."""

    def __init__(self) -> None:
        self.classes: tuple[str, ...] = ()
        self.step = _FIRST_STEP
        self._sums: dict[int, NDArray[np.float64]] = {}  # a track's [steps, looks and K sums]
        self._end = 0.0

    def add(self, result: FrameResult) -> None:
        """Add one frame's faces."""
        time = result.frame.time
        self._end = max(self._end, time)
        while time >= _STEPS * self.step:
            self._double()
        for tracked in result.faces:
            self._note(tracked, int(time / self.step))
        here = {tracked.track for tracked in result.faces}
        while len(self._sums) > max(_MOST_FACES, len(here)):
            gone = self._sums.keys() - here
            del self._sums[min(gone, key=lambda track: (self._sums[track][:, 0].sum(), track))]

    def courses(self) -> list[Course]:
        """Each face's course over the whole video, the one most seen first."""
        steps = int(self._end / self.step) + 1
        found = [
            Course(track, sums[:steps, 0].astype(np.int64), sums[:steps, 1:] / np.maximum(sums[:steps, :1], 1))
            for track, sums in self._sums.items()
        ]
        return sorted(found, key=lambda course: -course.looks.sum())

    def _note(self, tracked: Tracked, step: int) -> None:
        shares = tracked.face.probabilities
        self.classes = self.classes or tuple(shares)
        sums = self._sums.setdefault(tracked.track, np.zeros((_STEPS, 1 + len(shares))))
        sums[step] += [1, *shares.values()]

    def _double(self) -> None:
        self.step *= 2
        for sums in self._sums.values():
            sums[: _STEPS // 2] = sums[0::2] + sums[1::2]
            sums[_STEPS // 2 :] = 0


def timeline_text(timeline: Timeline) -> str:
    """A line a face, in the order of appearance: from when to when it was seen, and what it showed on average."""
    return "\n".join(_line(course, timeline) for course in sorted(timeline.courses(), key=lambda course: course.track))


def _line(course: Course, timeline: Timeline) -> str:
    seen = course.looks.nonzero()[0]
    start, end = minutes(seen[0] * timeline.step), minutes((seen[-1] + 1) * timeline.step)
    mean = course.looks @ course.means / course.looks.sum()
    likeliest = sorted(zip(mean, timeline.classes, strict=True), reverse=True)[:_NAMED]
    showed = ", ".join(f"{name} {percent(share)}" for share, name in likeliest)
    return f"face {course.track:<4} {start:>8} to {end:<8} {showed}"


def minutes(seconds: float) -> str:
    """A time as `1:05` or `2:01:05`, with tenths if it has any."""
    whole, tenths = divmod(round(seconds * 10), 10)
    hours = f"{whole // 3600}:{whole // 60 % 60:02}" if whole >= 3600 else f"{whole // 60}"
    return f"{hours}:{whole % 60:02}" + (f".{tenths}" if tenths else "")

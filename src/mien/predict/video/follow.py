"""Faces followed through the frames of a video."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from mien.boxes import Corners
from mien.errors import DataError
from mien.predict.prediction import Prediction
from mien.predict.video.tracks import Tracked, Tracker, pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.predict.video.footage import Footage, Frame

_WORKERS = 2  # threads that look at frames, while others are decoded, drawn and written
_AHEAD = 2 * _WORKERS  # frames that are looked at and not yet shown
_SECONDS_APART, _MOST_APART = 0.15, 4  # between frames that are looked at as a whole; how many looks that are, at most


@dataclass(frozen=True)
class FrameResult:
    """A frame and the faces last detected; `fresh` if they were detected in this very frame."""

    source: str
    frame: Frame
    faces: tuple[Tracked, ...]
    fresh: bool
    turned: int = 0

    @property
    def prediction(self) -> Prediction:
        """The same without time and numbers."""
        faces = tuple(tracked.face for tracked in self.faces)
        return Prediction(self.source, self.frame.number, faces, turned=self.turned)

    def to_dict(self) -> dict[str, Any]:
        """A prediction as plain values, with the frame's time in seconds and each face's number."""
        answer = self.prediction.to_dict()
        for face, tracked in zip(answer["faces"], self.faces, strict=True):
            face["track"] = tracked.track
        return {"source": self.source, "frame": self.frame.number, "time": round(self.frame.time, 3), **answer}


class FramePredictorProtocol(Protocol):
    """What is used of a `Predictor`."""

    min_confidence: float

    @property
    def classes(self) -> tuple[str, ...]:
        """The expressions that the model tells apart."""
        ...

    def frame(
        self,
        image: NDArray[np.uint8],
        source: str,
        frame: int,
        turned: int | None = None,
        near: Sequence[Corners] | None = None,
    ) -> Prediction:
        """The faces of one frame, RGB uint8 [H, W, 3]; turned, near: see `Predictor.frame`."""
        ...


def follow(
    footage: Footage, predictor: FramePredictorProtocol, every: int = 1, smooth: float = 0.5
) -> Iterator[FrameResult]:
    """Each frame with its faces, numbered and steadied; every `every`-th is looked at, the others keep its faces.

    smooth: time constant in seconds. How the video lies is found out at the first face and kept. A face is uncertain if
    its steadied confidence, or its quality, is below the predictor's least.
    """
    tracker = Tracker(smooth, predictor.min_confidence)
    faces: tuple[Tracked, ...] = ()
    for frame, prediction, turned in _looked_at(footage, predictor, every):
        if prediction:
            faces = tracker.follow(prediction.faces, frame.time)
        yield FrameResult(footage.source, frame, faces, prediction is not None, turned)


def _looked_at(
    footage: Footage, predictor: FramePredictorProtocol, every: int
) -> Iterator[tuple[Frame, Prediction | None, int]]:
    """Each frame in its turn, its faces if it was looked at, and by how much the video is turned.

    Once that is known, frames are looked at ahead of time, some at once, and only some of them as a whole: between two
    that show the same faces these are looked for where they are there. Each frame of a camera is looked at as a whole,
    when it comes.
    """
    apart = max(1, min(_MOST_APART, round(_SECONDS_APART * footage.rate / every)))
    waiting: deque[tuple[Frame, Future[Prediction] | None]] = deque()
    between: list[Frame] = []  # since the last frame that was looked at as a whole
    last: Future[Prediction] | None = None
    failures: list[DataError] = []
    turned = None
    with ThreadPoolExecutor(_WORKERS) as pool:
        for frame in chain(_until_failure(footage, failures), [None]):
            at_once = footage.live or turned is None
            if frame and not at_once and frame.number % (every * apart):
                between.append(frame)
            else:
                looked_at = frame and frame.number % every == 0
                whole = pool.submit(_look, predictor, footage.source, frame, turned) if looked_at else None
                for each in between:
                    ends = (last, whole) if last and whole else None
                    task = None if each.number % every else (predictor, footage.source, each, turned, ends)
                    waiting.append((each, pool.submit(_look, *task) if task else None))
                between, last = [], whole
                waiting.extend([(frame, whole)] if frame else [])
            ahead = 0 if at_once or not frame else _AHEAD + apart
            while waiting and len(waiting) + len(between) > ahead:
                shown, future = waiting.popleft()
                prediction = future.result() if future else None
                if turned is None and prediction and prediction.faces:
                    turned = prediction.turned
                yield shown, prediction, turned or 0
    if failures:
        raise failures[0]


def _look(
    predictor: FramePredictorProtocol,
    source: str,
    frame: Frame,
    turned: int | None,
    ends: tuple[Future[Prediction], Future[Prediction]] | None = None,
) -> Prediction:
    """The faces of a frame; ends: what was seen before and after it."""
    near = _near(*(end.result() for end in ends)) if ends else None
    return predictor.frame(frame.image, source, frame.number, turned, near)


def _near(before: Prediction, after: Prediction) -> list[Corners] | None:
    """Where the faces of the frames between two are, which have the same; None where they have not."""
    first, second = ([face.box for face in prediction.faces] for prediction in (before, after))
    partners = pairs(second, first)
    if not len(first) == len(second) == len(partners):
        return None
    both = [(Corners.of(*second[i]), Corners.of(*first[j])) for i, j in partners.items()]
    return [Corners(*np.minimum(one, other)[:2].tolist(), *np.maximum(one, other)[2:].tolist()) for one, other in both]


def _until_failure(footage: Footage, failures: list[DataError]) -> Iterator[Frame]:
    """The frames before a failure, which is kept: those that wait are shown before it is said."""
    try:
        yield from footage
    except DataError as error:
        failures.append(error)


def draw(result: FrameResult) -> Image.Image:
    """The frame with its faces drawn in."""
    from mien.predict.annotate import annotate

    return annotate(Image.fromarray(result.frame.image), [tracked.face for tracked in result.faces])

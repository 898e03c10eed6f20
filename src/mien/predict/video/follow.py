"""Faces followed through the frames of a video."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from mien.errors import DataError
from mien.predict.prediction import Prediction
from mien.predict.video.tracks import Tracked, Tracker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.predict.video.footage import Footage, Frame

_WORKERS = 2  # threads that look at frames, while others are decoded, drawn and written
_AHEAD = 2 * _WORKERS  # frames that are decoded and not yet shown


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

    def frame(self, image: NDArray[np.uint8], source: str, frame: int, turned: int | None = None) -> Prediction:
        """The faces of one frame, RGB uint8 [H, W, 3]; turned: by how many degrees it is known to lie, or None."""
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

    Once that is known, some frames are looked at at once, ahead of time; those of a camera never are.
    """
    waiting: deque[tuple[Frame, Future[Prediction] | None]] = deque()
    failures: list[DataError] = []
    turned = None
    with ThreadPoolExecutor(_WORKERS) as pool:
        for frame in chain(_until_failure(footage, failures), [None]):
            if frame:
                looked_at = frame.number % every == 0
                arguments = frame.image, footage.source, frame.number, turned
                waiting.append((frame, pool.submit(predictor.frame, *arguments) if looked_at else None))
            ahead = _AHEAD if frame and turned is not None and not footage.live else 0
            while len(waiting) > ahead:
                shown, future = waiting.popleft()
                prediction = future.result() if future else None
                if turned is None and prediction and prediction.faces:
                    turned = prediction.turned
                yield shown, prediction, turned or 0
    if failures:
        raise failures[0]


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

"""Faces followed through the frames of a video."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from mien.predict.prediction import Prediction
from mien.predict.video.tracks import Tracked, Tracker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mien.predict.video.footage import Footage, Frame


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
    turned = None
    for frame in footage:
        fresh = frame.number % every == 0
        if fresh:
            prediction = predictor.frame(frame.image, footage.source, frame.number, turned)
            turned = prediction.turned if turned is None and prediction.faces else turned
            faces = tracker.follow(prediction.faces, frame.time)
        yield FrameResult(footage.source, frame, faces, fresh, turned or 0)


def draw(result: FrameResult) -> Image.Image:
    """The frame with its faces drawn in."""
    from mien.predict.annotate import annotate

    return annotate(Image.fromarray(result.frame.image), [tracked.face for tracked in result.faces])

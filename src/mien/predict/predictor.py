"""From pictures to expressions: find the faces, cut them out, name what they show."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from mien.boxes import Box
from mien.errors import DataError, UsageError
from mien.models.files import read_model
from mien.models.model import Model, Prior, predict_proba
from mien.pictures import Picture
from mien.predict.detector import MIN_FACE, find_faces
from mien.predict.faces import cut_out
from mien.predict.prediction import Face, Point, Prediction
from mien.predict.quality import quality
from mien.predict.sources import Item, Source, items, take_array
from mien.predict.yunet import DetectedFace

if TYPE_CHECKING:
    from numpy.typing import NDArray

Crop = Literal["detect", "none"]

_TOGETHER = 64  # faces, or pictures, that go through the network at once ...
_PATIENCE = 0.5  # ... unless the first of them has waited for so many seconds


@dataclass(frozen=True)
class _Cut:
    """A face before it is named: where it is (see `Face`), and itself as a gray square uint8 [S, S]."""

    box: Box
    square: NDArray[np.uint8]
    landmarks: tuple[Point, ...] = ()
    score: float | None = None
    quality: float | None = None


@dataclass(frozen=True)
class _Seen:
    """A picture after its faces were looked for."""

    source: str
    frame: int | None
    cuts: Sequence[_Cut]
    error: str = ""
    turned: int = 0


class Predictor:
    """Finds the faces in pictures and names the expression on each.

    model: "base", "tiny" or "base-fer2013", which come with Mien; the path of a model file or run folder; or a model.
    prior: "natural" expects expressions as often as training showed them, "uniform" each as often as any other.
    crop: "detect" finds the faces; "none" takes each picture as one ready-made crop.
    min_confidence: a face whose confidence or quality is below it is marked uncertain, and keeps its expression.
    min_face: side in pixels of faces that are worth looking for. With 50 a 12-megapixel photo takes some two times as
        long as one of a megapixel; with 24, for crowds, some ten times.
    upright: True where pictures are known not to lie on their side or stand on their head.
    tta: flip test-time augmentation, the mean answer for the face and its mirror image, at twice the time.

    May be shared between threads. Raises UsageError or ModelError for what cannot be used.
    """

    def __init__(
        self,
        model: str | Path | Model = "base",
        prior: Prior = "natural",
        crop: Crop = "detect",
        min_confidence: float = 0.0,
        min_face: int = MIN_FACE,
        upright: bool = False,
        *,
        tta: bool = False,
    ) -> None:
        if prior not in get_args(Prior):
            raise UsageError(f"prior '{prior}': use {' or '.join(get_args(Prior))}")
        if crop not in get_args(Crop):
            raise UsageError(f"crop '{crop}': use {' or '.join(get_args(Crop))}")
        if not 0 <= min_confidence <= 1:
            raise UsageError(f"min_confidence {min_confidence:g}: a probability lies between 0 and 1")
        if min_face < 1:
            raise UsageError(f"min_face {min_face}: a face has at least one pixel")
        self._model = model if isinstance(model, Model) else read_model(model)
        self._prior: Prior = prior
        self._crop, self._tta = crop, tta
        self.min_confidence, self._min_face, self._upright = min_confidence, min_face, upright
        self._probabilities([])  # a model that cannot answer so is refused now

    @property
    def classes(self) -> tuple[str, ...]:
        """The expressions that the model tells apart."""
        return self._model.classes

    def __call__(self, pictures: Source | Iterable[Source]) -> list[Prediction]:
        """One prediction a picture, in order; one that cannot be read has an `error` and no faces.

        pictures: a path, encoded bytes, a file open for reading bytes, a PIL image, an array uint8 [H, W] (gray) or
        [H, W, 3] (RGB), a folder (its pictures, those in folders within too, sorted), or a list of any of these. Raises
        UsageError for anything else.
        """
        return list(self.stream(pictures))

    def stream(self, pictures: Source | Iterable[Source]) -> Iterator[Prediction]:
        """As a call, but one after the other, with one picture in memory at a time."""
        waiting: list[_Seen] = []
        since = time.monotonic()
        for item in items(pictures):
            waiting.append(self._see(item))
            many = len(waiting) == _TOGETHER or sum(len(seen.cuts) for seen in waiting) >= _TOGETHER
            if many or time.monotonic() - since > _PATIENCE:
                yield from self._name(waiting)
                waiting, since = [], time.monotonic()
        yield from self._name(waiting)

    def frame(self, image: NDArray[np.uint8], source: str, frame: int, turned: int | None = None) -> Prediction:
        """The faces of a decoded frame, uint8 [H, W, 3] in RGB, of a video; turned: as it is known to lie, or None."""
        cuts, turned = self._cuts(take_array(image, source), turned)
        return self._name([_Seen(source, frame, cuts, turned=turned)])[0]

    def _see(self, item: Item) -> _Seen:
        try:
            cuts, turned = self._cuts(item.read())
            return _Seen(item.name, None, cuts, turned=turned)
        except DataError as error:
            return _Seen(item.name, None, (), str(error))

    def _cuts(self, picture: Picture, turned: int | None = None) -> tuple[list[_Cut], int]:
        """The faces of a picture, cut out, and by how much it is turned."""
        image, scale, preprocess = picture.image, picture.scale, self._model.preprocess
        if self._crop == "none":
            return [_Cut((0, 0, scale * image.width, scale * image.height), preprocess.square(image))], 0
        detection = find_faces(image, self._min_face / scale, 0 if self._upright else turned)
        return [self._cut(face, picture) for face in detection.faces], detection.turned

    def _cut(self, face: DetectedFace, picture: Picture) -> _Cut:
        square = self._model.preprocess.square(cut_out(picture.image, face.landmarks, self._model.preprocess.size))
        points = tuple((x, y) for x, y in (face.landmarks * picture.scale).tolist())
        return _Cut(_box(face, picture), square, points, face.score, quality(face, square, picture.scale))

    def _name(self, pictures: Sequence[_Seen]) -> list[Prediction]:
        """The predictions for pictures; all their faces go through the network together."""
        answers = iter(self._probabilities([cut.square for seen in pictures for cut in seen.cuts]))
        return [
            Prediction(
                seen.source,
                seen.frame,
                tuple(self._face(cut, answer) for cut, answer in zip(seen.cuts, answers, strict=False)),
                seen.error,
                seen.turned,
            )
            for seen in pictures
        ]

    def _probabilities(self, squares: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Class probabilities, float32 [N, K], of gray squares."""
        size = self._model.preprocess.size
        faces = np.array(squares, np.uint8).reshape(-1, size, size)
        answers = predict_proba(self._model, faces, prior=self._prior)
        if not self._tta:
            return answers
        return np.float32(0.5) * (answers + predict_proba(self._model, faces[:, :, ::-1], prior=self._prior))

    def _face(self, cut: _Cut, answer: NDArray[np.float32]) -> Face:
        probabilities = dict(zip(self.classes, answer.tolist(), strict=True))
        emotion = max(probabilities, key=probabilities.__getitem__)
        face = Face(
            cut.box, cut.landmarks, emotion, probabilities[emotion], probabilities, score=cut.score, quality=cut.quality
        )
        return replace(face, uncertain=face.is_doubtful(self.min_confidence))


def _box(found: DetectedFace, picture: Picture) -> Box:
    """A face's box in original pixels, as far as it lies in the picture."""
    left, top = max(found.box[0], 0), max(found.box[1], 0)
    right, bottom = min(found.box[2], picture.image.width), min(found.box[3], picture.image.height)
    x, y, width, height = (round(picture.scale * value) for value in (left, top, right - left, bottom - top))
    return x, y, width, height

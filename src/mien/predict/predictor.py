"""From pictures to expressions: find the faces, cut them out, name what they show."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from mien.boxes import Box, Corners
from mien.errors import DataError, UsageError
from mien.models.files import read_model
from mien.models.model import Model, Prior, predict_proba
from mien.pictures import Picture
from mien.predict.detector import MIN_FACE, find_faces, find_near
from mien.predict.face import Face, Point
from mien.predict.faces import cut_out, usual_landmarks
from mien.predict.prediction import Prediction
from mien.predict.quality import quality
from mien.predict.sources import Item, Source, items, take_array
from mien.predict.yunet import DetectedFace

if TYPE_CHECKING:
    from mien.predict.video.follow import FrameResult

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
    animated: bool = False


class Predictor:
    """Finds the faces in pictures and names the expression on each.

    model: "base", "large", "tiny" or "base-fer2013", which come with Mien; the path of a model file or run folder; or a
        model.
    labels: the label source to answer by, "votes" or "fer2013", where the model has learned both; "" for votes.
    prior: "natural" expects expressions as often as training showed them, "uniform" each as often as any other.
    crop: "detect" finds the faces; "none" takes each picture as one ready-made crop.
    min_confidence: a face whose confidence or quality is below it is marked uncertain, and keeps its expression.
    min_face: side in pixels of faces that are worth looking for; most of half that size are found too. With 24,
        for crowds, a 12-megapixel photo takes some nine times as long as with 96, one of a megapixel some three times.
    upright: True where pictures are known not to lie on their side or stand on their head.
    tta: flip test-time augmentation, the mean answer for the face and its mirror image, at twice the time.
    return_crops: True for faces with their `crop`, the aligned face as the network is given it.
    device: where the network runs: "cpu", "cuda", "auto"; an .onnx model, as the shipped ones are, on what the
        installed onnxruntime was built for ("cuda", "coreml", "openvino" ...), with "auto" on the CPU. The detector
        always runs there.

    May be shared between threads, and pickled for other processes (joblib, multiprocessing) if it was given a path or
    name: each reads the model anew. Raises UsageError or ModelError for what cannot be used.

    >>> import numpy as np
    >>> predictor = Predictor("tiny", crop="none")
    >>> (answer,) = predictor(np.zeros((48, 48), np.uint8))
    >>> answer.source, answer.faces[0].box
    ('image 1', (0, 0, 48, 48))
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
        labels: str = "",
        tta: bool = False,
        return_crops: bool = False,
        device: str = "cpu",
    ) -> None:
        self._given = (
            model, prior, crop, min_confidence, min_face, upright,
            {"labels": labels, "tta": tta, "return_crops": return_crops, "device": device},
        )  # fmt: skip
        if prior not in get_args(Prior):
            raise UsageError(f"prior '{prior}': use {' or '.join(get_args(Prior))}")
        if crop not in get_args(Crop):
            raise UsageError(f"crop '{crop}': use {' or '.join(get_args(Crop))}")
        if not 0 <= min_confidence <= 1:
            raise UsageError(f"min_confidence {min_confidence:g}: a probability lies between 0 and 1")
        if min_face < 1:
            raise UsageError(f"min_face {min_face}: a face has at least one pixel")
        found = model if isinstance(model, Model) else read_model(model)
        self._model = found.answering(labels) if labels else found
        self._prior: Prior = prior
        self._crop, self._tta, self._return_crops, self._device = crop, tta, return_crops, device
        self.min_confidence, self._min_face, self._upright = min_confidence, min_face, upright
        self._probabilities([])  # a model that cannot answer so is refused now

    def __reduce__(self) -> tuple[Any, ...]:
        *arguments, options = self._given
        if isinstance(arguments[0], Model):
            raise TypeError("this Predictor was given a model and cannot be pickled; give it the model's path or name")
        return partial(Predictor, **options), tuple(arguments)

    @property
    def classes(self) -> tuple[str, ...]:
        """The expressions that the model tells apart."""
        return self._model.classes

    def __call__(
        self, pictures: Source | Iterable[Source], boxes: Iterable[Sequence[Sequence[float]]] | None = None
    ) -> list[Prediction]:
        """One prediction a picture, in order; one that cannot be read has an `error` and no faces.

        pictures: a path, encoded bytes, a file open for reading bytes, a PIL image, an array uint8 [H, W] (gray) or
        [H, W, 3] (RGB), a data URI, a folder (its pictures, those in folders within too, sorted), or a list of any of
        these. boxes: for each picture the boxes (left, top, width, height in pixels) of its faces, upright, from
        forehead to chin; the detector is then not asked. Raises UsageError for anything else.

        >>> import numpy as np
        >>> (answer,) = Predictor("tiny")([np.zeros((90, 90), np.uint8)], boxes=[[(10, 10, 50, 60)]])
        >>> answer.faces[0].box
        (10, 10, 50, 60)
        """
        return list(self.stream(pictures, boxes))

    def stream(
        self, pictures: Source | Iterable[Source], boxes: Iterable[Sequence[Sequence[float]]] | None = None
    ) -> Iterator[Prediction]:
        """As a call, but one after the other, with one picture in memory at a time.

        For progress wrap it: `for answer in tqdm(predictor.stream(paths), total=len(paths))`.
        """
        each = iter(boxes) if boxes is not None else None
        waiting: list[_Seen] = []
        since = time.monotonic()
        for item in items(pictures):
            waiting.append(self._see(item, None if each is None else _next_boxes(each, item.name)))
            many = len(waiting) == _TOGETHER or sum(len(seen.cuts) for seen in waiting) >= _TOGETHER
            if many or time.monotonic() - since > _PATIENCE:
                yield from self._name(waiting)
                waiting, since = [], time.monotonic()
        yield from self._name(waiting)
        if each is not None and next(each, None) is not None:
            raise UsageError("boxes for more pictures than were given; give one list of boxes a picture")

    def video(self, source: str | Path, every: int = 1, smooth: float = 0.5) -> Iterator[FrameResult]:
        """The frames of a video file or camera ("camera:0"), one after the other, with their faces followed.

        Each has `frame` (its image, number, and time in seconds), `faces` (each with its `track` and `face`) and
        `prediction`. every: look at every so many frames, the others keep the faces. smooth: time constant in seconds
        with which answers follow what is seen. Raises UsageError or DataError for what cannot be read.

            for result in predictor.video("film.mp4"):
                print(result.frame.time, [tracked.face.emotion for tracked in result.faces])
        """
        from mien.predict.video.follow import follow
        from mien.predict.video.footage import open_footage

        if every < 1:
            raise UsageError(f"every {every}: give 1 for each frame, or more")
        with open_footage(str(source)) as footage:
            yield from follow(footage, self, every, smooth)

    def frame(
        self,
        image: NDArray[np.uint8],
        source: str,
        frame: int,
        turned: int | None = None,
        near: Sequence[Corners] | None = None,
    ) -> Prediction:
        """The faces of a decoded frame, uint8 [H, W, 3] in RGB, of a video.

        turned: by how many degrees it is known to lie, or None. near: where faces are to be looked for, one each; if
        that many are not seen there, or None, everywhere.
        """
        picture = take_array(image, source)
        if near is not None and self._crop == "detect" and not turned:
            areas = [Corners(*(edge / picture.scale for edge in area)) for area in near]
            found = find_near(picture.image, areas, self._min_face / picture.scale)
            if found:
                cuts = [self._cut(face, picture) for face in found.faces]
                return self._name([_Seen(source, frame, cuts)])[0]
        cuts, turned = self._cuts(picture, turned)
        return self._name([_Seen(source, frame, cuts, turned=turned)])[0]

    def _see(self, item: Item, boxes: Sequence[Sequence[float]] | None) -> _Seen:
        try:
            picture = item.read()
            cuts, turned = self._cuts(picture) if boxes is None else (self._cut_boxes(boxes, picture, item.name), 0)
            return _Seen(item.name, None, cuts, turned=turned, animated=picture.animated)
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

    def _cut_boxes(self, boxes: Sequence[Sequence[float]], picture: Picture, name: str) -> list[_Cut]:
        """The faces in boxes of original pixels; raises DataError for a box that does not lie in the picture."""
        cuts = []
        for box in boxes:
            try:
                values = np.asarray(box, float)
            except (TypeError, ValueError):  # words, or rows of unequal lengths
                values = np.empty(0)
            if values.shape != (4,) or not np.isfinite(values).all() or values[2:].min() < 1:
                raise DataError(
                    f"{name}: a box {box}; give left, top, width, height in pixels, 1 and more wide and high"
                )
            left, top, width, height = (values / picture.scale).tolist()
            if not (0 <= left + width / 2 < picture.image.width and 0 <= top + height / 2 < picture.image.height):
                raise DataError(
                    f"{name}: the box {box} does not lie in the picture; give pixels of the upright picture"
                )
            face = DetectedFace(Corners.of(left, top, width, height), usual_landmarks((left, top, width, height)), 0.0)
            cuts.append(replace(self._cut(face, picture), landmarks=(), score=None, quality=None))
        return cuts

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
                seen.animated,
            )
            for seen in pictures
        ]

    def _probabilities(self, squares: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Class probabilities, float32 [N, K], of gray squares."""
        size = self._model.preprocess.size
        faces = np.array(squares, np.uint8).reshape(-1, size, size)
        answers = predict_proba(self._model, faces, self._device, self._prior)
        if not self._tta:
            return answers
        return np.float32(0.5) * (answers + predict_proba(self._model, faces[:, :, ::-1], self._device, self._prior))

    def _face(self, cut: _Cut, answer: NDArray[np.float32]) -> Face:
        probabilities = dict(zip(self.classes, answer.tolist(), strict=True))
        emotion = max(probabilities, key=probabilities.__getitem__)
        crop = cut.square if self._return_crops else None
        face = Face(
            cut.box, cut.landmarks, emotion, probabilities[emotion], probabilities, False, cut.score, cut.quality, crop
        )
        return replace(face, uncertain=face.is_doubtful(self.min_confidence))


def _next_boxes(boxes: Iterator[Sequence[Sequence[float]]], name: str) -> Sequence[Sequence[float]]:
    if (found := next(boxes, None)) is None:
        raise UsageError(f"{name}: no boxes for it; give one list of boxes a picture, an empty one for no face")
    if isinstance(found, Real) or any(isinstance(box, Real) for box in found):
        raise UsageError(f"{name}: boxes {found}; give one list of boxes a picture, [[(left, top, width, height)]]")
    return found


def _box(found: DetectedFace, picture: Picture) -> Box:
    """A face's box in original pixels, as far as it lies in the picture."""
    left, top = max(found.box[0], 0), max(found.box[1], 0)
    right, bottom = min(found.box[2], picture.image.width), min(found.box[3], picture.image.height)
    x, y, width, height = (round(picture.scale * value) for value in (left, top, right - left, bottom - top))
    return x, y, width, height

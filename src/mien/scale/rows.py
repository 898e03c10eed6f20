"""Answers as a typed table: a row a face, and one for each picture or frame without a face.

| column | type | |
| --- | --- | --- |
| source | string | the picture's path, as `mien predict` names it |
| frame, time | int64, float64 | of a video: the frame's number, and its time in seconds |
| track | int64 | of a video: the number by which a face is followed |
| x, y, width, height | int32 | the face's box, in pixels |
| landmarks | list of [x, y], float64 | the eyes, the nose, the corners of the mouth, in pixels |
| emotion, confidence | string, float64 | the likeliest class and its probability |
| uncertain | bool | whether confidence or quality is below the least asked for |
| score, quality | float64 | the detector's score; how much of a face there is to judge by |
| one a class | float64 | its probability |
| turned | int16 | by how many degrees clockwise the picture lies |
| animated | bool | the picture is the first frame of several |
| error | string | why the picture could not be read |

What does not apply is null. The values are those that `mien predict --json` prints.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from mien.errors import UsageError

_BOX = ("x", "y", "width", "height")
_BEFORE = {
    "source": pa.string(), "frame": pa.int64(), "time": pa.float64(), "track": pa.int64(),
    **dict.fromkeys(_BOX, pa.int32()), "landmarks": pa.list_(pa.list_(pa.float64())), "emotion": pa.string(),
    "confidence": pa.float64(), "uncertain": pa.bool_(), "score": pa.float64(), "quality": pa.float64(),
}  # fmt: skip
_AFTER = {"turned": pa.int16(), "animated": pa.bool_(), "error": pa.string()}


def schema(classes: Sequence[str], columns: Sequence[str] = ()) -> pa.Schema:
    """The columns of a model's answers; columns: the names of those wanted besides `source`, or none for all.

    "box" stands for its four columns, "probabilities" for those of all classes. Raises UsageError for unknown names.

    >>> schema(("happy", "sad"), ["emotion", "probabilities"]).names
    ['source', 'emotion', 'happy', 'sad']
    """
    if taken := [name for name in classes if name in _BEFORE | _AFTER]:
        raise UsageError(f"the model's class '{taken[0]}' has the name of a column; train it with another name")
    fields = _BEFORE | dict.fromkeys(classes, pa.float64()) | _AFTER
    groups = {"box": _BOX, "probabilities": tuple(classes)}
    wanted = {name for column in columns for name in groups.get(column, (column,))}
    if unknown := sorted(wanted - fields.keys()):
        raise UsageError(f"--columns {unknown[0]}: no such column; there are {', '.join([*fields, *groups])}")
    return pa.schema([(name, kind) for name, kind in fields.items() if name in wanted | {"source"} or not wanted])


def table(answers: Iterable[Mapping[str, Any]], columns: pa.Schema) -> pa.Table:
    """The rows of answers, each as `Prediction.to_dict()` gives it."""
    return pa.Table.from_pylist([row for answer in answers for row in _rows(answer)], columns)


def printable(name: str) -> str:
    r"""A file's name as a column can hold it: bytes that are no UTF-8 as \xff.

    >>> printable("caf\udce9.jpg")
    'caf\\xe9.jpg'
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _rows(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if "error" in answer:
        yield {
            "source": printable(answer["source"]),
            "frame": answer["frame"],
            "error": printable(answer["error"]),
        }
        return
    picture = {name: answer.get(name) for name in ("frame", "time")} | {
        "source": printable(answer["source"]),
        "turned": answer.get("turned", 0),
        "animated": answer.get("animated", False),
    }
    for face in answer["faces"]:
        values = {name: face.get(name) for name in ("track", "landmarks", "emotion", "confidence", "score", "quality")}
        box = dict(zip(_BOX, face["box"], strict=True))
        yield {**picture, **box, **values, "uncertain": face.get("uncertain", False), **face["probabilities"]}
    if not answer["faces"]:
        yield picture

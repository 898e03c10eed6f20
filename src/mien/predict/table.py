"""Predictions as one table, CSV or pandas': a row a face, and one for each picture or frame without a face."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mien import atomic
from mien.errors import UsageError
from mien.extras import require
from mien.predict.face import Face
from mien.predict.prediction import Prediction

if TYPE_CHECKING:
    import pandas

_FACE_COLUMNS = ("x", "y", "width", "height", "emotion", "confidence", "uncertain", "quality")
_COLUMNS = ("source", "frame", "time", "track", *_FACE_COLUMNS)


def check_table(path: Path) -> None:
    """Raise UsageError unless a table may be called `path`: under another suffix may lie what somebody needs."""
    if path.suffix.lower() != ".csv":
        raise UsageError(f"{path}: tables are written as .csv; name it so")


class Table:
    """The table; columns named after the classes hold their probabilities, the last one what could not be read."""

    def __init__(self, file: IO[str], classes: Sequence[str]) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._classes = len(classes)
        self._writer.writerow([*_COLUMNS, *classes, "error"])

    def add(self, prediction: Prediction, time: str = "", tracks: Sequence[int] | None = None) -> None:
        """Write the faces of one picture; of a frame of a video also its time and the faces' track numbers."""
        start = [prediction.source, "" if prediction.frame is None else prediction.frame, time]
        for face, track in zip(prediction.faces, tracks or [""] * len(prediction.faces), strict=True):
            self._writer.writerow([*start, track, *_cells(face), ""])
        if not prediction.faces:
            self._writer.writerow([*start, *[""] * (len(_COLUMNS) - len(start) + self._classes), prediction.error])


def _cells(face: Face) -> list[object]:
    shares = (f"{share:.4f}" for share in face.probabilities.values())
    quality = "" if face.quality is None else f"{face.quality:.4f}"
    return [*face.box, face.emotion, f"{face.confidence:.4f}", str(face.uncertain).lower(), quality, *shares]


@contextmanager
def write_table(path: Path, classes: Sequence[str]) -> Iterator[Table]:
    """A table that takes `path`'s place when the block ends, by Ctrl-C too; until then it is in a temporary file."""
    how: Any = {"buffering": 1, "newline": "", "encoding": "utf-8", "errors": "surrogateescape"}  # any file's name
    stopped = None
    with atomic.replacing(path) as temporary, temporary.open("w", **how) as file:
        try:
            yield Table(file, classes)
        except (KeyboardInterrupt, BrokenPipeError) as reason:
            stopped = reason
    if stopped:
        raise stopped


def to_frame(predictions: Iterable[Prediction]) -> pandas.DataFrame:
    """Predictions as a pandas table: a row a face, and one with an empty `emotion` for each picture without a face.

    Columns named after the classes hold their probabilities. Raises UsageError where pandas is missing.

    >>> face = Face((3, 4, 40, 50), (), "happy", 0.9, {"happy": 0.9, "sad": 0.1})
    >>> to_frame([Prediction("a.jpg", None, (face,))])[["source", "width", "emotion", "happy"]].values.tolist()
    [['a.jpg', 40, 'happy', 0.9]]
    """
    require("to_frame", "pandas")
    import pandas

    rows: list[dict[str, Any]] = []
    for prediction in predictions:
        start = {"source": prediction.source, "frame": prediction.frame, "error": prediction.error}
        rows += [{**start, **_values(face)} for face in prediction.faces] or [start]
    columns = ["source", "frame", *_FACE_COLUMNS]
    classes = dict.fromkeys(name for row in rows for name in row if name not in (*columns, "error"))
    return pandas.DataFrame(rows, columns=[*columns, *classes, "error"])


def _values(face: Face) -> dict[str, Any]:
    said = (*face.box, face.emotion, face.confidence, face.uncertain, face.quality)
    return {**dict(zip(_FACE_COLUMNS, said, strict=True)), **face.probabilities}

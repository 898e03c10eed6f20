"""Predictions as one CSV table: a row a face, and one for each picture or frame without a face."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from mien import atomic
from mien.errors import UsageError
from mien.predict.prediction import Face, Prediction

_COLUMNS = (
    "source", "frame", "time", "track", "x", "y", "width", "height", "emotion", "confidence", "uncertain",
    "quality",
)  # fmt: skip


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

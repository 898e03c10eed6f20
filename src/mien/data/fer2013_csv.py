"""FER-2013 as a table: `fer2013.csv`, `icml_face_data.csv`, and the competition's `train.csv`.

A row holds a face: `emotion`, a number in an order of its own; `pixels`, 2,304 gray levels, row by row; and
`Usage`, the official part, but for `train.csv`. Rows count from 1, the header is not counted.
"""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from PIL import Image

from mien.data.containers import MOST_FILES, Reader
from mien.data.layout import OFFICIAL, OFFICIAL_PARTS, Entry
from mien.errors import DataError
from mien.pictures import is_visible

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # not the alphabetical order
SIDE = 48

_KNOWN = ("fer2013.csv", "icml_face_data.csv", "train.csv", "test.csv")
_COLUMNS = ("emotion", "pixels", "usage")
_LONGEST_LINE = 64 << 10  # bytes; a face takes at most 9,300
_WHOLE_NUMBER = re.compile(r"[0-9]+", re.ASCII)


@dataclass(frozen=True)
class Table:
    """Faces in memory, handed out as PNG files: there are no file bytes to copy.

    pixels: uint8 [N, 48, 48]; places: from an entry's name to its place in `pixels`.
    """

    pixels: NDArray[np.uint8]
    places: dict[str, int]

    def picture(self, name: str) -> Image.Image:
        """One face."""
        return Image.fromarray(self.pixels[self.places[name]])

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """See Store."""

        def read(name: str) -> bytes:
            file = io.BytesIO()
            self.picture(name).save(file, "PNG")
            return file.getvalue()

        yield read


@dataclass(frozen=True)
class Contents:
    """What a table holds: its sound rows, the division they bring along if any, and what is wrong with the others."""

    table: Table
    entries: tuple[Entry, ...]
    origin: str
    problems: tuple[str, ...]


@dataclass(frozen=True)
class _Face:
    """One row: class name, Usage (`""` without such a column), and uint8 [2304]."""

    label: str
    usage: str
    pixels: NDArray[np.uint8]


class _BadRowError(Exception):
    """What is wrong with a row."""


def find_table(names: Sequence[str]) -> str | None:
    """The table to read among files: a known one, or else the only one."""
    tables = [name for name in names if name.lower().endswith(".csv") and is_visible(name)]
    known = [name for want in _KNOWN for name in tables if name.split("/")[-1].lower() == want]
    return known[0] if known else tables[0] if len(tables) == 1 else None


def read_table(stream: BinaryIO, where: str) -> Contents:
    """Read a table; BOM and CRLF are accepted. `where` names it in messages and entries.

    Raises DataError for what is wrong with the whole; what is wrong with single rows goes into `problems`.
    """
    lines = _lines(stream)
    columns = _columns(next(lines, ""), where)
    file, pixels = Path(where).name, bytearray()
    entries, problems = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # NumPy before 2.3 warns where later ones raise
        for row, line in enumerate(lines, 1):
            if row > MOST_FILES:
                raise DataError(f"{where}: more than {MOST_FILES:,} rows; FER-2013 has 35,887")
            if line.isspace():
                continue
            try:
                face = _face(line, columns)
            except _BadRowError as error:
                problems.append(f"row {row}: {error}")
            else:
                pixels += face.pixels.tobytes()
                entries.append(_entry(face, file, row))
    images = np.frombuffer(pixels, np.uint8).reshape(-1, SIDE, SIDE)
    table = Table(images, {entry.name: i for i, entry in enumerate(entries)})
    return Contents(table, tuple(entries), OFFICIAL if "usage" in columns else "", tuple(problems))


def _lines(stream: BinaryIO) -> Iterator[str]:
    """The lines of a text; what one has beyond the longest a face can take is passed over, unkept."""
    while line := stream.readline(_LONGEST_LINE):
        rest = line
        while len(rest) == _LONGEST_LINE and not rest.endswith(b"\n"):
            rest = stream.readline(_LONGEST_LINE)
        yield line.decode("utf-8", "replace")


def _columns(header: str, where: str) -> list[str]:
    """The columns' names, lower case."""
    if not header.strip("\ufeff\r\n "):
        raise DataError(f"{where}: empty; download it again")
    columns = [name.strip().lower() for name in _cells(header.lstrip("\ufeff"))]
    if "emotion" not in columns and "pixels" in columns:
        raise DataError(
            f"{where}: has no column 'emotion': these faces carry no labels (the competition's test set is such "
            "a file); use train.csv, fer2013.csv or icml_face_data.csv"
        )
    missing = [name for name in _COLUMNS[:2] if name not in columns]
    if missing:
        raise DataError(f"{where}: has no column '{missing[0]}'; expected emotion, pixels and, if there is one, Usage")
    return columns


def _cells(line: str) -> list[str]:
    return next(csv.reader([line.rstrip("\r\n").replace("\r", " ")]), [])


def _face(line: str, columns: Sequence[str]) -> _Face:
    cells = _cells(line)
    if len(cells) > len(columns):
        raise _BadRowError(f"{len(cells)} columns, expected {len(columns)}")
    values = dict.fromkeys(columns, "") | dict(zip(columns, cells, strict=False))
    pixels = _pixels(values["pixels"])
    return _Face(_label(values["emotion"].strip()), _usage(values), pixels)


def _entry(face: _Face, file: str, row: int) -> Entry:
    part = OFFICIAL_PARTS.get(face.usage, "")
    return Entry(f"{file} row {row}", face.label, part, f"{face.usage or 'row'}_{row}.png")


def _pixels(text: str) -> NDArray[np.uint8]:
    try:
        values = np.fromstring(text, np.int64, sep=" ")
    except (ValueError, DeprecationWarning):
        odd = next((value for value in text.split() if not _WHOLE_NUMBER.fullmatch(value)), "")
        raise _BadRowError(f"pixel {odd[:20]!r}, expected whole numbers from 0 to 255") from None
    if len(values) != SIDE * SIDE:
        raise _BadRowError(f"{len(values)} pixels, expected {SIDE * SIDE} ({SIDE}x{SIDE})")
    low, high = values.min(), values.max()
    if low < 0 or high > 255:
        raise _BadRowError(f"pixel {low if low < 0 else high}, expected whole numbers from 0 to 255")
    return values.astype(np.uint8)


def _label(number: str) -> str:
    if number not in tuple("0123456"):
        raise _BadRowError(f"emotion {number[:20]!r}, expected 0 to 6")
    return LABELS[int(number)]


def _usage(values: dict[str, str]) -> str:
    if "usage" not in values:
        return ""
    usage = values["usage"].strip()
    if usage not in OFFICIAL_PARTS:
        raise _BadRowError(f"Usage {usage[:20]!r}, expected {', '.join(OFFICIAL_PARTS)}")
    return usage

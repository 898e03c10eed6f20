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
from typing import TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.csv_files import delimiter_of, encoding_of
from mien.data.containers import MOST_FILES, Reader
from mien.data.layout import OFFICIAL, OFFICIAL_PARTS, Entry
from mien.errors import DataError
from mien.pictures import is_visible

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")  # not the alphabetical order
SIDE = 48

_KNOWN = ("fer2013.csv", "icml_face_data.csv", "train.csv", "test.csv")
_LONGEST_LINE = 64 << 10  # characters; a face takes at most 9,300
_WHOLE_NUMBER = re.compile(r"[0-9]+", re.ASCII)


@dataclass(frozen=True)
class Table:
    """Faces in memory, handed out as PNG files: there are no file bytes to copy.

    pixels: uint8 [N, 48, 48]; indices: from an entry's name to its index in `pixels`.
    """

    pixels: NDArray[np.uint8]
    indices: dict[str, int]

    def picture(self, name: str) -> Image.Image:
        """One face."""
        return Image.fromarray(self.pixels[self.indices[name]])

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


class _BadRowError(Exception):
    """What is wrong with a row."""


def find_table(names: Sequence[str]) -> str | None:
    """The table to read among files: a known one, or else the only one."""
    tables = [name for name in names if name.lower().endswith(".csv") and is_visible(name)]
    known = [name for want in _KNOWN for name in tables if name.split("/")[-1].lower() == want]
    return known[0] if known else tables[0] if len(tables) == 1 else None


def read_table(stream: io.BufferedReader, where: str) -> Contents:
    """Read a table, in UTF-8 or UTF-16, by commas, semicolons or tabs. `where` names it in messages and entries.

    Raises DataError for what is wrong with the whole; what is wrong with single rows goes into `problems`.
    """
    entries, problems, pixels = [], [], bytearray()
    encoding = encoding_of(stream.peek(2))
    with io.TextIOWrapper(stream, encoding, "replace", newline="\n") as text, warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # NumPy before 2.3 warns where later ones raise
        lines = _lines(text)
        head = next(lines, "")
        delimiter = delimiter_of(head)
        columns = _columns(_cells(head, delimiter), where)
        for row, line in enumerate(lines, 1):
            if row > MOST_FILES:
                raise DataError(f"{where}: more than {MOST_FILES:,} rows; FER-2013 has 35,887")
            if line.isspace():
                continue
            try:
                label, usage, face = _face(_cells(line, delimiter), columns)
            except _BadRowError as error:
                problems.append(f"row {row}: {error}")
            else:
                pixels += face.tobytes()
                part, name = OFFICIAL_PARTS.get(usage, ""), f"{usage or 'row'}_{row}.png"
                entries.append(Entry(f"{Path(where).name} row {row}", label, part, name))
    images = np.frombuffer(pixels, np.uint8).reshape(-1, SIDE, SIDE)
    table = Table(images, {entry.name: i for i, entry in enumerate(entries)})
    return Contents(table, tuple(entries), OFFICIAL if "usage" in columns else "", tuple(problems))


def _lines(text: TextIO) -> Iterator[str]:
    """The lines of a text; what one has beyond the longest a face can take is passed over, unkept."""
    while line := text.readline(_LONGEST_LINE):
        rest = line
        while len(rest) == _LONGEST_LINE and not rest.endswith("\n"):
            rest = text.readline(_LONGEST_LINE)
        yield line


def _columns(head: Sequence[str], where: str) -> list[str]:
    """The columns' names, lower case."""
    columns = [name.strip().lower() for name in head]
    if not any(columns):
        raise DataError(f"{where}: empty; download it again")
    if "emotion" not in columns and "pixels" in columns:
        raise DataError(
            f"{where}: has no column 'emotion': these faces carry no labels (the competition's test set is such "
            "a file); use train.csv, fer2013.csv or icml_face_data.csv"
        )
    missing = [name for name in ("emotion", "pixels") if name not in columns]
    if missing:
        raise DataError(f"{where}: has no column '{missing[0]}'; expected emotion, pixels and, if there is one, Usage")
    return columns


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line.rstrip("\r\n").replace("\r", " ")], delimiter=delimiter), [])


def _face(cells: Sequence[str], columns: Sequence[str]) -> tuple[str, str, NDArray[np.uint8]]:
    """Class name, Usage (`""` without such a column), and uint8 [2304], of a row."""
    if len(cells) > len(columns):
        raise _BadRowError(f"{len(cells)} columns, expected {len(columns)}")
    values = dict.fromkeys(columns, "") | dict(zip(columns, cells, strict=False))
    pixels = _pixels(values["pixels"])
    label = values["emotion"].strip()
    if label not in tuple("0123456"):
        raise _BadRowError(f"emotion {label[:20]!r}, expected 0 to 6")
    usage = values.get("usage", "").strip()
    if "usage" in values and usage not in OFFICIAL_PARTS:
        raise _BadRowError(f"Usage {usage[:20]!r}, expected {', '.join(OFFICIAL_PARTS)}")
    return LABELS[int(label)], usage, pixels


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

"""CSV, written one way and read one way, with one wording for what is wrong with a file.

Written: a head, a line a row, `\\n` at their ends, quotes only where they are needed. Read: UTF-8 or UTF-16 with a
byte order mark, cells separated by commas, semicolons or tabs, whichever the head has most of.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from mien.errors import DataError

T = TypeVar("T")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_HEAD = 64 << 10  # characters of the first line that are looked at


def csv_text(head: Sequence[object], rows: Iterable[Iterable[object]]) -> str:
    """The table of `rows` under `head`, as text."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(head)
    lines.writerows(rows)
    return text.getvalue()


def read_rows(path: Path, columns: Iterable[str], parse: Callable[[dict[str, str]], T], remedy: str) -> list[T]:
    """What `parse` makes of each row of a CSV file, given as a dict from column to cell.

    Raises DataError, `<path>[, row <n>]: <cause>; <remedy>`, where the file cannot be read, lacks one of `columns`,
    or has a row of another length, or of which `parse` raises KeyError or ValueError. Rows count from 1, without
    the head.

    >>> from pathlib import Path
    >>> read_rows(Path("gone.csv"), ["path"], dict, "give a list")
    Traceback (most recent call last):
    mien.errors.DataError: gone.csv: cannot be read (No such file or directory); give a list
    """
    try:
        with open(path, "rb") as file:
            encoding = encoding_of(file.peek(2))
        with open(path, newline="", encoding=encoding) as file:
            lines = csv.reader(file, delimiter=delimiter_of(file.readline(_HEAD)), strict=True)
            file.seek(0)
            head, *rows = [cells for cells in lines if cells] or [[]]
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); {remedy}") from None
    except (csv.Error, ValueError) as error:
        raise DataError(f"{path}: not a CSV table ({error}); {remedy}") from None
    if missing := [name for name in columns if name not in head]:
        raise DataError(f"{path}: has no column '{missing[0]}'; {remedy}")
    parsed = []
    for number, cells in enumerate(rows, 1):
        try:
            parsed.append(parse(dict(zip(head, cells, strict=True))))
        except KeyError as error:
            raise DataError(f"{path}: has no column {error}; {remedy}") from None
        except ValueError as error:
            cause = str(error) if len(cells) == len(head) else f"{len(cells)} cells, expected {len(head)}"
            raise DataError(f"{path}, row {number}: {cause}; {remedy}") from None
    return parsed


def encoding_of(start: bytes) -> str:
    """The encoding of a text that starts with these bytes, by its byte order mark; UTF-8 where it has none."""
    return "utf-16" if start[:2] in _UTF16_MARKS else "utf-8-sig"


def delimiter_of(head: str) -> str:
    """What separates the columns of a table with this head."""
    return max(",;\t", key=head.count)

"""`manifest.csv`: which image of a source lies where in a prepared folder, and what else is known of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

from mien.data.dataset import PARTS
from mien.data.stores import leads_out
from mien.errors import DataError

MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class Row:
    """One line of `manifest.csv`.

    path: where the image lies below the prepared folder. source: its name in the source. sha256: of its bytes.
    group: shared by copies (equal decoded pixels). flags: `blank`, `copy`, `conflict` (a copy of it carries
    another label), joined by `;`.
    """

    path: str
    label: str
    split: str
    source: str
    sha256: str
    group: int
    flags: str


def manifest_text(rows: Iterable[Row]) -> str:
    """The manifest of `rows`."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([field.name for field in fields(Row)])
    lines.writerows(astuple(row) for row in rows)
    return text.getvalue()


def read_manifest(folder: Path) -> list[Row]:
    """The rows of a prepared folder's manifest; raises DataError unless every one is sound."""
    try:
        with open(folder / MANIFEST, newline="", encoding="utf-8") as file:
            rows = [_row(cells) for cells in csv.DictReader(file)]
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder / MANIFEST}: not a manifest ({error}); prepare the data again") from None
    if not rows:
        raise DataError(f"{folder / MANIFEST}: lists no images; prepare the data again")
    return rows


def _row(cells: dict[str, Any]) -> Row:
    values: dict[str, Any] = {**cells, "group": int(cells["group"])}
    row = Row(**values)
    if None in cells.values():
        raise ValueError("a line is cut short")
    if row.split not in PARTS:
        raise ValueError(f"unknown split {row.split!r}")
    if leads_out(row.path) or "\0" in row.path:
        raise ValueError(f"{row.path!r} leads out of the folder")
    return row

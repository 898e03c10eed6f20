"""`manifest.csv`: which image of a source lies where in a prepared folder, and what else is known of it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mien.csv_files import csv_text
from mien.data.containers import leads_out
from mien.data.dataset import PARTS
from mien.errors import DataError

MANIFEST = "manifest.csv"
VOTES = "votes_"  # begins the names of the columns that hold shares of votes


@dataclass(frozen=True)
class Row:
    """One line of `manifest.csv`.

    path: where the image lies below the prepared folder. source: its name in the source. sha256: of its bytes.
    group: shared by copies (equal decoded pixels). flags: `blank`, `copy`, `conflict` (a copy of it carries
    another label), joined by `;`. votes: share of each class as people voted, in the classes' order, where the data
    were prepared with votes: columns `votes_<class>`, empty for a face without.
    """

    path: str
    label: str
    split: str
    source: str
    sha256: str
    group: int
    flags: str
    votes: tuple[float, ...] = ()


_COLUMNS = tuple(field.name for field in fields(Row) if field.name != "votes")


def manifest_text(rows: Sequence[Row], classes: Sequence[str]) -> str:
    """The manifest of `rows`."""
    voted = [VOTES + name for name in classes] if any(row.votes for row in rows) else []
    lines = []
    for row in rows:
        shares = [f"{share:.4g}" for share in row.votes] or [""] * len(voted)
        lines.append([*(getattr(row, name) for name in _COLUMNS), *shares])
    return csv_text([*_COLUMNS, *voted], lines)


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
    shares = [share for name, share in cells.items() if name.startswith(VOTES) and share]
    values: dict[str, Any] = {name: cells[name] for name in _COLUMNS} | {"group": int(cells["group"])}
    row = Row(**values, votes=tuple(map(float, shares)))
    if None in cells.values():
        raise ValueError("a line is cut short")
    if row.split not in PARTS:
        raise ValueError(f"unknown split {row.split!r}")
    if leads_out(row.path) or "\0" in row.path:
        raise ValueError(f"{row.path!r} leads out of the folder")
    return row

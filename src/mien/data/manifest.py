"""`manifest.csv`: which image of a source lies where in a prepared folder, and what else is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.csv_files import csv_text, read_rows
from mien.data.containers import leads_out
from mien.data.dataset import PARTS
from mien.errors import DataError

MANIFEST = "manifest.csv"
VOTES = "votes_"  # begins the names of the columns that hold shares of votes


@dataclass(frozen=True)
class Row:
    """One line of `manifest.csv`.

    path: where the image lies below the prepared folder. part: train, val or test, in the column `split`. source: its
    name in the source. sha256: of its bytes.
    group: shared by copies (equal decoded pixels). flags: `blank`, `copy`, `conflict` (a copy of it carries
    another label), joined by `;`. votes: share of each class as annotators voted, in the classes' order, where the data
    were prepared with votes: columns `votes_<class>`, empty for a face without.
    """

    path: str
    label: str
    part: str
    source: str
    sha256: str
    group: int
    flags: str
    votes: tuple[float, ...] = ()


_COLUMNS = ("path", "label", "split", "source", "sha256", "group", "flags")


def manifest_text(rows: Sequence[Row], classes: Sequence[str]) -> str:
    """The manifest of `rows`."""
    voted = [VOTES + name for name in classes] if any(row.votes for row in rows) else []
    lines = []
    for row in rows:
        shares = [f"{share:.4g}" for share in row.votes] or [""] * len(voted)
        start = [row.path, row.label, row.part, row.source, row.sha256, row.group, row.flags]
        lines.append([*start, *shares])
    return csv_text([*_COLUMNS, *voted], lines)


def read_manifest(folder: Path) -> list[Row]:
    """The rows of a prepared folder's manifest; raises DataError unless every one is sound."""
    path = folder / MANIFEST
    rows = read_rows(path, _COLUMNS, _row, "prepare the data again")
    if not rows:
        raise DataError(f"{path}: lists no images; prepare the data again")
    return rows


def _row(cells: dict[str, str]) -> Row:
    votes = tuple(float(share) for name, share in cells.items() if name.startswith(VOTES) and share)
    path, label, part, source, sha256, group, flags = (cells[name] for name in _COLUMNS)
    if part not in PARTS:
        raise ValueError(f"unknown split {part!r}")
    if leads_out(path) or "\0" in path:
        raise ValueError(f"{path!r} leads out of the folder")
    return Row(path, label, part, source, sha256, int(group), flags, votes)

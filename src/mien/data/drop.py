"""Lists of images to leave out, as `mien audit` writes them and `mien prepare --drop` takes them: `drop.csv`.

A table with a column `path`, an image's name in the source; other columns, such as `reason`, are for readers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from mien.csv_files import csv_text, read_rows
from mien.data.layout import class_names
from mien.data.sources import Source
from mien.errors import DataError, UsageError

DROP = "drop.csv"
_NAME = "path"
_WHOLE = "audit.csv"  # lists much that should stay; a part of it, under another name, is somebody's choice


def drop_text(reasons: Iterable[tuple[str, str]]) -> str:
    """The list of (name, reason)."""
    return csv_text([_NAME, "reason"], reasons)


def read_drop(path: Path) -> tuple[str, ...]:
    """The names listed in `path`, each once; raises UsageError for all of an audit, DataError for what is no list."""
    if path.name == _WHOLE:
        raise UsageError(f"{path}: lists all that mien audit found; give {DROP}, or a part of it under another name")
    names = read_rows(path, [_NAME], lambda row: row[_NAME], f"give a list as mien audit writes it ({DROP})")
    return tuple(dict.fromkeys(names))


def without(source: Source, names: Iterable[str]) -> Source:
    """`source` less the images called `names`; raises DataError where it has no image of such a name."""
    unwanted = set(names)
    unknown = sorted(unwanted - {entry.name for entry in source.entries})
    if unknown:
        raise DataError(
            f"{source.path}: has no image '{unknown[0]}' to drop ({len(unknown):,} of {len(unwanted):,} listed names "
            "are unknown); give the list that mien audit wrote for this very source"
        )
    entries = tuple(entry for entry in source.entries if entry.name not in unwanted)
    return replace(source, entries=entries, classes=class_names(source.path, entries))

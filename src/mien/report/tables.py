"""Tables as text, for pages and terminals alike."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Table:
    """A head and rows of text; the first column names the row. `total`: the last row sums the others up."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    total: bool = False


def read_table(path: Path) -> Table:
    """The table of a CSV file, its head with spaces for underscores."""
    with open(path, newline="", encoding="utf-8") as file:
        head, *rows = (tuple(row) for row in csv.reader(file))
    return Table(tuple(name.replace("_", " ") for name in head), tuple(rows))


def percent(share: float) -> str:
    """A share as `86.1 %`."""
    return f"{share * 100:.1f} %"


def minus(number: str) -> str:
    """A number with a true minus sign."""
    return number.replace("-", "\u2212")


def ends(interval: Sequence[float]) -> str:
    """The ends of an interval of scores from 0 to 1, as `0.771 to 0.799`."""
    low, high = interval
    return f"{low:.3f} to {high:.3f}"

"""CSV as Mien writes it: a head, a line a row, `\\n` at their ends, quotes only where they are needed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence


def csv_text(head: Sequence[object], rows: Iterable[Iterable[object]]) -> str:
    """The table of `rows` under `head`, as text."""
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(head)
    lines.writerows(rows)
    return text.getvalue()

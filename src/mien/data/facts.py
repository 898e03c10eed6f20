"""Facts about data: counts, copies, conflicting labels, leaks between parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mien.data.copies import blank, conflicting, copy_groups, group_sizes, shared_with
from mien.data.dataset import PARTS, Dataset, Split
from mien.data.prepare import Plan, Row, counts, leaked


def describe(split: Split, path: str) -> dict[str, Any]:
    """Facts about the data of a run, as plain values."""
    parts = split.parts()
    sizes = {name: group_sizes(copy_groups(part.images)) for name, part in parts.items()}
    return {
        "path": path,
        "origin": split.origin,
        "note": data_note(split, path),
        "classes": list(split.classes),
        "counts": {name: dict(zip(split.classes, part.counts().tolist(), strict=True)) for name, part in parts.items()},
        "copies": sum(int((size > 1).sum()) for size in sizes.values()),
        "blank": sum(int(blank(part.images).sum()) for part in parts.values()),
        "conflicts": _conflicts(list(parts.values())),
        "also_in_train": {name: _also_in(split.train, part) for name, part in parts.items() if name != "train"},
        "sha256": {name: part.digest() for name, part in parts.items()},
    }


def _also_in(train: Dataset, part: Dataset) -> int:
    return int(shared_with(part.images, train.images).sum())


def _conflicts(parts: Sequence[Dataset]) -> int:
    """The groups of copies, over all parts, whose faces do not all carry the same label."""
    groups = copy_groups(np.concatenate([part.images for part in parts]))
    labels = np.concatenate([part.labels for part in parts])
    return len(np.unique(groups[conflicting(groups, labels)]))


def data_note(split: Split, path: str) -> str:
    """Where the faces come from, in one line; drawn faces are named as such.

    It travels in model files, which are passed on: of the path, only the last name.
    """
    drawn = sum(name.rsplit("/", 1)[-1].startswith("drawn_") for name in split.train.paths)
    kind = "drawn faces, not photographs; " if drawn else ""
    return f"{kind}{path}: {split.origin}".replace(path, Path(path).name or path)


def preparation_facts(planned: Plan) -> dict[str, Any]:
    """What a preparation did, as plain values."""
    rows = planned.rows
    number = counts(rows)
    parts = [part for part in PARTS if any(row.part == part for row in rows)]
    copies = [row for row in rows if "copy" in row.flags.split(";")]
    return {
        "images": len(rows),
        "counts": {part: {label: number[part, label] for label in planned.classes} for part in parts},
        "distinct": len({row.group for row in rows}),
        "copies": {
            "groups": len({row.group for row in copies}),
            "images": len(copies),
            "by_part": dict(Counter(row.part for row in copies)),
            "groups_in_several_parts": _groups_in_several_parts(copies),
            "groups_with_conflicting_labels": len({row.group for row in rows if "conflict" in row.flags}),
        },
        "blank": sum("blank" in row.flags for row in rows),
        "leaked": {part: leaked(rows, part) for part in parts if part != "train"},
        "votes": _votes(rows),
        "skipped": {"count": len(planned.skipped), "names": list(planned.skipped)},
        "dropped": len(planned.dropped),
    }


def _votes(rows: Sequence[Row]) -> dict[str, int] | None:
    """How many faces have votes, none, or most for no class of the data's; None where nobody voted."""
    if not any(row.votes for row in rows):
        return None
    without = sum(not row.votes for row in rows)
    other = sum(bool(row.votes) and not any(row.votes) for row in rows)
    return {"faces": len(rows) - without - other, "without": without, "other": other}


def _groups_in_several_parts(copies: Sequence[Row]) -> int:
    places = Counter(group for group, _ in {(row.group, row.part) for row in copies})
    return sum(number > 1 for number in places.values())

"""Facts about data: counts, copies, conflicting labels, leaks between parts; computed here and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.data.copies import blank, conflicting, copy_groups, group_sizes
from mien.data.dataset import PARTS, Split
from mien.data.prepare import Plan
from mien.records.data import CopyFacts, DataFacts, Preparation, RunData, Skipped, VoteCounts

if TYPE_CHECKING:
    from collections.abc import Sequence


def data_facts(
    parts: NDArray[np.str_],
    labels: NDArray[np.int64],
    classes: Sequence[str],
    groups: NDArray[np.int64],
    empty: NDArray[np.bool_],
) -> DataFacts:
    """The facts of N images: the part and label of each [N], the group of its copies [N], and whether it is blank [N].

    Parts are listed in their usual order; unknown ones come first.
    """
    names = sorted(set(parts.tolist()), key=lambda name: PARTS.index(name) if name in PARTS else -1)
    copied, conflict = group_sizes(groups) > 1, conflicting(groups, labels)
    _, numbers = np.unique(parts, return_inverse=True)
    trained = np.isin(groups, groups[parts == "train"])

    def by_part(marked: NDArray[np.bool_], among: Sequence[str]) -> dict[str, int]:
        return {name: int((marked & (parts == name)).sum()) for name in among}

    def count_groups(marked: NDArray[np.bool_]) -> int:
        return len(np.unique(groups[marked]))

    counts = {name: np.bincount(labels[parts == name], minlength=len(classes)).tolist() for name in names}
    return DataFacts(
        images=len(labels),
        counts={name: dict(zip(classes, row, strict=True)) for name, row in counts.items()},
        distinct=count_groups(np.ones(len(groups), bool)),
        copies=CopyFacts(
            groups=count_groups(copied),
            images=int(copied.sum()),
            by_part=by_part(copied, names),
            groups_in_several_parts=count_groups(conflicting(groups, numbers)),
            groups_with_conflicting_labels=count_groups(conflict),
            also_in_train=by_part(trained, [name for name in names if name != "train"]) if "train" in names else {},
        ),
        blank=int(empty.sum()),
    )


def run_data(split: Split, path: str) -> RunData:
    """The facts about the data of a training run, which were read from `path`."""
    parts = split.parts()
    images = np.concatenate([part.images for part in parts.values()])
    facts = data_facts(
        np.repeat(list(parts), [len(part) for part in parts.values()]),
        np.concatenate([part.labels for part in parts.values()]),
        split.classes,
        copy_groups(images),
        blank(images),
    )
    digests = {name: part.digest() for name, part in parts.items()}
    return RunData(**vars(facts), path=path, origin=split.origin, note=data_note(split, path), sha256=digests)


def data_note(split: Split, path: str) -> str:
    """Where the faces come from, in one line; drawn faces are named as such.

    It travels in model files, which are passed on: of the path, only the last name.
    """
    drawn = sum(name.rsplit("/", 1)[-1].startswith("drawn_") for name in split.train.paths)
    kind = "drawn faces, not photographs; " if drawn else ""
    return f"{kind}{path}: {split.origin}".replace(path, Path(path).name or path)


def preparation_facts(planned: Plan) -> Preparation:
    """The facts about data that were prepared, and what was left out."""
    rows = planned.rows
    index = {name: k for k, name in enumerate(planned.classes)}
    facts = data_facts(
        np.array([row.part for row in rows]),
        np.array([index[row.label] for row in rows], np.int64),
        planned.classes,
        np.array([row.group for row in rows], np.int64),
        np.array(["blank" in row.flags for row in rows]),
    )
    votes = None
    if any(row.votes for row in rows):
        without = sum(not row.votes for row in rows)
        other = sum(bool(row.votes) and not any(row.votes) for row in rows)
        votes = VoteCounts(len(rows) - without - other, without, other)
    skipped = Skipped(len(planned.skipped), planned.skipped)
    return Preparation(**vars(facts), votes=votes, skipped=skipped, dropped=len(planned.dropped))

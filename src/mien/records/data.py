"""Facts about data: computed once by `mien.data.facts`, reported under one name by every command."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Counts = dict[str, dict[str, int]]  # images by part and class


@dataclass(frozen=True, kw_only=True)
class CopyFacts:
    """Copies: images whose decoded pixels are equal.

    groups, images: the groups of copies, and the images in them. by_part: those images by part. also_in_train: by
    part other than train, its images of which a copy is in train. None: version 0.1 did not record it.
    """

    groups: int | None = None
    images: int | None = None
    by_part: dict[str, int] = field(default_factory=dict)
    groups_in_several_parts: int | None = None
    groups_with_conflicting_labels: int | None = None
    also_in_train: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """What every command says of data. distinct: images less all but one of each group of copies."""

    images: int
    counts: Counts
    distinct: int | None = None
    copies: CopyFacts
    blank: int

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in label order."""
        return tuple(next(iter(self.counts.values()), ()))

    def part_sizes(self) -> dict[str, int]:
        """Images of each part."""
        return {part: sum(by_class.values()) for part, by_class in self.counts.items()}


@dataclass(frozen=True, kw_only=True)
class RunData(DataFacts):
    """The data of a training run.

    path: as given to the command. origin: who made the split, in words. note: where the faces come from, in one line
    that also travels in the model file. sha256: by part, of pixels, labels and votes.
    """

    path: str
    origin: str
    note: str
    sha256: dict[str, str]


@dataclass(frozen=True)
class VoteCounts:
    """Faces with votes, faces without, and faces with most votes for something that is no class of the data."""

    faces: int
    without: int
    other: int


@dataclass(frozen=True)
class Skipped:
    """What could not be read, as `<name>: <reason>`."""

    count: int
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Preparation(DataFacts):
    """What a preparation did. votes: None where nobody voted. dropped: images left out as they were listed."""

    votes: VoteCounts | None
    skipped: Skipped
    dropped: int


def upgrade_run_data(fields: dict[str, Any]) -> dict[str, Any]:
    """The data of a run as version 0.1 wrote it in today's form."""
    copies = {
        "groups_with_conflicting_labels": fields.get("conflicts"),
        "also_in_train": fields.get("also_in_train", {}),
    }
    images = sum(sum(part.values()) for part in fields["counts"].values())
    return {**fields, "images": images, "copies": copies}

"""The record of an audit of data (`audit.json`)."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mien.records.data import DataFacts
from mien.records.record import Record

AUDIT = "audit.csv"
NEAR = "near.csv"
UNDIVIDED = "all"  # the one part of a source without a split


@dataclass(frozen=True)
class Imbalance:
    """The largest and the smallest class, and how many times as large it is."""

    most: str
    fewest: str
    ratio: float


@dataclass(frozen=True)
class NearCopyFacts:
    """Pairs of near copies. nearly_in_train: by part, images with a near copy in train but no exact one."""

    pairs: int
    mirrored: int
    pairs_in_several_parts: int
    pairs_with_different_labels: int
    nearly_in_train: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AuditFacts(DataFacts):
    """The counts of an audit. suspects: None where nobody looked for wrong labels."""

    imbalance: Imbalance
    near_copies: NearCopyFacts
    plain: int
    border: int
    suspects: int | None = None


@dataclass(frozen=True)
class Tile:
    """Pictures side by side, each a PNG in base64, 48 pixels a side; the lines below them, and the images' names."""

    pictures: tuple[str, ...]
    lines: tuple[str, ...]
    names: str


@dataclass(frozen=True)
class Gallery:
    """Some of `count` things that could be shown."""

    tiles: tuple[Tile, ...]
    count: int


@dataclass(frozen=True)
class NearLimits:
    """What counts as a near copy: bits of 64 by which hashes may differ, and the least correlation of pixels."""

    bits: int
    likeness: float


@dataclass(frozen=True, kw_only=True)
class AuditRecord(Record):
    """All that a page shows of an audit.

    suspects: None where nobody looked. command, remedy: what made the audit, and what drops the images it lists.
    """

    FILE: ClassVar = "audit.json"
    COMMAND: ClassVar = "mien audit DATA --out FOLDER"

    data: str
    facts: AuditFacts
    conflicts: Gallery
    leaks: Gallery
    contradicting: Gallery
    least_alike: Gallery
    plain: Gallery
    border: Gallery
    suspects: Gallery | None = None
    limits: NearLimits
    command: str
    remedy: str

    @property
    def divided(self) -> bool:
        """Whether the data come in parts."""
        return set(self.facts.counts) != {UNDIVIDED}

    @property
    def search(self) -> str:
        """The command that looks for suspects."""
        return shlex.join(["mien", "audit", self.data, "--suspects"])

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Version 0.1 counted the images by part, and called the counts by class `classes`."""
        facts = fields["facts"]
        return {**fields, "facts": {**facts, "images": sum(facts["images"].values()), "counts": facts["classes"]}}

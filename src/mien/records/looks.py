"""The records of commands that leave pictures: what they are of, so that a report finds those of a model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from mien.records.record import Record


@dataclass(frozen=True, kw_only=True)
class ExplorationRecord(Record):
    """The data that were explored, and the digest of each part."""

    FILE: ClassVar = "exploration.json"
    COMMAND: ClassVar = "mien explore --data DATA"

    data: str
    sha256: dict[str, str]
    command: str


@dataclass(frozen=True, kw_only=True)
class ExplanationRecord(Record):
    """The model whose maps were drawn, its file's SHA-256 and notes, and the faces they were drawn on."""

    FILE: ClassVar = "explanation.json"
    COMMAND: ClassVar = "mien explain --model MODEL --data DATA"

    model: str
    model_sha256: str
    notes: dict[str, str] = field(default_factory=dict)
    data: str
    split: str
    command: str

"""The record of a training run (`config.json`, `history.csv`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

from mien.csv_files import read_rows
from mien.records.data import RunData, upgrade_run_data
from mien.records.recipe import Keep, Recipe, upgrade_recipe
from mien.records.record import Record

CONFIG = "config.json"
HISTORY = "history.csv"
GIVEN_MODELS = ("teachers", "initial weights")  # in a model's notes
_OLD_NOTES = {"taught by": "teachers", "began with": "initial weights"}  # as version 0.1 called them


@dataclass(frozen=True)
class Epoch:
    """One line of `history.csv`. `seconds` and `images_per_second` count training, not validation."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class ModelReference:
    """Another model that took part: its path as given, and its file's SHA-256."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Layer:
    """A layer of the network: what it is, the shape of its output for one face, and its trained weights."""

    name: str
    shape: tuple[int, ...]
    parameters: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended: "finished", "stopped early" or "interrupted", and which epoch's model was saved."""

    architecture: str
    parameters: int
    layers: tuple[Layer, ...] = ()
    best_epoch: int
    ended: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class RunRecord(Record):
    """What a run was started with, and how it ended.

    class_weights: of the loss, by class. save_as, votes: paths as given. both: whether the labels of the data are
    learned beside the votes. classes: new names for classes of the data. outcome: None while it is running, or where it
    was killed.
    """

    FILE: ClassVar = CONFIG
    COMMAND: ClassVar = "mien train --data DATA"

    recipe: Recipe
    seed: int
    device: str
    data: RunData
    class_weights: dict[str, float] | None = None
    versions: dict[str, str]
    command: str
    save_as: str | None = None
    votes: str | None = None
    both: bool = False
    classes: dict[str, str] = field(default_factory=dict)
    init: ModelReference | None = None
    teachers: tuple[ModelReference, ...] = ()
    outcome: Outcome | None = None

    @property
    def ended(self) -> str:
        """How the run ended; "" where it can be resumed."""
        ended = self.outcome.ended if self.outcome else ""
        return "" if ended == "interrupted" else ended

    @property
    def given_models(self) -> dict[str, str]:
        """Names and digests of the teachers, and of the initial weights, by the keys of GIVEN_MODELS."""
        given = self.teachers, (self.init,) if self.init else ()
        texts = (", ".join(f"{Path(one.path).name} ({one.sha256[:12]})" for one in models) for models in given)
        return {key: text for key, text in zip(GIVEN_MODELS, texts, strict=True) if text}

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Version 0.1 kept paths and digests of models apart, and the outcome among the other fields."""
        teachers = zip(fields.get("teachers", ()), fields.get("teachers_sha256", ()), strict=True)
        init = fields.get("init") and {"path": fields["init"], "sha256": fields["init_sha256"]}
        outcome = None
        if "ended" in fields:
            names = {"best_epoch": "kept_epoch", "ended": "ended", "seconds": "seconds"}
            outcome = fields["model"] | {name: fields[old] for name, old in names.items()}
        return {
            **fields,
            "data": upgrade_run_data(fields["data"]),
            "recipe": upgrade_recipe(fields["recipe"]),
            "init": init,
            "teachers": [{"path": path, "sha256": sha256} for path, sha256 in teachers],
            "outcome": outcome,
        }


def todays_notes(notes: Mapping[str, str]) -> dict[str, str]:
    """A model file's notes under today's names."""
    return {_OLD_NOTES.get(name, name): note for name, note in notes.items()}


def selected_epoch(history: Sequence[Epoch], keep: Keep) -> Epoch:
    """The epoch whose model is saved: the "last", or the first with the "lowest" validation loss."""
    return history[-1] if keep == "last" else min(history, key=lambda epoch: epoch.val_loss)


def read_history(folder: Path) -> list[Epoch]:
    """The epochs in a run folder's `history.csv`; raises DataError where a line is damaged."""

    def epoch(row: dict[str, str]) -> Epoch:
        number, *others = (row[field.name] for field in fields(Epoch))
        return Epoch(int(number), *map(float, others))

    return read_rows(folder / HISTORY, (), epoch, "train again, or remove it")

"""The record of a training run (`config.json`, `history.csv`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mien.records.recipe import Keep

import csv
import json
from pathlib import Path

from mien.errors import DataError, UsageError


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


def kept_epoch(history: Sequence[Epoch], keep: Keep) -> Epoch:
    """The epoch whose model is kept: the "last", or the first with the "lowest" validation loss."""
    return history[-1] if keep == "last" else min(history, key=lambda epoch: epoch.val_loss)


CONFIG = "config.json"
HISTORY = "history.csv"
GIVEN_MODELS = ("taught by", "began with")  # in a model's notes


def read_history(folder: Path) -> list[Epoch]:
    """The epochs in a run folder's `history.csv`; raises DataError where a line is damaged."""
    path = folder / HISTORY
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return [_epoch(row) for row in csv.DictReader(file)]
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise DataError(f"{path}: not a training history ({error})") from None


def given_models(config: Mapping[str, Any]) -> dict[str, str]:
    """Name and digest of a run's teachers, and of what it began with; a key of GIVEN_MODELS is missing for none."""
    teachers = zip(config.get("teachers", ()), config.get("teachers_sha256", ()), strict=False)
    init = [(config["init"], config["init_sha256"])] if config.get("init") else []
    texts = (", ".join(f"{Path(path).name} ({sha[:12]})" for path, sha in given) for given in (teachers, init))
    return {key: text for key, text in zip(GIVEN_MODELS, texts, strict=True) if text}


def how_ended(config: dict[str, Any]) -> str:
    """How a run ended, "" where it can be resumed."""
    how = config.get("ended", "interrupted")
    return "" if how == "interrupted" else how


def read_config(folder: Path) -> dict[str, Any]:
    """The fields of a run folder's `config.json`; raises UsageError or DataError where there are none."""
    path = folder / CONFIG
    if not path.is_file():
        raise UsageError(f"{folder}: holds no training run ({CONFIG}); start one with mien train --data")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise DataError(f"{path}: cannot be read ({error}); train anew") from None
    if not isinstance(config, dict):
        raise DataError(f"{path}: not the record of a run; train anew")
    return config


def _epoch(row: dict[str, str]) -> Epoch:
    numbers = {name: float(value) for name, value in row.items()}
    return Epoch(**{**numbers, "epoch": int(numbers["epoch"])})  # type: ignore[arg-type]

"""A training run on disk: `config.json`, `history.csv`, `model.safetensors` in one folder."""

from __future__ import annotations

import csv
import io
import platform
from dataclasses import asdict, astuple, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from mien import __version__, atomic
from mien.data.copies import blank, copy_groups, group_sizes
from mien.data.dataset import Split
from mien.errors import DataError, TrainingError
from mien.models.files import MODEL_FILE, write_model
from mien.models.model import Model
from mien.models.networks import parameters, torch_network
from mien.train.recipes import Recipe
from mien.train.trainer import Epoch, Listener, TrainResult, pick_device, train, with_notes

CONFIG = "config.json"
HISTORY = "history.csv"


@dataclass(frozen=True)
class Start:
    """What a run is started with; `command` and `data_path` are for the record."""

    recipe: Recipe
    split: Split
    seed: int
    device: str
    data_path: str
    command: str


def free_folder(base: Path) -> Path:
    """`base`, or the first of `base-2`, `base-3` ... that does not exist or is empty."""
    candidate, number = base, 1
    while candidate.exists() and any(candidate.iterdir()):
        number += 1
        candidate = base.with_name(f"{base.name}-{number}")
    return candidate


def train_run(start: Start, out: Path, listener: Listener) -> TrainResult:
    """Train into the folder `out`, which must not hold a run yet; each new best model is on disk at once.

    Raises TrainingError where `out` holds a run, or where the network collapses.
    """
    if (out / CONFIG).exists() or (out / MODEL_FILE).exists():
        raise TrainingError(f"{out}: holds a training run already; give another --out")
    train_set, val_set = start.split.part("train"), start.split.part("val")
    device = str(pick_device(start.device))
    config = _config(start, device)
    atomic.write_json(out / CONFIG, config)
    history: list[Epoch] = []
    notes = {"data": config["data"]["note"], "mien": config["versions"]["mien"]}

    def keep(model: Model) -> None:
        write_model(with_notes(model, **notes), out / MODEL_FILE)
        listener.on_best(model)

    def log(epoch: Epoch) -> None:
        history.append(epoch)
        _write_history(history, out / HISTORY)
        listener.on_epoch(epoch)

    listening = replace(listener, on_best=keep, on_epoch=log)
    result = train(start.recipe, train_set, val_set, start.seed, device, listening)
    atomic.write_json(out / CONFIG, config | _outcome(result))
    return replace(result, model=with_notes(result.model, **notes))


def read_history(folder: Path) -> list[Epoch]:
    """The epochs in a run folder's `history.csv`; raises DataError where a line is damaged."""
    path = folder / HISTORY
    try:
        with open(path, newline="", encoding="utf-8") as file:
            return [_epoch(row) for row in csv.DictReader(file)]
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise DataError(f"{path}: not a training history ({error})") from None


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
        "sha256": {name: part.digest() for name, part in parts.items()},
    }


def data_note(split: Split, path: str) -> str:
    """Where the faces come from, in one line; drawn faces are named as such."""
    drawn = sum(name.rsplit("/", 1)[-1].startswith("drawn_") for name in split.train.paths)
    kind = "drawn faces, not photographs; " if drawn else ""
    return f"{kind}{path}: {split.origin}"


def versions() -> dict[str, str]:
    """Versions of what decides a run's numbers."""
    installed = {name: version(name) for name in ("torch", "numpy", "pillow")}
    return {"mien": __version__, "python": platform.python_version()} | installed


def _config(start: Start, device: str) -> dict[str, Any]:
    return {
        "recipe": asdict(start.recipe),
        "seed": start.seed,
        "device": device,
        "data": describe(start.split, start.data_path),
        "versions": versions(),
        "command": start.command,
    }


def _outcome(result: TrainResult) -> dict[str, Any]:
    return {
        "model": {"architecture": result.model.architecture, "parameters": parameters(torch_network(result.model))},
        "best_epoch": result.best.epoch,
        "ended": result.ended,
        "seconds": round(sum(epoch.seconds for epoch in result.history), 1),
    }


def _write_history(history: list[Epoch], path: Path) -> None:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow([field.name for field in fields(Epoch)])
    lines.writerows(astuple(epoch) for epoch in history)
    atomic.write_text(path, text.getvalue())


def _epoch(row: dict[str, str]) -> Epoch:
    numbers = {name: float(value) for name, value in row.items()}
    return Epoch(**{**numbers, "epoch": int(numbers["epoch"])})  # type: ignore[arg-type]

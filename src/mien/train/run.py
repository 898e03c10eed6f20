"""A training run on disk: `config.json`, `history.csv`, `model.safetensors`, and a checkpoint while it is not done.

After each epoch the checkpoint is written first. Model and history follow from it, so whatever kills the process
in between, resuming writes them anew. A run that has ended says so in its config and needs no checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, astuple, dataclass, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from mien import atomic
from mien._version import __version__
from mien.csv_files import csv_text
from mien.data.dataset import Dataset, Split
from mien.data.facts import data_note, describe
from mien.data.kaggle import is_kaggle
from mien.data.sources import open_data
from mien.data.votes import join_split, with_majority
from mien.errors import DataError, MienError, TrainingError, UsageError
from mien.folders import hold
from mien.models.files import MODEL_FILE, model_digest, read_model, write_model
from mien.models.kernels import fused as kernels
from mien.models.model import Model
from mien.models.networks import parameters, pick_device, torch_network
from mien.records.recipe import Recipe, restore_recipe
from mien.records.run import CONFIG, HISTORY, Epoch, given_models, how_ended, read_config
from mien.train.checkpoint import CHECKPOINT, Checkpoint, read_checkpoint, write_checkpoint
from mien.train.progress import Listener
from mien.train.state import State
from mien.train.teachers import check_models
from mien.train.trainer import TrainResult, has_bfloat16, train, with_notes

_PATHS = ("save_as", "votes", "init")  # fields of RunConfig

Finish = Callable[[TrainResult], None]


@dataclass(frozen=True)
class RunConfig:
    """What a run is started with; `split` has been joined with `votes`, if they are given.

    `command`, `data_path`, `save_as`, `votes`, and the paths of `teachers` and `init`, are for the record and for who
    resumes.
    """

    recipe: Recipe
    split: Split
    seed: int
    device: str
    data_path: str
    command: str
    save_as: Path | None = None
    votes: Path | None = None
    teachers: tuple[Path, ...] = ()
    init: Path | None = None


def train_run(start: RunConfig, out: Path, listener: Listener, finish: Finish = lambda result: None) -> TrainResult:
    """Train into the folder `out`, which must not hold a run yet; after each epoch all that is needed is on disk.

    `finish` is called with the result before the run counts as ended: what it leaves undone when killed is made up
    for on resuming. Raises TrainingError where `out` holds a run, or another process trains there, where it cannot
    be written, or where the network collapses.
    """
    config = _config(start)
    train_faces, _ = _faces(start)  # bad data and models are refused before anything is written
    check_models(start.recipe.network, train_faces.classes, *_models(start, config))
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with hold(out):
        if (out / CONFIG).exists() or (out / MODEL_FILE).exists():
            raise TrainingError(f"{out}: holds a training run already; give another --out, or --resume {out}")
        with _writing(out):
            atomic.remove_leftovers(out)
            atomic.write_json(out / CONFIG, config)
        return _go(start, config, None, out, listener, finish)


def resume_run(start: RunConfig, out: Path, listener: Listener, finish: Finish = lambda result: None) -> TrainResult:
    """Go on with the run in `out` from its last checkpoint, or anew where it has none; `start` is `read_start(out)`.

    Ends as the run would have ended: the same weights and history to the bit, on the same machine. Raises
    TrainingError as `train_run` does, and where the checkpoint is damaged or the run has ended.
    """
    with hold(out):
        config = read_config(out)
        if how_ended(config):
            raise TrainingError(f"{out}: has ended already; there is nothing to resume")
        state = _saved(out, config, listener)
        with _writing(out):
            atomic.remove_leftovers(out)
            if state:
                _write_results(state.model, state.history, out)
        return _go(start, config, state, out, listener, finish)


def settled(folder: Path) -> str:
    """How the run in `folder` ended, "finished" or "stopped early", or "" where it can be resumed.

    Clears away what a process that was killed while ending left behind.
    """
    how = how_ended(read_config(folder))
    if how:
        with hold(folder):
            atomic.remove_leftovers(folder)
            (folder / CHECKPOINT).unlink(missing_ok=True)
    return how


def read_start(folder: Path) -> RunConfig:
    """What the run in `folder` was started with, its data read again.

    Raises UsageError where there is no run, DataError where its data are gone or are not the same, TrainingError
    where there is no device such as it trains on.
    """
    config = read_config(folder)
    try:
        recipe = restore_recipe(config["recipe"])
        path, digests = config["data"]["path"], config["data"]["sha256"]
        seed, device, command = config["seed"], config["device"], config["command"]
        save_as, votes, init = (value and Path(value) for value in (config[name] for name in _PATHS))
        teachers = tuple(Path(value) for value in config["teachers"])
    except (KeyError, TypeError) as error:
        raise DataError(f"{folder / CONFIG}: damaged, or of another version of Mien ({error!r}); train anew") from None
    try:
        pick_device(device)
    except UsageError:
        raise TrainingError(
            f"{folder}: trains on '{device}', which is not here; resume it where there is one"
        ) from None
    split = _same_data(folder, path, votes, digests)
    return RunConfig(recipe, split, seed, device, path, command, save_as, votes, teachers, init)


def versions() -> dict[str, str]:
    """Versions of what decides a run's numbers."""
    installed = {name: version(name) for name in ("torch", "numpy", "pillow")}
    return {"mien": __version__, "python": platform.python_version()} | installed


def _go(
    start: RunConfig, config: dict[str, Any], state: State | None, out: Path, listener: Listener, finish: Finish
) -> TrainResult:
    """Train from `state` to the end, on disk; the folder is held and its config written."""
    notes = {"data": data_note(start.split, start.data_path), **given_models(config), "mien": __version__}
    run, around = _digest(config), _surroundings(config["device"])

    def save(state: State) -> None:
        state = replace(state, model=with_notes(state.model, **notes))
        with _writing(out):
            write_checkpoint(Checkpoint(state, run, around), out / CHECKPOINT)
            _write_results(state.model if state.kept is state.last else None, state.history, out)
        listener.on_epoch(state)

    listening = Listener(listener.on_step, save, listener.on_remark)
    # A run that goes on has its weights in its state, and needs no longer what they began with.
    teachers, init = _models(start if state is None else replace(start, init=None), config)
    result = train(start.recipe, *_faces(start), start.seed, config["device"], listening, state, teachers, init)
    result = replace(result, model=with_notes(result.model, **notes))
    with _writing(out):
        _write_results(result.model, result.history, out)  # Ctrl-C may have come between two writes
        finish(result)
        atomic.write_json(out / CONFIG, config | _outcome(result))
        if result.ended != "interrupted":
            (out / CHECKPOINT).unlink(missing_ok=True)
    return result


def _faces(start: RunConfig) -> tuple[Dataset, Dataset]:
    return start.split.part("train"), with_majority(start.split.part("val"))


def _models(start: RunConfig, config: dict[str, Any]) -> tuple[list[Model], Model | None]:
    """The teachers, and what training begins with; raises DataError where one is not what the run was started with."""
    if len(start.teachers) != len(config["teachers_sha256"]):
        raise DataError(f"{CONFIG}: its teachers are not those that it counts; train anew")
    teachers = [_given(*pair) for pair in zip(start.teachers, config["teachers_sha256"], strict=True)]
    return teachers, _given(start.init, config["init_sha256"]) if start.init else None


def _given(path: Path, digest: str) -> Model:
    try:
        same = model_digest(path) == digest
    except MienError as error:
        raise DataError(f"this run was started with a model that is not there: {error}") from None
    if not same:
        raise DataError(f"{path}: not the model that this run was started with; put it back, or train anew")
    return read_model(path)


def _saved(out: Path, config: dict[str, Any], listener: Listener) -> State | None:
    """The state in `out`'s checkpoint, if there is one; remarks on what keeps the bits from being the same."""
    path = out / CHECKPOINT
    if not path.exists():
        listener.on_remark(f"{out}: has no checkpoint; starting anew")
        return None
    checkpoint = read_checkpoint(path)
    if checkpoint.run != _digest(config):
        raise TrainingError(
            f"{path}: belongs to another run than {CONFIG} (was either changed?); put back the one that fits, or "
            "delete the checkpoint and --resume starts this run anew"
        )
    listener.on_remark(f"{out}: going on after epoch {checkpoint.state.last.epoch}")
    now = _surroundings(config["device"])
    before = checkpoint.surroundings
    changes = [f"{name} {before[name]} is now {now[name]}" for name in now if now[name] != before[name]]
    if changes:
        listener.on_remark(f"{out}: {', '.join(changes)}; expect a result as good, but not the same to the bit")
    return checkpoint.state


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Turns what the disk refuses into a TrainingError."""
    try:
        yield
    except BrokenPipeError:  # a closed terminal, not the disk
        raise
    except OSError as error:
        begun = (out / CONFIG).exists()
        remedy = (
            f"see to that (a full disk?), then go on with mien train --resume {out}" if begun else "give another --out"
        )
        raise TrainingError(f"{out}: cannot save ({error}); {remedy}") from None


def _same_data(folder: Path, path: str, votes: Path | None, digests: dict[str, str]) -> Split:
    """The data at `path`; raises DataError unless they are those that `folder` was started with."""
    if not is_kaggle(path) and not Path(path).exists():
        raise DataError(
            f"{path}: the data of {folder} are gone; put them back, or resume in the folder that this path counts from"
        )
    split = open_data(path)
    if votes:
        split, _ = join_split(votes, split)
    now = {name: part.digest() for name, part in split.parts().items()}
    changed = [name for name in digests.keys() | now.keys() if digests.get(name) != now.get(name)]
    if changed:
        raise DataError(
            f"{path}: the {' and '.join(sorted(changed))} faces are not those that {folder} was started with; put the "
            "old data back, or train anew with --data"
        )
    return split


def _config(start: RunConfig) -> dict[str, Any]:
    return {
        "recipe": asdict(start.recipe),
        "seed": start.seed,
        "device": str(pick_device(start.device)),
        "data": describe(start.split, start.data_path),
        "versions": versions(),
        "command": start.command,
        **{name: (path := getattr(start, name)) and str(path) for name in _PATHS},
        "init_sha256": start.init and model_digest(start.init),
        "teachers": [str(path) for path in start.teachers],
        "teachers_sha256": [model_digest(path) for path in start.teachers],
    }


def _digest(config: dict[str, Any]) -> str:
    """SHA-256 of what decides a run's numbers."""
    others = config["teachers_sha256"], config["init_sha256"]
    decisive = [config["recipe"], config["seed"], config["data"]["sha256"], *others]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _surroundings(device: str) -> dict[str, str]:
    """What equal bits depend on besides."""
    place = pick_device(device)
    name = torch.cuda.get_device_name(place) if place.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    return {
        "mien": __version__,
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()),
        "kernels": "compiled" if place.type == "cpu" and kernels.available() else "torch's own",
        "device": f"{device} ({name}, {'bfloat16' if has_bfloat16(place) else 'float32'})",
    }


def _outcome(result: TrainResult) -> dict[str, Any]:
    return {
        "model": {"architecture": result.model.architecture, "parameters": parameters(torch_network(result.model))},
        "kept_epoch": result.kept.epoch,
        "ended": result.ended,
        "seconds": round(sum(epoch.seconds for epoch in result.history), 1),
    }


def _write_results(model: Model | None, history: Sequence[Epoch], out: Path) -> None:
    """Write what a run is for; `model` is None where the one on disk is still the one to keep."""
    if model:
        write_model(model, out / MODEL_FILE)
    names = [field.name for field in fields(Epoch)]
    atomic.write_text(out / HISTORY, csv_text(names, (astuple(epoch) for epoch in history)))

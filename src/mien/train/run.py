"""A training run on disk: `config.json`, `history.csv`, `model.safetensors`, and a checkpoint while it is not done.

After each epoch the checkpoint is written first. Model and history follow from it, so whatever kills the process
in between, resuming writes them again. A run that has ended says so in its record and needs no checkpoint.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field, fields, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from mien import atomic
from mien._version import __version__
from mien.csv_files import csv_text
from mien.data.dataset import Dataset, Split
from mien.data.facts import run_data
from mien.data.kaggle import is_kaggle
from mien.data.sources import open_data
from mien.data.votes import join_split, with_majority
from mien.errors import DataError, MienError, TrainingError, UsageError
from mien.folders import hold
from mien.models.architectures import network_name
from mien.models.files import MODEL_FILE, model_digest, read_model, write_model
from mien.models.kernels import fused as kernels
from mien.models.model import Model
from mien.models.networks import layer_shapes, parameters, pick_device, torch_network
from mien.records.recipe import Recipe
from mien.records.record import plain
from mien.records.run import CONFIG, HISTORY, Epoch, Layer, ModelReference, Outcome, RunRecord
from mien.train import distributed
from mien.train.checkpoint import CHECKPOINT, Checkpoint, read_checkpoint, write_checkpoint
from mien.train.losses import class_weights
from mien.train.progress import Listener
from mien.train.state import State
from mien.train.teachers import check_models
from mien.train.trainer import TrainResult, has_bfloat16, train, with_notes

Finish = Callable[[TrainResult], None]


@dataclass(frozen=True)
class RunConfig:
    """What a run is started with; `split` has been joined with `votes`, if they are given.

    `command`, `data_path`, `save_as`, `votes`, `both` (whether the labels of the data were kept beside the votes),
    `classes` (new names for classes of the data), and the paths of `teachers` and `init`, are for the record and for
    resuming.
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
    classes: Mapping[str, str] = field(default_factory=dict)
    both: bool = False


def train_run(start: RunConfig, out: Path, listener: Listener, finish: Finish = lambda result: None) -> TrainResult:
    """Train into the folder `out`, which must not hold a run yet; after each epoch all that is needed is on disk.

    `finish` is called with the result before the run counts as ended: what it leaves undone when killed is done on
    resuming. Raises TrainingError where `out` holds a run, or another process trains there, where it cannot be
    written, or where the network collapses.
    """
    record = _record(start)
    inputs = _inputs(start, record)  # bad data and models are refused before anything is written
    if np.count_nonzero(inputs.train.counts()) == 1:
        only = inputs.train.classes[int(inputs.train.labels[0])]
        raise DataError(f"{start.data_path}: all training faces are '{only}'; give some of at least two classes")
    check_models(start.recipe.network, inputs.train, inputs.teachers, inputs.init)
    distributed.meet(_digest(record))
    if distributed.rank():
        return _train(inputs, record, None, listener)
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with hold(out):
        if (out / CONFIG).exists() or (out / MODEL_FILE).exists():
            raise TrainingError(f"{out}: holds a training run already; give another --out, or --resume {out}")
        with _writing(out):
            atomic.remove_leftovers(out)
            record.write(out)
        return _go(inputs, record, None, out, listener, finish)


def resume_run(start: RunConfig, out: Path, listener: Listener, finish: Finish = lambda result: None) -> TrainResult:
    """Go on with the run in `out` from its last checkpoint, or anew where it has none; `start` is `read_start(out)`.

    Ends as the run would have ended: the same weights and history to the bit, on the same machine. Raises
    TrainingError as `train_run` does, and where the checkpoint is damaged or the run has ended.
    """
    record = RunRecord.read(out)
    distributed.meet(_digest(record))
    if distributed.rank():
        fresh = distributed.from_first(lambda: True)
        return _train(_inputs(start, record, with_init=fresh), record, None, listener)
    with hold(out):
        record = RunRecord.read(out)
        if record.ended:
            raise TrainingError(f"{out}: has ended already; there is nothing to resume")
        state = _saved(out, record, listener)
        distributed.from_first(lambda: state is None)
        with _writing(out):
            atomic.remove_leftovers(out)
            if state:
                _write_results(state.model, state.history, out)
        # A run that goes on has its weights in its state; those it began with are no longer needed.
        return _go(_inputs(start, record, with_init=state is None), record, state, out, listener, finish)


def settled(folder: Path) -> str:
    """How the run in `folder` ended, "finished" or "stopped early", or "" where it can be resumed.

    Clears away what a process that was killed while ending left behind.
    """
    ended = RunRecord.read(folder).ended
    if ended and not distributed.rank():
        with hold(folder):
            atomic.remove_leftovers(folder)
            (folder / CHECKPOINT).unlink(missing_ok=True)
    return ended


def read_start(folder: Path) -> RunConfig:
    """What the run in `folder` was started with, its data read again.

    Raises UsageError where there is no run, DataError where its data are gone or are not the same, TrainingError
    where there is no device such as it trains on.
    """
    record = RunRecord.read(folder)
    try:
        pick_device(record.device)
    except UsageError:
        raise TrainingError(
            f"{folder}: trains on '{record.device}', which is not here; resume it where there is one"
        ) from None
    save_as, votes = (Path(path) if path else None for path in (record.save_as, record.votes))
    return RunConfig(
        recipe=record.recipe,
        split=_same_data(folder, record, votes),
        seed=record.seed,
        device=record.device,
        data_path=record.data.path,
        command=record.command,
        save_as=save_as,
        votes=votes,
        teachers=tuple(Path(teacher.path) for teacher in record.teachers),
        init=Path(record.init.path) if record.init else None,
        classes=record.classes,
        both=record.both,
    )


def versions() -> dict[str, str]:
    """Versions of what decides a run's numbers."""
    installed = {name: version(name) for name in ("torch", "numpy", "pillow")}
    return {"mien": __version__, "python": platform.python_version()} | installed


@dataclass(frozen=True)
class _Inputs:
    """What a training takes in, read and checked."""

    train: Dataset
    val: Dataset
    teachers: list[Model]
    init: Model | None


def _record(start: RunConfig) -> RunRecord:
    """The record of a run about to begin."""
    train = start.split.part("train")
    weights = class_weights(train.counts(), start.recipe.balance).tolist()
    return RunRecord(
        recipe=start.recipe,
        seed=start.seed,
        device=str(pick_device(start.device)),
        data=run_data(start.split, start.data_path),
        class_weights=dict(zip(train.classes, weights, strict=True)),
        versions=versions(),
        command=start.command,
        save_as=str(start.save_as) if start.save_as else None,
        votes=str(start.votes) if start.votes else None,
        both=start.both,
        classes=dict(start.classes),
        init=_reference(start.init) if start.init else None,
        teachers=tuple(map(_reference, start.teachers)),
    )


def _reference(path: Path) -> ModelReference:
    return ModelReference(str(path), model_digest(path))


def _inputs(start: RunConfig, record: RunRecord, *, with_init: bool = True) -> _Inputs:
    """The faces and models; raises DataError where a model is not the one that the record names."""
    return _Inputs(
        train=start.split.part("train"),
        val=with_majority(start.split.part("val")),
        teachers=[_given(teacher) for teacher in record.teachers],
        init=_given(record.init) if record.init and with_init else None,
    )


def _given(reference: ModelReference) -> Model:
    path = Path(reference.path)
    try:
        same = model_digest(path) == reference.sha256
    except MienError as error:
        raise DataError(f"this run was started with a model that is not there: {error}") from None
    if not same:
        raise DataError(f"{path}: not the model that this run was started with; put it back, or train anew")
    return read_model(path)


def _go(
    inputs: _Inputs, record: RunRecord, state: State | None, out: Path, listener: Listener, finish: Finish
) -> TrainResult:
    """Train from `state` to the end, on disk; the folder is held and the record written."""
    notes = {"data": record.data.note, **record.given_models, "mien": __version__}
    digest, surroundings = _digest(record), _surroundings(record.device)

    def save(state: State) -> None:
        state = replace(state, model=with_notes(state.model, **notes))
        with _writing(out):
            write_checkpoint(Checkpoint(state, digest, surroundings), out / CHECKPOINT)
            _write_results(state.model if state.best is state.last else None, state.history, out)
        listener.on_epoch(state)

    try:
        result = _train(inputs, record, state, Listener(listener.on_step, save, listener.on_remark))
    except distributed.RankLostError as error:
        raise distributed.RankLostError(f"{out}: {error}; go on with: mien train --resume {out}") from None
    result = replace(result, model=with_notes(result.model, **notes))
    with _writing(out):
        _write_results(result.model, result.history, out)  # Ctrl-C may have come between two writes
        finish(result)
        replace(record, outcome=_outcome(result)).write(out)
        if result.ended != "interrupted":
            (out / CHECKPOINT).unlink(missing_ok=True)
    return result


def _train(inputs: _Inputs, record: RunRecord, state: State | None, listener: Listener) -> TrainResult:
    faces, models = (inputs.train, inputs.val), (inputs.teachers, inputs.init)
    return train(record.recipe, *faces, record.seed, record.device, listener, state, *models)


def _saved(out: Path, record: RunRecord, listener: Listener) -> State | None:
    """The state in `out`'s checkpoint, if there is one; remarks on what keeps the bits from being the same."""
    path = out / CHECKPOINT
    if not path.exists():
        listener.on_remark(f"{out}: has no checkpoint; starting anew")
        return None
    checkpoint = read_checkpoint(path)
    if checkpoint.run != _digest(record):
        raise TrainingError(
            f"{path}: does not belong to {CONFIG} (was either changed, or made by another version of Mien?); put back "
            "the one that fits, or delete the checkpoint and --resume starts this run anew"
        )
    listener.on_remark(f"{out}: going on after epoch {checkpoint.state.last.epoch}")
    now, before = _surroundings(record.device), checkpoint.surroundings
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


def _same_data(folder: Path, record: RunRecord, votes: Path | None) -> Split:
    """The data of the run in `folder`; raises DataError unless they are those that it was started with."""
    path, digests = record.data.path, record.data.sha256
    if not is_kaggle(path) and not Path(path).exists():
        raise DataError(
            f"{path}: the data of {folder} are gone; put them back, or resume in the folder that this path counts from"
        )
    split = open_data(path, classes=record.classes)
    if votes:
        split, _ = join_split(votes, split, both=record.both)
    now = {name: part.digest() for name, part in split.parts().items()}
    changed = [name for name in digests.keys() | now.keys() if digests.get(name) != now.get(name)]
    if changed:
        raise DataError(
            f"{path}: the {' and '.join(sorted(changed))} faces are not those that {folder} was started with; put the "
            "old data back, or train anew with --data"
        )
    return split


def _digest(record: RunRecord) -> str:
    """SHA-256 of what decides a run's numbers."""
    models = [teacher.sha256 for teacher in record.teachers], record.init and record.init.sha256
    recipe = plain(record.recipe)
    if recipe["augment"]["probability"] == 1:  # as versions wrote it that had no other
        del recipe["augment"]["probability"]
    if not recipe["ema"] and not recipe["freeze"]:  # as version 0.1 wrote it, whose checkpoints still fit
        recipe = {"average" if name == "ema" else name: value for name, value in recipe.items() if name != "freeze"}
    decisive = [recipe, record.seed, record.data.sha256, *models]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _surroundings(name: str) -> dict[str, str]:
    """What equal bits depend on besides, on the device called `name`."""
    device, processes = torch.device(name), distributed.size()
    chip = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
    return {
        "mien": __version__,
        "torch": torch.__version__,
        "threads": str(torch.get_num_threads()) + (f" in each of {processes} processes" if processes > 1 else ""),
        "kernels": "compiled" if device.type == "cpu" and processes == 1 and kernels.available() else "torch's own",
        "device": f"{name} ({chip}, {'bfloat16' if has_bfloat16(device) else 'float32'})",
    }


def _outcome(result: TrainResult) -> Outcome:
    network = torch_network(result.model)
    layers = [
        Layer(type(layer).__name__, shape, sum(weight.numel() for weight in layer.parameters()))
        for layer, shape in layer_shapes(network)
    ]
    return Outcome(
        architecture=network_name(result.model.architecture),
        parameters=parameters(network),
        layers=tuple(layers),
        best_epoch=result.best.epoch,
        ended=result.ended,
        seconds=round(sum(epoch.seconds for epoch in result.history), 1),
    )


def _write_results(model: Model | None, history: Sequence[Epoch], out: Path) -> None:
    """Write what a run is for; `model` is None where the one on disk is still the best."""
    if model:
        write_model(model, out / MODEL_FILE)
    names = [field.name for field in fields(Epoch)]
    atomic.write_text(out / HISTORY, csv_text(names, (astuple(epoch) for epoch in history)))

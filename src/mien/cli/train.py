"""Commands about training: train, recipes."""

from __future__ import annotations

import glob
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from mien import atomic
from mien.cli.console import command_line, quoted, say, say_sizes, training_progress
from mien.cli.options import RUNS, DataOptions, Repeated, check_seed, option
from mien.errors import UsageError
from mien.extras import missing, require

if TYPE_CHECKING:
    from mien.records.recipe import Recipe
    from mien.train.run import RunConfig
    from mien.train.trainer import TrainResult


def _of_recipe(field: str, metavar: str) -> object:
    """How the help shows an option whose default the recipe holds."""

    def hint(_: str) -> str:
        from mien.train.recipes import CLASSIC

        return f"(default: the recipe's; classic: {getattr(CLASSIC, field)})"

    return tyro.conf.arg(metavar=metavar, help_behavior_hint=hint)


_NO_DATA = DataOptions(None)


def train(
    data: DataOptions = _NO_DATA,
    recipe: Annotated[str | None, option("NAME", "classic; with --init finetune")] = None,
    epochs: Annotated[int | None, _of_recipe("epochs", "INT")] = None,
    batch_size: Annotated[int | None, _of_recipe("batch_size", "INT")] = None,
    rate: Annotated[float | None, _of_recipe("rate", "FLOAT")] = None,
    balance: Annotated[Literal["weights", "sqrt", "none"] | None, _of_recipe("balance", "{weights,sqrt,none}")] = None,
    teacher: Annotated[Repeated[tuple[Path, ...]], option("MODEL", "none")] = (),
    init: Annotated[Path | None, option("MODEL", "random weights")] = None,
    freeze: Annotated[int | None, _of_recipe("freeze", "INT")] = None,
    seed: Annotated[int | None, option("INT", "0")] = None,
    device: Annotated[str | None, option("DEVICE", "auto")] = None,
    out: Annotated[Path | None, option("FOLDER", "runs/<recipe>-s<seed>")] = None,
    save_as: Annotated[Path | None, option("FILE", "only into the run folder")] = None,
    resume: Annotated[Path | None, option("RUN", "a new run")] = None,
) -> None:
    """Train a network; the model is on disk after each epoch, Ctrl-C keeps it.

    Args:
        recipe: what decides how training goes; "classic" is the tutorial's; see `mien recipes`.
        epochs: passes over the training faces, at most.
        batch_size: faces per update of the weights.
        rate: learning rate.
        balance: class weights, their square roots, or none.
        teacher: distillation: model file, run folder or name of a model that comes with Mien, whose probabilities are
            half of what is learned; may be given several times, for the mean of all.
        init: model file, run folder, or name of a model that comes with Mien (base, tiny, base-fer2013), whose weights
            training begins with; on classes of your own it gets a new last layer.
        freeze: how many of the first blocks of convolutions stay as --init brings them.
        seed: draws weights, order, augmentation and dropout.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
        out: the run folder.
        save_as: also write the model to this file (.safetensors, .onnx, .keras or .h5).
        resume: run folder of a training that was stopped or killed: go on with it, without any other flag.
    """
    command = command_line(train, locals())
    require("mien train", "torch", "safetensors")
    from mien.folders import free_folder
    from mien.train.distributed import joined
    from mien.train.recipes import find_recipe, with_changes
    from mien.train.run import RunConfig, train_run

    with joined():  # what torchrun started, if it did
        if resume:
            _resume(resume, [word for word in shlex.split(command) if word.startswith("--") and word != "--resume"])
            return
        if not data.data:
            raise UsageError("nothing to train on; give --data DATA, or --resume RUN to go on with a run")
        chosen = find_recipe(recipe or ("finetune" if init else "classic"))
        if freeze and not init:
            raise UsageError(f"--freeze {freeze} keeps weights as --init brings them; add --init MODEL, such as base")
        changes = {"epochs": epochs, "batch_size": batch_size, "rate": rate, "balance": balance, "freeze": freeze}
        chosen = with_changes(chosen, **changes)
        check_seed(seed := seed or 0)
        if save_as:
            _check_target(save_as, chosen, init)
        folder = out or free_folder(RUNS / f"{chosen.name}-s{seed}")
        given = str(data.path), command, save_as, data.votes_file, teacher, init, data.names, data.labels == "both"
        _train(train_run, RunConfig(chosen, data.read(), seed, device or "auto", *given), folder)


def recipes() -> None:
    """List the training recipes and what each changes."""
    from mien.train.recipes import RECIPES, explain_recipe

    for name in RECIPES:
        print(f"{name:{max(map(len, RECIPES))}} {explain_recipe(name)}")


def _check_target(path: Path, recipe: Recipe, init: Path | None) -> None:
    """What cannot be written is better refused before training than after."""
    from mien.models.architectures import network_name
    from mien.models.files import check_writable, read_model

    check_writable(path)
    network = recipe.network or (network_name(read_model(init).architecture) if init else "")
    if path.suffix.lower() in (".h5", ".keras") and network != "classic":
        raise UsageError(f"{path}: {path.suffix} holds the network 'classic', not '{network}'; use .safetensors")


def _resume(folder: Path, others: list[str]) -> None:
    """Do what is left of the run in `folder`; `others` are the flags beside --resume."""
    from mien.train.run import read_start, resume_run, settled

    if others:
        alone = f"mien train --resume {quoted(folder)}"
        raise UsageError(f"--resume takes everything from the run; leave out {', '.join(others)}: {alone}")
    if how := settled(folder):
        print(f"{folder}: {how} already; there is nothing to resume")
        return
    start = read_start(folder)
    say_sizes(Path(start.data_path), start.split)
    _train(resume_run, start, folder)


def _train(run: Callable[..., TrainResult], start: RunConfig, folder: Path) -> None:
    """Do a new run or an old one's rest; print the result, and after Ctrl-C how to go on."""
    from mien.models.files import MODEL_FILE
    from mien.records.run import CONFIG
    from mien.report.terminal import training_text

    files = [folder / MODEL_FILE, *([start.save_as] if start.save_as else [])]
    try:
        listener = training_progress(start.recipe, len(start.split.train))
        result = run(start, folder, listener, lambda result: _finish(result, start.save_as, folder))
        print(training_text(result, files))
        if result.ended == "interrupted":
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        hint = f"; go on with: mien train --resume {quoted(folder)}" if (folder / CONFIG).exists() else ""
        raise KeyboardInterrupt(hint) from None


def _finish(result: TrainResult, save_as: Path | None, folder: Path) -> None:
    """What else a training leaves: its curves, and the model where the user wants it."""
    from mien.models.files import write_model
    from mien.records.figures import FIGURES
    from mien.train.trainer import with_notes

    atomic.remove_leftovers(folder / FIGURES)
    if lacking := missing("drawing the learning curves", "matplotlib"):
        say(lacking)
    else:
        from mien.report.draw import draw_training

        draw_training(result.history, result.best, folder, head=str(folder))
    if save_as:
        atomic.remove_leftovers(save_as.parent, glob.escape(save_as.name))
        _keep_previous(save_as, folder)
        write_model(with_notes(result.model, run=str(folder)), save_as)


def _keep_previous(path: Path, folder: Path) -> None:
    """Copy a file about to be replaced into the run folder: it may be the user's only copy."""
    if path.exists():
        kept = folder / f"previous-{path.name}"
        while kept.exists():
            kept = kept.with_name(f"previous-{kept.name}")
        atomic.write_bytes(kept, path.read_bytes())
        say(f"the previous {path} is kept as {kept}")

"""Commands about training: train, recipes."""

from __future__ import annotations

import glob
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from mien import atomic
from mien.cli.console import command_line, quoted, say, say_sizes, training_progress, words
from mien.cli.options import RUNS, Labels, Repeated, check_seed, check_target, open_faces, votes_file
from mien.errors import UsageError

if TYPE_CHECKING:
    from mien.train.run import RunConfig
    from mien.train.trainer import TrainResult


def train(
    data: Annotated[Path | None, tyro.conf.arg(aliases=["--data-dir"])] = None,
    recipe: str = "classic",
    epochs: int | None = None,
    batch_size: int | None = None,
    rate: float | None = None,
    balance: Literal["weights", "sqrt", "none"] | None = None,
    labels: Labels = "given",
    votes: Path | None = None,
    teacher: Repeated[tuple[Path, ...]] = (),
    init: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    out: Path | None = None,
    save_as: Path | None = None,
    resume: Path | None = None,
) -> None:
    """Train a network; the model is on disk after each epoch, Ctrl-C keeps it.

    Args:
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>.
        recipe: "classic" is the tutorial's; see `mien recipes`.
        epochs: passes over the training faces, at most.
        batch_size: faces an update.
        rate: learning rate.
        balance: class weights, their square roots, or none.
        labels: "given" by the data, or the "votes" of several people.
        votes: file of the votes: fer2013new.csv, ferplus.csv, or a CSV of file and one column a class; may be left out
            where the data were prepared with votes.
        teacher: model file, run folder or name of a model that comes with Mien, whose answers are half of what is
            learned; given again, the mean of all.
        init: .safetensors file or run folder whose weights training begins with.
        seed: draws weights, order, augmentation and dropout.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
        out: the run folder; runs/<recipe>-s<seed> if not given.
        save_as: also write the model to this file (.safetensors, .onnx, .keras or .h5).
        resume: run folder of a training that was stopped or killed: go on with it, without any other flag.
    """
    from mien.folders import free_folder
    from mien.train.recipes import find_recipe, with_changes
    from mien.train.run import RunConfig, train_run

    if resume:
        _resume(resume)
        return
    if not data:
        raise UsageError("nothing to train on; give --data DATA, or --resume RUN to go on with a run")
    chosen = with_changes(find_recipe(recipe), epochs=epochs, batch_size=batch_size, rate=rate, balance=balance)
    check_seed(seed)
    if save_as:
        check_target(save_as, chosen.network)
    folder = out or free_folder(RUNS / f"{recipe}-s{seed}")
    split = open_faces(data, labels, votes)
    file = votes_file(data, votes) if labels == "votes" else None
    start = RunConfig(chosen, split, seed, device, str(data), command_line(), save_as, file, teacher, init)
    _train(train_run, start, folder)


def recipes() -> None:
    """List the training recipes and what each changes."""
    from mien.train.recipes import RECIPES, explain_recipe

    for name in RECIPES:
        print(f"{name:{max(map(len, RECIPES))}} {explain_recipe(name)}")


def _resume(folder: Path) -> None:
    """Do what is left of the run in `folder`."""
    from mien.train.run import read_start, resume_run, settled

    others = [word for word in words[2:] if word.startswith("--") and word.partition("=")[0] != "--resume"]
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
    """Do a new run or an old one's rest; tell the result, and after Ctrl-C how to go on."""
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
    from mien.report.draw import FIGURES, draw_training
    from mien.train.trainer import with_notes

    atomic.remove_leftovers(folder / FIGURES)
    draw_training(result.history, result.kept, folder, head=str(folder))
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

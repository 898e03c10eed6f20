"""The command line: parse, call, print. The only place that prints.

Results go to stdout, progress and remarks to stderr. Bad input gives one line and exit code 2.
"""

from __future__ import annotations

import glob
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from mien import atomic
from mien.errors import MienError, UsageError

if TYPE_CHECKING:
    from mien.data.dataset import Split
    from mien.evaluate.evaluation import Evaluation
    from mien.models.model import Model
    from mien.train.recipes import Recipe
    from mien.train.run import Start
    from mien.train.state import State
    from mien.train.trainer import Listener, Progress, TrainResult

Data = Annotated[Path, tyro.conf.arg(aliases=["--data-dir"])]
ModelPath = Annotated[Path, tyro.conf.arg(aliases=["--model-path"])]
Flag = tyro.conf.FlagCreatePairsOff
Part = Literal["train", "val", "test"]

RUNS = Path("runs")
_INTERRUPTED = 130
_words: list[str] = []  # of the command being done


def prepare(
    input_dir: Path,
    output_dir: Path,
    train_frac: float = 0.70,
    val_frac: float = 0.15,
    test_frac: float = 0.15,
    split: Literal["stratified", "official"] = "stratified",
    seed: int = 0,
    allow_leaks: Flag[bool] = False,
    skip_bad: Flag[bool] = False,
    overwrite: Flag[bool] = False,
    json: Flag[bool] = False,
) -> None:
    """Divide faces into train/ val/ test/ with a manifest.

    Args:
        input_dir: zip archive, folder of <class>/<image> with or without train/ val/ test/, fer2013.csv, or
            kaggle:<owner>/<name>.
        output_dir: where train/ val/ test/ and manifest.csv are written.
        train_frac: share of each class for training.
        val_frac: share of each class for choosing.
        test_frac: share of each class for the final measurement.
        split: "official" keeps the division that the source brings along.
        seed: draws the division.
        allow_leaks: let copies of one face fall into different parts, for comparison.
        skip_bad: go on without images and rows that cannot be read, and name them.
        overwrite: replace a division prepared otherwise.
        json: print the result as JSON.
    """
    from mien.data.prepare import How, plan, write
    from mien.data.sources import open_source
    from mien.data.split import check_fractions
    from mien.report.text import preparation_facts, preparation_text

    how = How((train_frac, val_frac, test_frac), seed, split == "official", allow_leaks, skip_bad)
    check_fractions(how.fractions)
    source = open_source(input_dir)
    _say(f"reading {len(source.entries):,} images of {input_dir}")
    planned = plan(source, how)
    changed = write(planned, source, output_dir, overwrite=overwrite, wrap=_bar("copying", len(planned.rows)))
    if not changed:
        _say(f"{output_dir} already holds exactly this; nothing written")
    facts = preparation_facts(planned)
    print(_json(facts) if json else preparation_text(facts, planned.classes))


def explore(data: Data, out: Path = RUNS / "explore", seed: int = 0) -> None:
    """Draw what the data look like: class bars and pies, augmented variants, faces and mean face per class.

    Args:
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>.
        out: folder whose figures/ receives the pictures.
        seed: draws the faces shown and the augmentation.
    """
    from mien.report.draw import draw_data

    split = _open(data)
    _list(draw_data(split, out, seed))


def train(
    data: Annotated[Path | None, tyro.conf.arg(aliases=["--data-dir"])] = None,
    recipe: str = "classic",
    epochs: int | None = None,
    batch_size: int | None = None,
    rate: float | None = None,
    balance: Literal["weights", "sqrt", "none"] | None = None,
    seed: int = 0,
    device: str = "auto",
    out: Path | None = None,
    save_as: Path | None = None,
    resume: Path | None = None,
) -> None:
    """Train a network; the best model so far is on disk after each epoch, Ctrl-C keeps it.

    Args:
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>.
        recipe: "classic" is the tutorial's; see `mien recipes`.
        epochs: passes over the training faces, at most.
        batch_size: faces an update.
        rate: learning rate.
        balance: class weights, their square roots, or none.
        seed: draws weights, order, augmentation and dropout.
        device: "auto", "cpu" or "cuda".
        out: the run folder; runs/<recipe>-s<seed> if not given.
        save_as: also write the best model to this file (.safetensors, .onnx, .keras or .h5).
        resume: run folder of a training that was stopped or killed: go on with it, without any other flag.
    """
    from mien.train.recipes import adjust, find_recipe
    from mien.train.run import Start, free_folder, train_run

    if resume:
        _resume(resume)
        return
    if not data:
        raise UsageError("nothing to train on; give --data DATA, or --resume RUN to go on with a run")
    chosen = adjust(find_recipe(recipe), epochs=epochs, batch_size=batch_size, rate=rate, balance=balance)
    if save_as:
        _check_target(save_as, chosen.network)
    folder = out or free_folder(RUNS / f"{recipe}-s{seed}")
    split = _open(data)
    start = Start(chosen, split, seed, device, str(data), _command(), save_as)
    _train(train_run, start, folder)


def evaluate(
    model: ModelPath,
    data: Data,
    split: Part = "test",
    out: Path | None = None,
    device: str = "cpu",
    json: Flag[bool] = False,
) -> None:
    """Score a model on one part of the data, with intervals, tables and pictures.

    Args:
        model: model file (.safetensors, .onnx, .keras, .h5) or run folder.
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>.
        split: the part to score; "val" where there is no test part.
        out: folder for the results; runs/<model>-<split> if not given.
        device: "cpu" or "cuda".
        json: print metrics.json.
    """
    from mien.evaluate.evaluation import evaluation_folder, metrics, write_evaluation
    from mien.models.files import model_digest, model_name
    from mien.report.draw import draw_evaluation
    from mien.report.text import evaluation_text

    read, evaluation = _evaluate(model, data, split, device)
    folder = out or evaluation_folder(RUNS / f"{model_name(model)}-{evaluation.split}", model_digest(model))
    write_evaluation(evaluation, folder, model_sha256=model_digest(model), notes=dict(read.notes), command=_command())
    draw_evaluation(evaluation, folder)
    print(_json(metrics(evaluation)) if json else evaluation_text(evaluation))
    _say(f"tables and pictures are in {folder}")


def explain(model: ModelPath, data: Data, split: Part = "test", out: Path | None = None) -> None:
    """Draw where the network looks: Grad-CAM over right and wrong answers, and the mean map of each class.

    Args:
        model: model file (.safetensors, .keras, .h5) or run folder.
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>.
        split: the part whose faces are explained; "val" where there is no test part.
        out: folder whose figures/ receives the pictures; runs/<model>-<split> if not given.
    """
    from mien.evaluate.evaluation import evaluation_folder
    from mien.models.files import model_digest, model_name
    from mien.report.draw import draw_heatmaps

    read, evaluation = _evaluate(model, data, split, "cpu")
    folder = out or evaluation_folder(RUNS / f"{model_name(model)}-{evaluation.split}", model_digest(model))
    _list(draw_heatmaps(read, evaluation, folder))


def export(
    model: tyro.conf.Positional[Path],
    file: tyro.conf.Positional[Path],
    int8: Flag[bool] = False,
    data: Annotated[Path | None, tyro.conf.arg(aliases=["--data-dir"])] = None,
) -> None:
    """Write a model in another format, which the suffix of FILE picks.

    Args:
        model: model file (.safetensors, .keras, .h5) or run folder.
        file: what to write: .safetensors, .onnx, or for the classic network .keras or .h5; replaced if it is there.
        int8: write an .onnx file of a quarter of the size, several times as fast; its ranges are those of DATA.
        data: the data that the model was trained on; with --int8 only.
    """
    from mien.models.files import check_int8_suffix, check_suffix, read_model, write_int8, write_model
    from mien.train.trainer import with_notes

    check_suffix(file)
    if int8 != (data is not None):
        raise UsageError("--int8 and --data go together: int8 needs training faces, and nothing else does")
    if data is None:
        write_model(read_model(model), file)
    else:
        check_int8_suffix(file)
        write_int8(
            with_notes(read_model(model), int8=f"ranges of training faces of {data}"), file, _open(data).train.images
        )
    print(file)


def report(run: tyro.conf.Positional[Path]) -> None:
    """Write one self-contained HTML page from a run folder or an evaluation folder.

    Args:
        run: folder that `mien train` or `mien evaluate` wrote.
    """
    from mien.report.page import write_report

    print(write_report(run))


def demo(out: Path | None = None, count: int = 2000, epochs: int = 10, seed: int = 0) -> None:
    """Run the whole way on drawn faces: draw, prepare, explore, train, evaluate, explain, report.

    Args:
        out: the run folder; runs/demo if not given.
        count: number of faces to draw.
        epochs: passes over the training faces.
        seed: draws faces, division and training.
    """
    from mien.data.drawn import write_drawn
    from mien.train.run import free_folder

    folder = out or free_folder(RUNS / "demo")
    faces, data = folder / "drawn", folder / "data"
    _say(f"drawing {count:,} faces")
    write_drawn(faces, count, seed)
    here, model = f"--data {_quoted(data)} --out {_quoted(folder)}", f"--model {_quoted(folder)}"
    # Few faces make few updates: smaller batches make more of them, and class weights would slow the start.
    for command in (
        f"prepare --input-dir {_quoted(faces)} --output-dir {_quoted(data)} --seed {seed}",
        f"explore {here} --seed {seed}",
        f"train {here} --seed {seed} --epochs {epochs} --batch-size 32 --balance none",
        f"evaluate {model} {here}",
        f"explain {model} {here}",
        f"report {_quoted(folder)}",
    ):
        _say(f"\n$ mien {command}")
        _call(shlex.split(command))
    print(f"\nthe report: {folder / 'report.html'}\nthe model:  {folder / 'model.safetensors'}")


def recipes() -> None:
    """List the training recipes and what each changes."""
    from mien.train.recipes import RECIPES, explain_recipe

    for name in RECIPES:
        print(f"{name:10} {explain_recipe(name)}")


COMMANDS: dict[str, Callable[..., None]] = {
    "prepare": prepare,
    "explore": explore,
    "train": train,
    "evaluate": evaluate,
    "explain": explain,
    "export": export,
    "report": report,
    "demo": demo,
    "recipes": recipes,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for bad input, 130 after Ctrl-C."""
    try:
        _call(sys.argv[1:] if arguments is None else arguments)
    except MienError as error:
        _say(f"mien: {error}")
        return 2
    except KeyboardInterrupt as interrupt:
        _say(f"stopped by Ctrl-C{interrupt}")
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of our output, `head` perhaps, has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _call(arguments: Sequence[str]) -> None:
    """Parse one command and do it; its words are kept for the record of what it writes."""
    _words[:] = ["mien", *arguments]
    tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="mien", args=arguments, description=__doc__)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _command() -> str:
    return shlex.join(_words)


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _json(value: Any) -> str:
    return dumps(value, indent=2)


def _open(data: Path) -> Split:
    from mien.data.sources import open_data

    split = open_data(data)
    _say_sizes(data, split)
    return split


def _say_sizes(data: Path, split: Split) -> None:
    sizes = ", ".join(f"{name} {len(part):,}" for name, part in split.parts().items())
    _say(f"{data}: {sizes} ({split.origin})")


def _check_target(path: Path, network: str) -> None:
    """What cannot be written is better refused before training than after."""
    from mien.models.files import check_suffix

    check_suffix(path)
    if path.suffix.lower() in (".h5", ".keras") and network != "classic":
        raise UsageError(f"{path}: {path.suffix} holds the network 'classic', not '{network}'; use .safetensors")


def _resume(folder: Path) -> None:
    """Do what is left of the run in `folder`."""
    from mien.train.run import read_start, resume_run, settled

    others = [word for word in _words[2:] if word.startswith("--") and word.partition("=")[0] != "--resume"]
    if others:
        alone = f"mien train --resume {_quoted(folder)}"
        raise UsageError(f"--resume takes everything from the run; leave out {', '.join(others)}: {alone}")
    if how := settled(folder):
        print(f"{folder}: {how} already; there is nothing to resume")
        return
    start = read_start(folder)
    _say_sizes(Path(start.data_path), start.split)
    _train(resume_run, start, folder)


def _train(run: Callable[..., TrainResult], start: Start, folder: Path) -> None:
    """Do a new run or an old one's rest; tell the result, and after Ctrl-C how to go on."""
    from mien.models.files import MODEL_FILE
    from mien.report.text import training_text
    from mien.train.run import CONFIG

    files = [folder / MODEL_FILE, *([start.save_as] if start.save_as else [])]
    try:
        listener = _watch(start.recipe, len(start.split.train))
        result = run(start, folder, listener, lambda result: _finish(result, start.save_as, folder))
        print(training_text(result, files))
        if result.ended == "interrupted":
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        hint = f"; go on with: mien train --resume {_quoted(folder)}" if (folder / CONFIG).exists() else ""
        raise KeyboardInterrupt(hint) from None


def _finish(result: TrainResult, save_as: Path | None, folder: Path) -> None:
    """What else a training leaves: its curves, and the model where the user wants it."""
    from mien.models.files import write_model
    from mien.report.draw import FIGURES, draw_training
    from mien.train.trainer import with_notes

    atomic.remove_leftovers(folder / FIGURES)
    draw_training(result.history, folder)
    if save_as:
        atomic.remove_leftovers(save_as.parent, glob.escape(save_as.name))
        _keep_previous(save_as, folder)
        write_model(with_notes(result.model, run=str(folder)), save_as)


def _bar(what: str, total: int) -> Callable[[Iterable[Any]], Iterable[Any]]:
    from tqdm import tqdm

    return lambda items: tqdm(items, what, total, unit=" images", unit_scale=True, disable=None, leave=False)


def _watch(recipe: Recipe, faces: int) -> Listener:
    """A live line on stderr: loss, accuracy, images/s and time left; lasting lines for epochs and remarks."""
    from tqdm import tqdm

    from mien.report.text import epoch_text
    from mien.train.trainer import Listener

    bar = tqdm(total=recipe.epochs * faces, unit=" images", unit_scale=True, disable=None, leave=False, smoothing=0.1)

    def step(progress: Progress) -> None:
        if not bar.n:  # what a resumed run did before says nothing about its speed now
            bar.initial = bar.n = bar.last_print_n = (progress.epoch - 1) * faces
        bar.set_description(f"epoch {progress.epoch}/{progress.epochs}", refresh=False)
        bar.set_postfix_str(f"loss {progress.loss:.3f}, accuracy {progress.accuracy:.1%}", refresh=False)
        bar.update((progress.epoch - 1) * faces + progress.seen - bar.n)

    def epoch_end(state: State) -> None:
        bar.clear()
        _say(epoch_text(state.last, recipe.epochs, best=state.best is state.last))
        if state.ended:
            bar.close()

    return Listener(on_step=step, on_epoch=epoch_end, on_remark=_say)


def _keep_previous(path: Path, folder: Path) -> None:
    """Copy a file about to be replaced into the run folder: it may be the user's only copy."""
    if path.exists():
        kept = folder / f"previous-{path.name}"
        while kept.exists():
            kept = kept.with_name(f"previous-{kept.name}")
        atomic.write_bytes(kept, path.read_bytes())
        _say(f"the previous {path} is kept as {kept}")


def _evaluate(model: Path, data: Path, split: Part, device: str) -> tuple[Model, Evaluation]:
    from mien.evaluate.evaluation import evaluate as score
    from mien.models.files import read_model

    read = read_model(model)
    if "classes" in read.notes:
        _say(f"{model}: class names {read.notes['classes']}")
    parts = _open(data)
    if split == "test" and not len(parts.test):
        _say("there is no test part; scoring val instead")
        split = "val"
    return read, score(read, parts.part(split), name=str(model), data=str(data), split=split, device=device)


def _list(paths: Iterable[Path]) -> None:
    for path in paths:
        print(path)

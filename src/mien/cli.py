"""The command line: parse, call, print. The only place that prints.

Results go to stdout, progress and remarks to stderr. Bad input gives one line and exit code 2.
"""

from __future__ import annotations

import glob
import os
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import TextIOWrapper
from json import dumps
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from mien import atomic
from mien.errors import DataError, MienError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tqdm import tqdm

    from mien.data.audit import Audit
    from mien.data.dataset import Dataset, Split
    from mien.evaluate.comparison import Answers
    from mien.evaluate.suspects import Suspect
    from mien.models.model import Model
    from mien.predict.prediction import Prediction
    from mien.predict.predictor import Predictor
    from mien.predict.video import LooksAtFrames, Watched
    from mien.predict.watch import Wanted
    from mien.train.recipes import Recipe
    from mien.train.run import Start
    from mien.train.state import State
    from mien.train.trainer import Listener, Progress, TrainResult

Data = Annotated[Path, tyro.conf.arg(aliases=["--data-dir"])]
ModelPath = Annotated[Path, tyro.conf.arg(aliases=["--model-path"])]
Flag = tyro.conf.FlagCreatePairsOff
Repeated = tyro.conf.UseAppendAction
Part = Literal["train", "val", "test"]
Labels = Literal["given", "votes"]
Prior = Literal["natural", "uniform"]

RUNS = Path("runs")
_INTERRUPTED = 130
_FACES = 12  # of one photo that are explained
_SEEDS = 2**32  # what every generator takes
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
    drop: Path | None = None,
    votes: Path | None = None,
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
        drop: list of images to leave out, as `mien audit` writes it (drop.csv).
        votes: what people said of the faces, for the manifest: fer2013new.csv, or a CSV of file and one column a class.
        overwrite: replace a division prepared otherwise.
        json: print the result as JSON.
    """
    from mien.data.drop import read_drop
    from mien.data.prepare import How, plan, write
    from mien.data.sources import FRACTIONS, open_source
    from mien.data.split import check_fractions
    from mien.report.text import preparation_facts, preparation_text

    if split == "official" and (allow_leaks or (train_frac, val_frac, test_frac) != FRACTIONS):
        raise UsageError("--split official keeps the source's division; leave out fractions and --allow-leaks")
    _check_seed(seed)
    unwanted = read_drop(drop) if drop else ()
    how = How((train_frac, val_frac, test_frac), seed, split == "official", allow_leaks, skip_bad, unwanted, votes)
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

    _check_seed(seed)
    split = _open(data)
    _list(draw_data(split, out, seed))


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
    from mien.train.recipes import find_recipe, with_changes
    from mien.train.run import Start, free_folder, train_run

    if resume:
        _resume(resume)
        return
    if not data:
        raise UsageError("nothing to train on; give --data DATA, or --resume RUN to go on with a run")
    chosen = with_changes(find_recipe(recipe), epochs=epochs, batch_size=batch_size, rate=rate, balance=balance)
    _check_seed(seed)
    if save_as:
        _check_target(save_as, chosen.network)
    folder = out or free_folder(RUNS / f"{recipe}-s{seed}")
    split = _open(data, labels, votes)
    file = _votes_file(data, votes) if labels == "votes" else None
    start = Start(chosen, split, seed, device, str(data), _command(), save_as, file, teacher, init)
    _train(train_run, start, folder)


def evaluate(
    model: ModelPath,
    data: Data,
    split: Part = "test",
    labels: Labels = "given",
    votes: Path | None = None,
    prior: Prior = "natural",
    out: Path | None = None,
    tta: Literal["none", "flip"] = "none",
    corruptions: Flag[bool] = False,
    device: str = "auto",
    json: Flag[bool] = False,
) -> None:
    """Score a model on one part of the data, with intervals, tables and pictures.

    Args:
        model: model file (.safetensors, .onnx, .keras, .h5) or run folder.
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>.
        split: the part to score; "val" where there is no test part.
        labels: "given" by the data, or the "votes" of several people.
        votes: file of the votes: fer2013new.csv, ferplus.csv, or a CSV of file and one column a class; may be left out
            where the data were prepared with votes.
        prior: "natural" for expressions as frequent as in training, "uniform" where each is as likely as any other.
        out: folder for the results; runs/<model>-<split> if not given.
        tta: "flip" also scores the mean answer over each face and its mirror image, apart from the plain scores.
        corruptions: also score the same faces damaged in 15 ways, 5 strengths each; takes 75 times as long.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
        json: print metrics.json.
    """
    from mien.evaluate.evaluation import METRICS, is_of, with_corruptions, with_flip, write_evaluation
    from mien.evaluate.evaluation import evaluate as score
    from mien.models.files import model_digest
    from mien.report.draw import draw_evaluation, forget_heatmaps
    from mien.report.text import evaluation_text
    from mien.report.words import trained_elsewhere

    read = _read(model)
    parts = _open(data, labels, votes)
    faces, split = _part(parts, split)
    origin = {"name": str(model), "data": str(data), "split": split}
    trained_on = None if split == "train" else parts.train
    evaluation = score(read, faces, **origin, device=device, prior=prior, trained_on=trained_on)
    if undecided := len(faces) - len(evaluation.faces):
        _say(f"left out {undecided:,} {split} faces on which no answer got most votes")
    if warning := trained_elsewhere(read.notes, str(data)):
        _say(warning)
    if tta == "flip":
        evaluation = with_flip(evaluation, read, device, prior)
    if corruptions:
        evaluation = with_corruptions(evaluation, read, device, prior, _bar("damaging", 75, " parts"))
    folder = out or _evaluation_folder(model, data, split, labels, prior)
    facts = {"model_sha256": model_digest(model), "prior": prior}
    if (folder / METRICS).exists() and not is_of(folder, **facts, **origin):
        forget_heatmaps(folder)
    fields = write_evaluation(evaluation, folder, **facts, notes=dict(read.notes), command=_command())
    draw_evaluation(evaluation, folder)
    print(_json(fields) if json else evaluation_text(evaluation, fields))
    _say(f"tables and pictures are in {folder}")


def compare(
    models: tyro.conf.Positional[tuple[Path, ...]],
    data: Annotated[Path | None, tyro.conf.arg(aliases=["--data-dir"])] = None,
    split: Part = "test",
    labels: Labels = "given",
    votes: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    json: Flag[bool] = False,
) -> None:
    """Compare models on the same faces: differences with intervals, McNemar's test, faces they disagree on.

    Args:
        models: two or more of: model file, run folder, name of a shipped model, predictions.csv of any origin.
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>; not needed
            for predictions.csv alone, but then no face is drawn.
        split: the part to compare on; "val" where there is no test part.
        labels: "given" by the data, or the "votes" of several people.
        votes: file of the votes, as for evaluate.
        out: folder for models.csv, pairs.csv and the picture, which `mien report --compare` takes; runs/compare if
            not given.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
        json: print the results as JSON.
    """
    from mien.data.votes import with_majority
    from mien.evaluate.comparison import check_same_faces, comparison_facts, labels_of, read_answers, write_comparison
    from mien.evaluate.comparison import compare as compared
    from mien.report.draw import draw_comparison
    from mien.report.text import comparison_text
    from mien.train.run import free_folder

    if len(models) < 2:
        raise UsageError("nothing to compare; give two or more models or predictions.csv files")
    tables = {path: read_answers(path) for path in models if path.suffix.lower() == ".csv"}
    networks = {path: _read(path) for path in models if path not in tables}
    if networks and not data:
        raise UsageError(f"{next(iter(networks))}: a model needs faces to answer for; add --data DATA")
    if not data and (labels == "votes" or votes):
        raise UsageError("--labels and --votes are about --data; leave them out for predictions.csv alone")
    faces, told = None, "faces"
    if data:
        faces, split = _part(_open(data, labels, votes), split)
        faces = with_majority(faces)
        told = f"{split} faces of {data}{', judged by the majority of votes' if labels == 'votes' else ''}"
        for table in tables.values():
            check_same_faces(labels_of(faces, f"{data} ({split})"), table)
        tables |= _ask(networks, faces, str(data), split, device)
    comparison = compared([tables[path] for path in models])
    folder = out or free_folder(RUNS / "compare")
    write_comparison(comparison, folder, faces=told, command=_command())
    draw_comparison(comparison, faces, folder)
    print(_json(comparison_facts(comparison)) if json else comparison_text(comparison))
    _say(f"tables{' and picture' if faces else ''} are in {folder}")


def explain(
    photo: tyro.conf.Positional[Path | None] = None,
    model: ModelPath = Path("base"),
    data: Annotated[Path | None, tyro.conf.arg(aliases=["--data-dir"])] = None,
    split: Part = "test",
    labels: Labels = "given",
    votes: Path | None = None,
    method: Literal["auto", "gradcam", "occlusion"] = "auto",
    out: Path | None = None,
) -> None:
    """Draw where the model looks: on a photo, or on a part of the data, with a check that the maps can be trusted.

    Args:
        photo: picture to explain, each face in it; or give --data.
        model: model file (.safetensors, .onnx, .keras, .h5), run folder, or the name of a model that comes with Mien.
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>.
        split: the part whose faces are explained; "val" where there is no test part.
        labels: "given" by the data, or the "votes" of several people.
        votes: file of the votes: fer2013new.csv, ferplus.csv, or a CSV of file and one column a class; may be left out
            where the data were prepared with votes.
        method: Grad-CAM asks what is inside the network, occlusion only for answers; "auto" takes Grad-CAM where it
            can, which is not with .onnx.
        out: folder whose figures/ receives the pictures; runs/<model>-<split>, for a photo runs/explain, if not given.
    """
    from mien.evaluate.evaluation import evaluate as score
    from mien.report.draw import draw_heatmaps, draw_photo, draw_sanity

    if photo and data:
        raise UsageError("a photo and --data are two things to explain; give one of them")
    if photo and (labels == "votes" or votes):
        raise UsageError("--labels and --votes are about --data; leave them out for a photo")
    read = _read(model)
    if photo:
        _list(draw_photo(read, _faces_of(photo, read), out or RUNS / "explain", photo.stem, method))
    elif data:
        faces, split = _part(_open(data, labels, votes), split)
        evaluation = score(read, faces, name=str(model), data=str(data), split=split)
        folder = out or _evaluation_folder(model, data, split, labels)
        _list(draw_heatmaps(read, evaluation, folder, method))
        checks = draw_sanity(read, evaluation, folder, method)
        _list(checks)
        if not checks:
            _say("no check of the maps: it needs the weights of a run folder or .safetensors file")
    else:
        raise UsageError("nothing to explain; give a photo, or --data DATA")


def predict(
    paths: tyro.conf.Positional[tuple[str, ...]],
    model: str = "base",
    crop: Literal["detect", "none"] = "detect",
    prior: Prior = "natural",
    min_confidence: float = 0.0,
    annotate: Path | None = None,
    csv: Path | None = None,
    chart: Path | None = None,
    every: int = 1,
    smooth: float = 0.5,
    json: Flag[bool] = False,
) -> None:
    """Name the expressions on the faces in photos, videos and camera pictures.

    Args:
        paths: photos, videos, folders of these (with all folders within), or a camera (camera:0).
        model: "base", "tiny" or "base-fer2013", which come with Mien; or a model file or run folder.
        crop: "detect" finds the faces; "none" takes each picture as one ready-made crop.
        prior: "natural" expects expressions as often as training showed them, "uniform" each as often as any other.
        min_confidence: mark faces below it as uncertain.
        annotate: draw the answers into this file, or into copies in this folder (x-annotated.jpg of x.jpg); photos of
            over 33 megapixels are copied at half their size.
        csv: write a line for each face, and in a video for each frame, to this .csv file.
        chart: draw what the faces of a video showed over its time into this .png.
        every: of a video, look at every so many frames.
        smooth: of a video, time constant in seconds with which answers follow what is seen.
        json: print one JSON object a line for each photo or frame, photos that cannot be read included.
    """
    from mien.predict.photos import divide
    from mien.predict.predictor import Predictor

    if every < 1:
        raise UsageError(f"--every {every}: give 1 for each frame, or more")
    if not 0 <= smooth < inf:
        raise UsageError(f"--smooth {smooth:g}: give a number of seconds, 0 for none")
    photos, videos = divide(paths, annotate)
    copies, wanted = _predict_into(photos, videos, csv, annotate, chart)
    predictor = Predictor(model, prior, crop, min_confidence)
    failed = _predict_photos(photos, predictor, copies, csv, json=json) if photos else []
    for video, files in zip(videos, wanted, strict=True):
        if len(photos) + len(videos) > 1 and not json:
            print(f"{video}:")
        try:
            _predict_video(video, predictor, files, every=every, smooth=smooth, json=json)
        except MienError as error:
            failed.append(str(error))
    _tell_failures(failed, len(photos) + len(videos))


def calibrate(
    model: ModelPath,
    data: Data,
    save_as: Path,
    split: Part = "val",
    labels: Labels = "given",
    votes: Path | None = None,
) -> None:
    """Fit the model's temperature, so that of the answers it gives at 80 % four in five are right.

    Args:
        model: model file (.safetensors, .keras, .h5) or run folder.
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>.
        save_as: the model file to write, with the temperature in it.
        split: the part to fit it on; not the one to be scored.
        labels: "given" by the data, or the "votes" of several people.
        votes: file of the votes: fer2013new.csv, ferplus.csv, or a CSV of file and one column a class; may be left out
            where the data were prepared with votes.
    """
    from mien.evaluate.calibration import calibrate as fit
    from mien.models.files import check_writable, write_model
    from mien.report.text import calibration_text

    check_writable(save_as)
    read = _read(model)
    faces = _open(data, labels, votes).part(split)
    calibration = fit(read, faces, name=str(model), data=str(data))
    write_model(calibration.model, save_as)
    print(calibration_text(calibration))
    print(save_as)


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
    from mien.models.files import check_int8_suffix, check_writable, read_model, write_int8, write_model
    from mien.train.trainer import with_notes

    check_writable(file)
    if int8 != (data is not None):
        raise UsageError("--int8 and --data go together: int8 needs training faces, and nothing else does")
    if data is None:
        write_model(read_model(model), file)
    else:
        check_int8_suffix(file)
        noted = with_notes(read_model(model), int8=f"ranges of training faces of {data.name}")
        write_int8(noted, file, _open(data).train.images)
    print(file)


def audit(
    data: tyro.conf.Positional[Path],
    out: Path | None = None,
    suspects: Flag[bool] = False,
    seed: int = 0,
    device: str = "auto",
    json: Flag[bool] = False,
) -> None:
    """Look for what is wrong with the data: copies, near copies, conflicting labels, pictures without a face.

    Args:
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>.
        out: folder for page, audit.csv, near.csv (pairs of near copies), and drop.csv, which `mien prepare --drop`
            takes; runs/audit if not given. `mien report --audit` takes it along.
        suspects: also look for wrong labels, by training five small networks; takes minutes.
        seed: draws the folds of the suspects and their training.
        device: what the suspects are looked for on: "auto" (a GPU where there is one), "cpu" or "cuda".
        json: print the counts as JSON.
    """
    from mien.data.audit import audit as look
    from mien.data.audit import facts
    from mien.data.sources import open_source
    from mien.evaluate.suspects import check_cleanlab
    from mien.report.audit_files import check_folder, write_audit
    from mien.report.text import audit_text
    from mien.train.run import free_folder

    folder = out or free_folder(RUNS / "audit")
    check_folder(folder)
    _check_seed(seed)
    if suspects:
        check_cleanlab()
    source = open_source(data)
    _say(f"looking at {len(source.entries):,} images of {data}")
    seen = look(source)
    found = _suspects(seen, seed, device) if suspects else None
    files = write_audit(seen, found, folder, data=str(data), command=_command())
    counts = facts(seen) | ({} if found is None else {"suspects": len(found)})
    print(_json(counts) if json else audit_text(counts, str(data)))
    for file in files:
        _say(str(file))


def report(
    run: tyro.conf.Positional[Path], audit: Path | None = None, compare: Repeated[tuple[Path, ...]] = ()
) -> None:
    """Write one self-contained HTML page from a run folder or an evaluation folder.

    Args:
        run: folder that `mien train` or `mien evaluate` wrote.
        audit: folder that `mien audit` wrote about the data.
        compare: folder that `mien compare` wrote about this model and others; may be given several times.
    """
    from mien.report.page import write_report

    print(write_report(run, audit, compare))


def card(folders: tyro.conf.Positional[tuple[Path, ...]], out: Path | None = None) -> None:
    """Write a model card: data, training, scores with intervals, uses, limits; all from the folders' own files.

    Args:
        folders: run and evaluation folders, of one model or of several.
        out: the Markdown file to write; printed if not given.
    """
    from mien.report.card import card as written

    if not folders:
        raise UsageError("nothing to write a card of; give a run folder or an evaluation folder")
    text = written(folders)
    if out:
        atomic.write_text(out, text)
    print(out or text)


def demo(out: Path | None = None, count: int = 2000, epochs: int = 10, seed: int = 0) -> None:
    """Run the whole way on drawn faces: draw, audit, prepare, explore, train, evaluate, explain, report.

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
    _check_seed(seed)
    _say(f"drawing {count:,} faces")
    write_drawn(faces, count, seed)
    here, model = f"--data {_quoted(data)} --out {_quoted(folder)}", f"--model {_quoted(folder)}"
    audited = _quoted(folder / "audit")
    # Few faces make few updates: smaller batches make more of them, and class weights would slow the start.
    for command in (
        f"audit {_quoted(faces)} --out {audited}",
        f"prepare --input-dir {_quoted(faces)} --output-dir {_quoted(data)} --seed {seed}",
        f"explore {here} --seed {seed}",
        f"train {here} --seed {seed} --epochs {epochs} --batch-size 32 --balance none",
        f"evaluate {model} {here}",
        f"explain {model} {here}",
        f"report {_quoted(folder)} --audit {audited}",
    ):
        _say(f"\n$ mien {command}")
        _call(shlex.split(command))
    print(f"\nthe report: {folder / 'report.html'}\nthe model:  {folder / 'model.safetensors'}")


def recipes() -> None:
    """List the training recipes and what each changes."""
    from mien.train.recipes import RECIPES, explain_recipe

    for name in RECIPES:
        print(f"{name:{max(map(len, RECIPES))}} {explain_recipe(name)}")


COMMANDS: dict[str, Callable[..., None]] = {
    "prepare": prepare,
    "explore": explore,
    "train": train,
    "evaluate": evaluate,
    "compare": compare,
    "explain": explain,
    "predict": predict,
    "calibrate": calibrate,
    "export": export,
    "audit": audit,
    "report": report,
    "card": card,
    "demo": demo,
    "recipes": recipes,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 2 for bad input, 130 after Ctrl-C."""
    if isinstance(sys.stdout, TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="surrogateescape")  # names of files need not be UTF-8
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
    except OSError as error:  # a full disk, a folder in a file's place, a place that is not ours
        _say(f"mien: {error.filename or 'a file'}: cannot be used ({error.strerror or error}); give another place")
        return 2
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


def _open(data: Path, labels: Labels = "given", votes: Path | None = None) -> Split:
    """The faces that `--data`, `--labels` and `--votes` mean."""
    from mien.data.sources import open_data
    from mien.data.votes import join_split

    if votes and labels == "given":
        raise UsageError("--votes FILE is read with --labels votes; add that, or leave the file out")
    split = open_data(data)
    if labels == "votes":
        split, joined = join_split(_votes_file(data, votes), split)
        for name, part in joined.items():
            _say(f"{name}: left out {part.without:,} faces without votes, {part.other:,} with most for something else")
    _say_sizes(data, split)
    return split


def _votes_file(data: Path, votes: Path | None) -> Path:
    """The file with the votes: the one given, or the manifest of data that were prepared with votes."""
    from mien.data.manifest import MANIFEST

    if votes is None and not (data / MANIFEST).is_file():
        raise UsageError("--labels votes needs --votes FILE: fer2013new.csv, or a CSV of file and one column a class")
    return votes or data / MANIFEST


def _say_sizes(data: Path, split: Split) -> None:
    sizes = ", ".join(f"{name} {len(part):,}" for name, part in split.parts().items())
    _say(f"{data}: {sizes} ({split.origin})")


def _check_seed(seed: int) -> None:
    if not 0 <= seed < _SEEDS:
        raise UsageError(f"--seed {seed}: give a whole number from 0 to {_SEEDS - 1}")


def _check_target(path: Path, network: str) -> None:
    """What cannot be written is better refused before training than after."""
    from mien.models.files import check_writable

    check_writable(path)
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
    draw_training(result.history, result.kept, folder)
    if save_as:
        atomic.remove_leftovers(save_as.parent, glob.escape(save_as.name))
        _keep_previous(save_as, folder)
        write_model(with_notes(result.model, run=str(folder)), save_as)


def _suspects(seen: Audit, seed: int, device: str) -> tuple[Suspect, ...]:
    """Faces with suspect labels; the training of each fold is shown as it goes."""
    from mien.evaluate.suspects import FOLDS, RECIPE, check_known, cross_probabilities, find_suspects

    def on_fold(fold: int) -> Listener:
        _say(f"fold {fold + 1} of {FOLDS}")
        return _watch(RECIPE, len(seen.names) * (FOLDS - 1) // FOLDS)

    labels, probabilities = seen.faces.labels, cross_probabilities(seen, seed, device, on_fold)
    _say(f"the folds' networks name {check_known(labels, probabilities):.1%} of the faces as they are labelled")
    return find_suspects(labels, probabilities)


def _bar(what: str, total: int, unit: str = " images") -> Callable[[Iterable[Any]], Iterable[Any]]:
    from tqdm import tqdm

    return lambda items: tqdm(items, what, total, unit=unit, unit_scale=True, disable=None, leave=False)


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
        _say(epoch_text(state.last, recipe.epochs, saved=state.kept is state.last))
        if state.ended:
            bar.close()

    return Listener(on_step=step, on_epoch=epoch_end, on_remark=_say)


def _predict_into(
    photos: list[str], videos: list[str], csv: Path | None, annotate: Path | None, chart: Path | None
) -> tuple[dict[str, Path], list[Wanted]]:
    """Where the annotated copies of the photos go, and the files to make of each video, all seen to be possible."""
    from mien.predict.photos import annotated_paths, copy_folders
    from mien.predict.video import recording_name
    from mien.predict.watch import check_table, wanted_of

    sources = [*photos, *videos]
    if not sources:
        raise UsageError("nothing to predict on; give photos, videos or folders")
    if chart and not videos:
        raise UsageError(f"{chart}: --chart shows what changes over the time of a video; leave it out for photos")
    if (csv or chart) and videos and len(sources) > 1:
        raise UsageError(f"{videos[0]}: --csv and --chart are for one video, or for photos; give it alone")
    if csv and not videos:
        check_table(csv)
    targets: dict[str, Path] = {}
    if annotate and not annotate.suffix:
        folders = copy_folders(sources, annotate)
        targets = {video: folders[video] / recording_name(video) for video in videos}
    elif annotate and len(sources) > 1:
        raise UsageError(f"{annotate}: one file for {len(sources):,} photos and videos; give --annotate a folder")
    wanted = [wanted_of(video, csv, targets.get(video, annotate), chart) for video in videos]
    copies = annotated_paths(photos, annotate, videos) if annotate and photos else {}
    files = [file for each in wanted for file in (each.annotated, each.chart) if file]
    if twice := {file for file in files if files.count(file) > 1}:
        raise UsageError(f"{twice.pop()}: the copies of two videos would have this name; give one at a time")
    for file in [*files, *copies.values(), *([csv] if csv else [])]:
        atomic.check(file)
    return copies, wanted


def _predict_photos(
    photos: list[str], predictor: Predictor, copies: dict[str, Path], csv: Path | None, *, json: bool
) -> list[str]:
    """Tell and write the answers for photos; returns what went wrong, a line a photo."""
    from mien.predict.photos import face_lines, faces_csv, name_width

    answered: list[Prediction] = []
    failed: list[str] = []
    width = name_width(photos)
    try:
        for prediction in _bar("predicting", len(photos))(predictor.stream(photos)):
            _print_lines([dumps(prediction.to_dict())] if json else face_lines(prediction, width))
            if csv:
                answered.append(prediction)
            if prediction.error:
                failed.append(prediction.error)
                continue
            if not prediction.faces:
                _say(f"{prediction.source}: no face found")
            if copies:
                failed += _copy_photo(prediction, copies[prediction.source])
    finally:
        if csv:
            atomic.write_text(csv, faces_csv(answered, predictor.classes))
    return failed


def _copy_photo(prediction: Prediction, target: Path) -> list[str]:
    """Write a photo's annotated copy; returns what went wrong."""
    from mien.predict.photos import write_annotated

    try:
        write_annotated(prediction, target)
    except DataError as error:
        return [str(error)]
    return []


def _print_lines(lines: Iterable[str]) -> None:
    """Print above the progress bar, if there is one."""
    from tqdm import tqdm

    for line in lines:
        tqdm.write(line)


def _tell_failures(failed: Sequence[str], total: int) -> None:
    """Raise DataError if anything failed; of several things, each is said first."""
    if not failed:
        return
    if total == 1:
        raise DataError(failed[0])
    for line in failed:
        _say(line)
    raise DataError(f"{len(failed):,} of {total:,} could not be predicted on; see above")


def _predict_video(
    source: str, predictor: LooksAtFrames, wanted: Wanted, *, every: int, smooth: float, json: bool
) -> None:
    """Follow the faces of a video or camera; Ctrl-C ends it, and is the way to end a camera."""
    from mien.predict.timeline import timeline_text
    from mien.predict.video import follow, open_footage
    from mien.predict.watch import watch
    from mien.predict.window import open_window

    with open_footage(source) as footage:
        window = open_window(f"{source} - Mien") if footage.live and not json else None
        lines = json or (footage.live and not window)
        if lines and not json:
            _say("no display, or no Tk, for a live window; a line of JSON for each frame instead")
        frames = follow(footage, predictor, every, smooth)
        with _frame_bar(source, footage.total) as bar:
            outcome = watch(frames, footage.rate, wanted, predictor.classes, _frame_listener(bar, lines), window)
    text = timeline_text(outcome.timeline)
    if not text:
        _say(f"{source}: no face found")
    elif not lines:
        print(text)
    if outcome.stopped and not (footage.live and isinstance(outcome.stopped, KeyboardInterrupt)):
        raise outcome.stopped


def _frame_bar(source: str, total: int | None) -> tqdm[Any]:
    from tqdm import tqdm

    return tqdm(None, source, total, unit=" frames", unit_scale=True, disable=None, leave=False)


def _frame_listener(bar: tqdm[Any], lines: bool) -> Callable[[Watched], None]:
    """Moves the bar and, if `lines`, prints each frame that was looked at as a line of JSON."""

    def listen(watched: Watched) -> None:
        bar.update()
        if lines and watched.fresh:
            bar.clear()
            sys.stdout.write(dumps(watched.to_dict()) + "\n")  # in one go: Ctrl-C leaves whole lines
            sys.stdout.flush()

    return listen


def _keep_previous(path: Path, folder: Path) -> None:
    """Copy a file about to be replaced into the run folder: it may be the user's only copy."""
    if path.exists():
        kept = folder / f"previous-{path.name}"
        while kept.exists():
            kept = kept.with_name(f"previous-{kept.name}")
        atomic.write_bytes(kept, path.read_bytes())
        _say(f"the previous {path} is kept as {kept}")


def _read(model: Path) -> Model:
    from mien.models.files import read_model

    read = read_model(model)
    if "classes" in read.notes:
        _say(f"{model}: class names {read.notes['classes']}")
    return read


def _part(parts: Split, name: Part) -> tuple[Dataset, Part]:
    """The part to score, and its name: val where there is no test part."""
    if name == "test" and not len(parts.test):
        _say("there is no test part; scoring val instead")
        name = "val"
    return parts.part(name), name


def _ask(networks: Mapping[Path, Model], faces: Dataset, data: str, split: Part, device: str) -> dict[Path, Answers]:
    """What each network says of the faces."""
    from mien.evaluate.comparison import answers_of
    from mien.evaluate.evaluation import evaluate as score

    said = {}
    for path, read in networks.items():
        said[path] = answers_of(score(read, faces, name=str(path), data=data, split=split, device=device))
    return said


def _evaluation_folder(model: Path, data: Path, split: str, labels: Labels, prior: Prior = "natural") -> Path:
    """Where what is found out about a model goes, unless the user says."""
    from mien.evaluate.evaluation import evaluation_folder
    from mien.models.files import model_digest, model_name

    ruler = "-votes" if labels == "votes" else ""
    base = RUNS / f"{model_name(model)}-{split}{ruler}"
    return evaluation_folder(base, model_sha256=model_digest(model), data=str(data), prior=prior)


def _faces_of(photo: Path, model: Model) -> NDArray[np.uint8]:
    """The surest faces of a photo as the model gets them, uint8 [N, S, S]; its middle square where none is found."""
    import numpy as np

    from mien.pictures import read_picture
    from mien.predict.faces import cut_out, find_faces

    try:
        with open(photo, "rb") as file:
            picture = read_picture(file, str(photo)).image
    except OSError as error:
        raise UsageError(f"{photo}: cannot be read ({error.strerror}); give a picture") from None
    preprocess = model.preprocess
    found = sorted(find_faces(picture), key=lambda face: -face.score)
    if not found:
        _say(f"{photo}: no face found; taking its middle square for one")
        return preprocess.square(picture)[None]
    if len(found) > _FACES:
        _say(f"{photo}: {len(found)} faces; explaining the {_FACES} that are surest to be faces")
    cuts = [cut_out(picture, face.landmarks, preprocess.size) for face in found[:_FACES]]
    return np.stack([preprocess.square(cut) for cut in cuts])


def _list(paths: Iterable[Path]) -> None:
    for path in paths:
        print(path)

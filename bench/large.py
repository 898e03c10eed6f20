"""Makes the model `large` of trainings by `two_heads.py`, and measures it beside its parts.

    python bench/large.py runs/pairs runs/slim --data data/archive.zip --votes data/ferplus.csv --out runs/large

Writes each network as .safetensors and in int8, the mean of them with the mirrored face, and the same with `base`
(votes) and `base-fer2013` (labels) among them, which is `large`. Temperatures are fitted on PublicTest, one a head.
Prints, for each of them: megabytes; milliseconds a face on one thread, one at a time, taken in turns; agreement with
FER+ votes (plurality) and macro F1, accuracy on FER-2013's labels, in float32 and int8.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import torch
from two_heads import NETWORKS

from mien import open_data
from mien.data.dataset import Dataset
from mien.data.votes import join_split, with_majority
from mien.evaluate import evaluate
from mien.evaluate.calibration import calibrate
from mien.models.architectures import ARCHITECTURES, Architecture
from mien.models.files import read_model, write_int8, write_model
from mien.models.mean import mean_of
from mien.models.model import Head, Model, predict_proba
from mien.models.networks import build
from mien.train.losses import adjusted_prior, class_frequency
from mien.train.trainer import with_notes

ROUNDS, FACES = 15, 40


class Faces(NamedTuple):
    """Training and PublicTest, with votes and with FER-2013's labels."""

    train_votes: Dataset
    votes: Dataset
    train_labels: Dataset
    labels: Dataset
    origin: str


def read(data: Path, votes: Path) -> Faces:
    """The faces of an archive, and of those that somebody voted on."""
    split = open_data(data)
    voted, _ = join_split(votes, split)
    return Faces(voted.train, with_majority(voted.val), split.train, split.val, voted.origin)


def two_headed(run: Path, faces: Faces) -> Model:
    """The network of a run, whose last layer has FER-2013's labels first, then the votes."""
    config = json.loads((run / "config.json").read_text())
    state = torch.load(run / "ema.pt", weights_only=True)
    for name in ("head.weight", "head.bias"):
        labels, votes = state[name].chunk(2)
        state[name] = torch.cat([votes, labels])
    stages, dense, stage_dropout, dropout = NETWORKS[config["net"]]
    architecture = Architecture(stages, dropout, dense, stage_dropout)
    architecture = config["net"] if ARCHITECTURES.get(config["net"]) == architecture else architecture
    network = build(architecture, len(faces.votes.classes), heads=2)
    network.load_state_dict(state)
    priors = [prior_of(part) for part in (faces.train_votes, faces.train_labels)]
    notes = {"recipe": config["net"], "seed": str(config["seed"]), "data": f"{faces.origin}, and FER-2013's labels"}
    other = Head("fer2013", prior=priors[1])
    classes = faces.votes.classes
    return Model(network.eval(), architecture, classes, notes=notes, prior=priors[0], labels="votes", others=(other,))


def prior_of(part: Dataset) -> tuple[float, ...]:
    """How frequent each class is."""
    return adjusted_prior(class_frequency(part, np.ones(len(part.classes))), 0)


def calibrated(model: Model, faces: Faces) -> Model:
    """The model with a temperature for each head."""
    for source, part in (("fer2013", faces.labels), ("votes", faces.votes)):
        model = calibrate(model.answering(source), part).model
    return model


def milliseconds(models: dict[str, Model], images: np.ndarray) -> dict[str, float]:
    """The median time of a face alone, all models in turns."""
    times: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(ROUNDS):
        for name, model in models.items():
            predict_proba(model, images[:1])
            start = time.perf_counter()
            for i in range(FACES):
                predict_proba(model, images[i : i + 1])
            times[name].append((time.perf_counter() - start) / FACES * 1000)
    return {name: median(each) for name, each in times.items()}


def line(name: str, model: Model, faces: Faces) -> str:
    """Agreement and macro F1 on the votes, accuracy on the labels, and calibration errors, of the heads there are."""
    cells = [name]
    for source, part in (("votes", faces.votes), ("fer2013", faces.labels)):
        if source not in model.sources:
            cells += ["-", "-", "-"]
            continue
        scores = evaluate(model.answering(source), part, device="cpu").scores
        cells += [f"{scores.accuracy:.2%}", f"{scores.macro_f1:.3f}", f"{scores.ece:.3f}"]
    return " | ".join(cells)


def main() -> None:
    """Make the files, and print what they are worth."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("runs", type=Path, nargs="+", help="folders of two_heads.py")
    flags.add_argument("--data", type=Path, required=True, help="FER-2013 as an archive")
    flags.add_argument("--votes", type=Path, required=True, help="ferplus.csv")
    flags.add_argument("--out", type=Path, required=True, help="folder for the models")
    flags.add_argument("--float", action="store_true", help="measure the float32 models too; takes minutes")
    args = flags.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    faces = read(args.data, args.votes)

    shipped = [read_model(name) for name in ("base", "base-fer2013")]
    models = {"base": shipped[0], "base-fer2013": shipped[1]}
    bodies = []
    for run in args.runs:
        network = two_headed(run, faces)
        name = network.notes["recipe"]
        noted = with_notes(network, int8=f"ranges of training faces of {args.data.name}")
        write_int8(noted, args.out / f"{name}.onnx", faces.train_labels.images)
        models[name] = calibrated(read_model(args.out / f"{name}.onnx"), faces)
        write_model(models[name], args.out / f"{name}.onnx")
        bodies.append(replace(network, temperature=models[name].temperature, others=models[name].others))
        write_model(bodies[-1], args.out / f"{name}.safetensors")
    members = [model for name, model in models.items() if not name.startswith("base")]
    for name, mean in (("trained", members), ("large", [*members, *shipped])):
        noted = with_notes(mean_of(mean, mirror=True), recipe=name, data=bodies[0].notes["data"])
        write_model(calibrated(noted, faces), args.out / f"{name}.onnx")
        models[name] = read_model(args.out / f"{name}.onnx")

    print("model | votes | macro F1 | calibration error | labels | macro F1 | calibration error", flush=True)
    for name, model in models.items():
        print(line(name, model, faces), flush=True)
    if args.float:
        bodies += [shipped_float(model, args.out) for model in shipped]
        print(line("large, float32", calibrated(mean_of(bodies, mirror=True), faces), faces), flush=True)
    sizes = {name: (args.out / f"{name}.onnx") for name in models if name not in ("base", "base-fer2013")}
    print("\n".join(f"{name}: {file.stat().st_size / 1e6:.2f} MB" for name, file in sizes.items()))
    for name, taken in milliseconds(models, faces.votes.images).items():
        print(f"{name}: {taken:.2f} ms a face, {1000 / taken:,.0f} faces/s")


def shipped_float(model: Model, out: Path) -> Model:
    """The same model in float32, its weights rounded as they are."""
    file = out / "float.safetensors"
    write_model(model, file)
    return read_model(file)


if __name__ == "__main__":
    main()

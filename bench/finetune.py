"""Classes of one's own from few faces: a network from scratch beside shipped models taken further.

    python bench/finetune.py --data data/archive.zip

Three classes of 50 faces each: drawn ones, and real ones that no shipped model was trained on (FER-2013's PublicTest as
pleasant, unpleasant and other). 40 faces a class are trained on, 10 validate; all other faces of the set are the test,
and never a copy of one of the 150. The seed draws faces, weights and order. Prints one Markdown table.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from common import say

from mien.data.copies import shared_with
from mien.data.dataset import Dataset
from mien.data.drawn import draw_face
from mien.data.sources import open_data
from mien.models.files import read_model
from mien.models.model import predict_proba
from mien.records.recipe import Recipe
from mien.train import Listener, find_recipe, train

EACH, VALIDATE = 50, 10  # faces a class, and how many of them validate
OWN = {  # classes of one's own, each of several of FER-2013's
    "pleasant": ("happy",),
    "unpleasant": ("angry", "disgust", "fear", "sad"),
    "other": ("neutral", "surprise"),
}
DRAWN = ("angry", "fear", "surprise")


@dataclass(frozen=True)
class Way:
    """A way to train: a recipe, and the shipped model that it begins with ("" for none)."""

    name: str
    recipe: Recipe
    init: str = ""


FINETUNE = find_recipe("finetune")
WAYS = (
    Way("`classic`, from scratch", find_recipe("classic")),
    Way("`base`, from scratch", replace(find_recipe("base"), batch_size=32)),
    Way("`finetune --init tiny`", FINETUNE, "tiny"),
    Way("`finetune --init base`", FINETUNE, "base"),
    Way("`finetune --init base --freeze 4`", replace(FINETUNE, freeze=4), "base"),
    Way("`finetune --init base --freeze 8`", replace(FINETUNE, freeze=8), "base"),
)


def real_faces(archive: Path) -> Dataset:
    """PublicTest under classes of one's own."""
    faces = open_data(archive).val
    own = np.array([next(i for i, names in enumerate(OWN.values()) if name in names) for name in faces.classes])
    return replace(faces, labels=own[faces.labels], classes=tuple(OWN), shares=None)


def drawn_faces(seed: int) -> Dataset:
    """250 drawn faces of each of three expressions."""
    rng = np.random.default_rng((seed, 1))
    labels = np.arange(250 * len(DRAWN)) % len(DRAWN)
    images = np.stack([draw_face(DRAWN[label], rng) for label in labels])
    return Dataset(images, labels, DRAWN, tuple(f"{DRAWN[label]}/{i}.png" for i, label in enumerate(labels)))


def divided(faces: Dataset, seed: int) -> tuple[Dataset, Dataset, Dataset]:
    """Few faces to train on, fewer to validate on, and all others that are no copies of these."""
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(faces.labels == k))[:EACH] for k in range(len(faces.classes))]
    few = np.concatenate(drawn)
    others = np.setdiff1d(np.arange(len(faces)), few)
    others = others[~shared_with(faces.images[others], faces.images[few])]
    train_part, val = np.concatenate([k[VALIDATE:] for k in drawn]), np.concatenate([k[:VALIDATE] for k in drawn])
    return faces.subset(train_part), faces.subset(val), faces.subset(others)


def measured(way: Way, faces: Dataset, seed: int) -> tuple[float, float]:
    """Mean recall over the classes of the test faces, and the seconds of training."""
    train_part, val, test = divided(faces, seed)
    start = time.perf_counter()
    model = train(
        way.recipe, train_part, val, seed, listener=Listener(), init=read_model(way.init) if way.init else None
    ).model
    seconds = time.perf_counter() - start
    right = predict_proba(model, test.images).argmax(1) == test.labels
    return mean(right[test.labels == k].mean() for k in range(len(test.classes))), seconds


def main() -> None:
    """Train every way on every set with every seed, then print the table."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data", type=Path, default=Path("data/archive.zip"), help="FER-2013 as Kaggle's archive.zip")
    flags.add_argument("--seeds", type=int, default=5)
    flags.add_argument("--ways", nargs="+", type=int, default=range(len(WAYS)), help="their numbers, from 0")
    args = flags.parse_args()
    real = real_faces(args.data)
    sets: dict[str, Callable[[int], Dataset]] = {
        "drawn": drawn_faces,
        "real": lambda seed: real,
    }
    print("| set | way | mean recall of three classes | seconds |\n| --- | --- | --- | --- |")
    for name, faces in sets.items():
        for way in (WAYS[number] for number in args.ways):
            results = [measured(way, faces(seed), seed) for seed in range(args.seeds)]
            recalls, seconds = zip(*results, strict=True)
            deviation = f" +- {stdev(recalls):.1%}" if args.seeds > 1 else ""
            print(f"| {name} | {way.name} | {mean(recalls):.1%}{deviation} | {mean(seconds):.0f} |", flush=True)
            say(f"{name}, {way.name}: {', '.join(f'{recall:.1%}' for recall in recalls)}")


if __name__ == "__main__":
    main()

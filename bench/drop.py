"""What leaving doubtful images out of training does: `mien audit`'s drop.csv, on both label sources.

    mien audit data/archive.zip --suspects --out audit
    python bench/drop.py --data data/archive.zip --votes ferplus.csv --drop audit/drop.csv --seeds 3

Trains on FER-2013's labels three times a seed: on all of Training, less the blank images and those in conflict with a
copy, and less the suspects too. Scores on PublicTest, by FER-2013's labels and by FER+'s majority. Differences are of
the same faces, with 95 % intervals over faces; the deviation over seeds stands beside.
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from common import fail, say

from mien.data.dataset import Dataset
from mien.data.sources import open_data
from mien.data.votes import join_split, with_majority
from mien.models.model import predict_proba
from mien.records.recipe import Recipe
from mien.train import find_recipe, train
from mien.train.recipes import with_changes

STEPS = (
    ("all of Training", ()),
    ("less blank and conflicting", ("blank", "conflict")),
    ("less suspects as well", ("blank", "conflict", "suspect")),
)


@dataclass(frozen=True)
class LabelSource:
    """Whose labels the faces are scored by."""

    name: str
    faces: Dataset


def main() -> None:
    options = flags().parse_args()
    split = open_data(options.data)
    voted, _ = join_split(options.votes, split)
    sources = (
        LabelSource("FER-2013's labels", split.val),
        LabelSource("FER+'s majority", with_majority(voted.part("val"))),
    )
    # The last epoch's model is kept: the faces that choose an epoch cannot also score it.
    recipe = replace(with_changes(find_recipe(options.recipe), epochs=options.epochs), keep="last")
    reasons = read_reasons(options.drop)
    kept = [split.train.subset(staying(split.train, reasons, dropped)) for _, dropped in STEPS]
    if len(kept[-1]) == len(split.train):
        fail(f"{options.drop}: names no face of {options.data}; was it written for other data?")
    right = [
        [score(recipe, faces, sources, seed, name) for seed in range(options.seeds)]
        for (name, _), faces in zip(STEPS, kept, strict=True)
    ]
    print(f"Recipe '{recipe.name}', {recipe.epochs} epochs, {options.seeds} seeds.\n")
    for index, source in enumerate(sources):
        print(f"| trained on | faces | right by {source.name} (n = {len(source.faces):,}) | difference |")
        print("| --- | ---: | ---: | ---: |")
        first = np.stack([seed[index] for seed in right[0]])
        for (name, _), faces, scores in zip(STEPS, kept, right, strict=True):
            here = np.stack([seed[index] for seed in scores])
            print(f"| {name} | {len(faces):,} | {spread(here)} | {difference(first, here)} |")
        print()


def flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/archive.zip"), help="FER-2013 as Kaggle's archive.zip")
    parser.add_argument("--votes", type=Path, required=True, help="FER+'s votes: fer2013new.csv or ferplus.csv")
    parser.add_argument("--drop", type=Path, required=True, help="drop.csv of mien audit --suspects")
    parser.add_argument("--recipe", default="speedrun")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    return parser


def read_reasons(path: Path) -> dict[str, str]:
    """Why each image is listed, by its name."""
    with open(path, newline="", encoding="utf-8") as file:
        return {row["path"]: row["reason"] for row in csv.DictReader(file)}


def staying(faces: Dataset, reasons: dict[str, str], dropped: tuple[str, ...]) -> np.ndarray:
    """The indices of the faces that are not listed for one of these reasons."""
    names = {name.removeprefix("train/"): reason for name, reason in reasons.items()}
    return np.array([i for i, path in enumerate(faces.paths) if names.get(path) not in dropped])


def score(recipe: Recipe, faces: Dataset, sources: tuple[LabelSource, ...], seed: int, name: str) -> list[np.ndarray]:
    """Which faces of each label source the trained network names rightly, bool [N] each."""
    model = train(recipe, faces, sources[0].faces, seed, "cpu").model
    right = [predict_proba(model, source.faces.images).argmax(1) == source.faces.labels for source in sources]
    say(f"{name}, seed {seed}: " + ", ".join(f"{one.mean():.1%}" for one in right))
    return right


def spread(right: np.ndarray) -> str:
    """Mean and deviation over seeds of the accuracy; right: bool [seeds, faces]."""
    each = 100 * right.mean(1)
    deviation = each.std(ddof=1) if len(each) > 1 else 0
    return f"{each.mean():.1f} ± {deviation:.1f} %"


def difference(first: np.ndarray, other: np.ndarray) -> str:
    """Points of accuracy that `other` has over `first` on the same faces, mean over seeds, and their interval."""
    gains = other.mean(0) - first.mean(0)
    if not gains.any():
        return ""
    half = 1.96 * gains.std(ddof=1) / len(gains) ** 0.5
    middle, low, high = (100 * (gains.mean() + step) for step in (0, -half, half))
    return f"{middle:+.1f} ({low:+.1f} to {high:+.1f}) points"


if __name__ == "__main__":
    main()

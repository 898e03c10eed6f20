"""What helps a network that learns from votes to find the rare expressions, and what it costs in agreement.

    python bench/rare.py --data data/archive.zip --votes ferplus.csv --seeds 2

One row a way: the frequency of the classes taken into the loss by degrees (logit adjustment, arXiv:2007.07314), class
weights, drawing the faces of rare classes more often, and targets mixed from the votes and FER-2013's label. The same
short recipe for all, trained on the votes of Training, scored on PublicTest against the majority of votes; means over
the seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import say

from mien.data.dataset import Dataset
from mien.data.sources import open_data
from mien.data.votes import join_split, with_majority
from mien.evaluate.scores import score
from mien.models.model import predict_proba
from mien.records.evaluation import Scores
from mien.train import find_recipe, train
from mien.train.recipes import with_changes

RARE = ("disgust", "fear")


@dataclass(frozen=True)
class Way:
    """What a row changes: fields of the recipe, or the faces that are learned (given the labels and a seed)."""

    name: str
    changes: dict[str, Any] = field(default_factory=dict)
    faces: Callable[[Dataset, np.ndarray, int], Dataset] = lambda faces, labels, seed: faces


def drawn(power: float) -> Callable[[Dataset, np.ndarray, int], Dataset]:
    """As many faces as there are, drawn with a chance that falls with their class' frequency to this power."""

    def draw(faces: Dataset, labels: np.ndarray, seed: int) -> Dataset:
        chances = 1 / faces.counts()[faces.labels] ** power
        return faces.subset(np.random.default_rng(seed).choice(len(faces), len(faces), p=chances / chances.sum()))

    return draw


def mixed(share: float) -> Callable[[Dataset, np.ndarray, int], Dataset]:
    """Targets of which this share is FER-2013's label; `labels` int64 [N]."""

    def mix(faces: Dataset, labels: np.ndarray, seed: int) -> Dataset:
        assert faces.shares is not None, "faces with votes"
        targets = (1 - share) * faces.shares + share * np.eye(len(faces.classes))[labels]
        return replace(faces, shares=targets.astype(np.float32))

    return mix


WAYS = (
    Way("the votes as they are"),
    Way("logit adjustment 0.25", {"adjust": 0.25}),
    Way("logit adjustment 0.5", {"adjust": 0.5}),
    Way("class weights, square roots", {"balance": "sqrt"}),
    Way("class weights", {"balance": "weights"}),
    Way("drawn more often, square roots", faces=drawn(0.5)),
    Way("drawn equally often", faces=drawn(1)),
    Way("a quarter of the target FER-2013's label", faces=mixed(0.25)),
    Way("half of it", faces=mixed(0.5)),
)


def main() -> None:
    options = flags().parse_args()
    split = open_data(options.data)
    voted, _ = join_split(options.votes, split)
    given = dict(zip(split.train.paths, split.train.labels, strict=True))
    labels = np.array([given[path] for path in voted.train.paths])
    val = with_majority(voted.val)
    # The last epoch's model is kept: the faces that choose an epoch cannot also score it.
    recipe = replace(with_changes(find_recipe(options.recipe), epochs=options.epochs), keep="last")
    print(f"Recipe '{recipe.name}', {recipe.epochs} epochs, {options.seeds} seeds; n = {len(val):,}.\n")
    print("| way | agreement | macro F1 | recall of disgust, fear |\n| --- | ---: | ---: | ---: |")
    for way in WAYS:
        scores = []
        for seed in range(options.seeds):
            faces = way.faces(voted.train, labels, seed)
            model = train(replace(recipe, **way.changes), faces, voted.val, seed, "cpu").model
            scores.append(score(predict_proba(model, val.images), val.labels, val.classes))
            say(f"{way.name}, seed {seed}: {scores[-1].accuracy:.1%}, {scores[-1].macro_f1:.3f}")
        print(row(way.name, scores), flush=True)


def flags() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/archive.zip"), help="FER-2013 as Kaggle's archive.zip")
    parser.add_argument("--votes", type=Path, required=True, help="FER+'s votes: fer2013new.csv or ferplus.csv")
    parser.add_argument("--recipe", default="speedrun")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2)
    return parser


def row(name: str, scores: list[Scores]) -> str:
    accuracy, f1 = (np.mean([getattr(one, figure) for one in scores]) for figure in ("accuracy", "macro_f1"))
    rare = ", ".join(f"{np.mean([one.per_class[name].recall for one in scores]):.0%}" for name in RARE)
    return f"| {name} | {accuracy:.1%} | {f1:.3f} | {rare} |"


if __name__ == "__main__":
    main()

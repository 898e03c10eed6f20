"""Seconds from archive.zip on disk to a trained model on disk, and its accuracy on the test part of a 70/15/15 split.

    python bench/speedrun.py --data data/archive.zip --seeds 5
    python bench/speedrun.py --data data/archive.zip --seeds 3 --epochs 8
    python bench/speedrun.py --data data/archive.zip --seeds 3 --epochs 12 --network base

Everything counts: starting Python, imports, reading the zip, decoding, finding the copies, splitting, training with its
validation, and writing the model. Each run is a process of its own, with its own seed for split and training. The test
part is scored after the clock has stopped. `--recipe` takes any recipe, `--epochs` changes its length and `--network`
what it trains.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

from common import check_archive, environment, fail, say

if TYPE_CHECKING:
    from mien.records.recipe import Recipe


@dataclass(frozen=True)
class Run:
    """One seed's wall time in seconds, and what its model scores on the test part."""

    seed: int
    seconds: float
    accuracy: float


def train_once(archive: Path, recipe: Recipe, seed: int, out: Path) -> None:
    """From the archive to a model file; prints when that was done, and then the accuracy, as JSON."""
    from mien.data.copies import copy_groups
    from mien.data.sources import FRACTIONS, load, open_source
    from mien.data.split import split_indices
    from mien.evaluate import evaluate
    from mien.models.files import write_model
    from mien.train import train

    faces = load(open_source(archive))
    parts = split_indices(faces.labels, copy_groups(faces.images), FRACTIONS, seed)
    train_part, val, test = (faces.subset(indices) for indices in parts)
    model = train(recipe, train_part, val, seed, "cpu").model
    write_model(model, out)
    done = time.time()
    scores = evaluate(model, test).scores
    print(json.dumps({"done": done, "accuracy": scores.accuracy}))


def measure(command: list[str], seed: int) -> Run:
    """Run `command` for one seed with the clock running."""
    with tempfile.TemporaryDirectory() as folder:
        flags = ["--inner", str(Path(folder) / "model.safetensors"), "--seed", str(seed)]
        start = time.time()
        run = subprocess.run([*command, *flags], env=environment(), capture_output=True, text=True)
        if run.returncode:
            fail(run.stderr[-2000:])
        facts = json.loads(run.stdout.splitlines()[-1])
    return Run(seed, facts["done"] - start, facts["accuracy"])


def main() -> None:
    """Run every seed, print the table."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data", type=Path, default=Path("data/archive.zip"), help="FER-2013 as Kaggle's archive.zip")
    flags.add_argument("--recipe", default="speedrun")
    flags.add_argument("--epochs", type=int)
    flags.add_argument("--network")
    flags.add_argument("--seeds", type=int, default=5, help="how many runs")
    flags.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    flags.add_argument("--inner", type=Path, help=argparse.SUPPRESS)
    args = flags.parse_args()
    if args.inner:
        from mien.train.recipes import find_recipe, with_changes

        recipe = with_changes(find_recipe(args.recipe), epochs=args.epochs, network=args.network)
        train_once(args.data, recipe, args.seed, args.inner)
        return
    check_archive(args.data)
    command = [sys.executable, __file__, *sys.argv[1:]]
    runs = []
    for seed in range(args.seeds):
        runs.append(measure(command, seed))
        say(f"seed {seed}: {runs[-1].seconds:.1f} s, accuracy {runs[-1].accuracy:.1%}")
    print("| seed | seconds | test accuracy |\n| --- | ---: | ---: |")
    for run in runs:
        print(f"| {run.seed} | {run.seconds:.1f} | {run.accuracy:.1%} |")
    seconds, accuracies = [run.seconds for run in runs], [100 * run.accuracy for run in runs]
    print(f"| **mean, deviation** | **{_spread(seconds)}** | **{_spread(accuracies)} %** |")


def _spread(values: list[float]) -> str:
    return f"{mean(values):.1f} ± {stdev(values) if len(values) > 1 else 0:.1f}"


if __name__ == "__main__":
    main()

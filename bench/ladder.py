"""From the classic recipe upwards, one change a step: what each is worth, on the same faces with the same epochs.

    python bench/ladder.py --data data --epochs 20

Trains and evaluates each recipe with `mien train` and `mien evaluate`, below `--out`; a rung that is there already is
not trained again. Prints one Markdown table. The test part is looked at for the table alone: no model is chosen by it.
With `--recipes` any recipes may be compared; where some test faces are also in training (a split prepared with
--allow-leaks), the accuracy on those and on the others is told apart.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

from mien.data.copies import shared_with
from mien.data.dataset import Split
from mien.data.sources import open_data
from mien.records.run import read_history, selected_epoch
from mien.report.tables import percent
from mien.train.recipes import LADDER, explain_recipe, find_recipe

RUNGS = [f"ladder-{number}" for number in range(len(LADDER) + 1)]


def main() -> None:
    """Train what is missing, then print the table."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data", type=Path, required=True, help="prepared folder")
    flags.add_argument("--out", type=Path, default=Path("runs/ladder"), help="folder of the run folders")
    flags.add_argument("--epochs", type=int, default=20)
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--recipes", nargs="+", default=RUNGS)
    args = flags.parse_args()
    for recipe in args.recipes:
        _climb(args.out / recipe, recipe, args)
    leaked = _leaked(open_data(args.data))
    head = ["recipe", "change", "selected epoch", "val accuracy", "test accuracy (95 % interval)", "macro F1"]
    if leaked:
        head += [f"on the {len(leaked):,} test faces also in training", "on the others"]
    rows = [_row(args.out / recipe, recipe, leaked) for recipe in args.recipes]
    print(f"{args.epochs} epochs, seed {args.seed}\n")
    for cells in (head, ["---"] * len(head), *rows):
        print(f"| {' | '.join(cells)} |")


def _climb(folder: Path, recipe: str, args: argparse.Namespace) -> None:
    if (folder / "metrics.json").exists():
        return
    mien = [sys.executable, "-m", "mien"]
    train = [*mien, "train", "--data", args.data, "--recipe", recipe, "--epochs", args.epochs, "--seed", args.seed]
    evaluate = [*mien, "evaluate", "--model", folder, "--data", args.data]
    for command in (train, evaluate):
        subprocess.run([str(word) for word in [*command, "--out", folder]], check=True)


def _leaked(split: Split) -> set[str]:
    """The paths of test faces that are also in training."""
    shared = shared_with(split.test.images, split.train.images)
    return {path for path, leaks in zip(split.test.paths, shared, strict=True) if leaks}


def _row(folder: Path, recipe: str, leaked: set[str]) -> list[str]:
    metrics = json.loads((folder / "metrics.json").read_text())
    selected = selected_epoch(read_history(folder), find_recipe(recipe).keep)
    low, high = metrics["accuracy_ci95"]
    cells = [
        recipe,
        explain_recipe(recipe),
        str(selected.epoch),
        percent(selected.val_accuracy),
        f"{percent(metrics['accuracy'])} ({percent(low)} to {percent(high)})",
        f"{metrics['macro_f1']:.3f}",
    ]
    return cells + ([_accuracy(folder, leaked, True), _accuracy(folder, leaked, False)] if leaked else [])


def _accuracy(folder: Path, leaked: set[str], among: bool) -> str:
    with open(folder / "predictions.csv", newline="", encoding="utf-8") as file:
        right = [row["label"] == row["predicted"] for row in csv.DictReader(file) if (row["path"] in leaked) == among]
    return percent(sum(right) / len(right))


if __name__ == "__main__":
    main()

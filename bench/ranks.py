"""Training by two processes of one thread each, under torchrun, beside one process of two threads.

    python bench/ranks.py --data data/archive.zip

Both train the same faces (a reduced copy in a temporary folder; `--limit 0` takes all) by the same recipe for two whole
epochs, of which the second counts: training with augmentation, without imports and validation. One process has the
kernels of `mien.models.kernels`, several have not. Each measurement starts anew, and the sides take turns.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from common import BENCH, Side, alternate, check_archive, environment, fail, parser, print_machine, print_table, say
from train_speed import reduced_tree


def images_per_second(data: Path, recipe: str, processes: int, threads: int) -> float:
    """Images a second, over all processes, of the second epoch."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        flags = ["--recipe", recipe, "--epochs", "2", "--device", "cpu", "--data", str(data), "--out", str(out)]
        command = [sys.executable, *(launcher if processes > 1 else []), "-m", "mien", "train", *flags]
        variables = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        run = subprocess.run(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if run.returncode:
            fail(f"{' '.join(command)}\n{run.stderr[-2000:]}")
        with open(out / "history.csv", newline="", encoding="utf-8") as file:
            return float(list(csv.DictReader(file))[-1]["images_per_second"])


def main() -> None:
    """Make the tree, let the sides take turns, print the table."""
    flags = parser(__doc__)
    flags.add_argument("--limit", type=int, default=6400, help="training faces, 0 for all; plus a fifth for validation")
    flags.add_argument("--recipe", default="classic", help="what both sides train by")
    flags.add_argument("--inner", type=int, nargs=2, metavar=("PROCESSES", "THREADS"), help="measure once; prints JSON")
    args = flags.parse_args()
    if args.inner:
        speed = images_per_second(args.data, args.recipe, *args.inner)
        print(json.dumps({"images_per_second": speed, "library": f"mien on torch {version('torch')}"}))
        return

    check_archive(args.data)
    os.environ.update(environment())
    with tempfile.TemporaryDirectory() as folder:
        train, val = reduced_tree(args.data, Path(folder), args.limit)
        say(f"{train:,} training faces, {val:,} for validation; two epochs a measurement")
        inner = (sys.executable, str(BENCH / "ranks.py"), "--data", folder, "--recipe", args.recipe, "--inner")
        sides = Side("2 processes of 1 thread", (*inner, "2", "1")), Side("1 process of 2 threads", (*inner, "1", "2"))
        readings = alternate(*sides, args.rounds, "images_per_second")
    print_machine(("torch", "numpy"), readings)
    print(f"- {train:,} faces of FER-2013, recipe {args.recipe}, second epoch of two")
    print_table(sides, "images/s", readings, more_is_better=True)


if __name__ == "__main__":
    main()

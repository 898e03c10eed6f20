"""Training speed on the CPU: mien's `classic` recipe beside the original Keras loop, all augmentation on.

    python bench/train_speed.py --data data/archive.zip

Both sides train the same network on the same faces (a reduced copy in a temporary folder; `--limit 0` takes all) for
two whole epochs and count the second: training with augmentation, without imports, the first epoch and validation.
Each measurement is a process of its own, and the sides take turns. What the Keras loop does is in
`bench/keras_original.py`; it reads and decodes the files at every step, as its author wrote it, mien once.

Without `--keras-python`, an environment with TensorFlow is made once in the system's temporary folder.
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from statistics import median

from common import (
    BENCH,
    Side,
    alternate,
    check_archive,
    environment,
    fail,
    keras_environment,
    parser,
    print_machine,
    print_table,
    say,
)

BATCH = 64
# Multiplications and additions to train `classic` on an image: each layer's product forwards, for the gradients of its
# weights and, but for the first layer, of its input.
LAYERS = (48 * 48 * 9 * 32, 24 * 24 * 9 * 32 * 64, 12 * 12 * 9 * 64 * 128, 6 * 6 * 128 * 128, 128 * 7)
OPERATIONS = 2 * (3 * sum(LAYERS) - LAYERS[0])
PARTS = {"Training": "train", "PublicTest": "val"}  # PrivateTest is neither trained nor chosen on


def mien_images_per_second(data_dir: Path) -> float:
    """Images a second of the second epoch, as mien's own command writes it to `history.csv`."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        flags = ["--recipe", "classic", "--epochs", "2", "--device", "cpu"]
        command = [sys.executable, "-m", "mien", "train", *flags, "--data", str(data_dir), "--out", str(out)]
        run = subprocess.run(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if run.returncode:
            fail(f"{' '.join(command)}\n{run.stderr[-2000:]}")
        with open(out / "history.csv", newline="", encoding="utf-8") as file:
            return float(list(csv.DictReader(file))[-1]["images_per_second"])


def matrix_limit() -> float:
    """Images a second if training were the network's matrix products alone, at the speed of large square ones."""
    import torch

    from mien.train.trainer import has_bfloat16

    number = torch.bfloat16 if has_bfloat16(torch.device("cpu")) else torch.float32
    size = 2048
    factor = torch.rand(size, size).to(number)
    seconds = []
    for _ in range(10):
        start = time.perf_counter()
        factor @ factor
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds) / OPERATIONS


def reduced_tree(archive: Path, folder: Path, limit: int) -> tuple[int, int]:
    """Copy about `limit` training faces and a fifth as many for validation, or all; returns how many of each.

    Classes keep their shares, with at least one face each; which faces is the same every time.
    """
    with zipfile.ZipFile(archive) as source:
        groups: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name in sorted(source.namelist()):
            path = PurePosixPath(name)
            part = PARTS.get(path.name.split("_")[0])
            if part and path.suffix == ".jpg":
                groups[part, path.parent.name].append(name)
        sizes = {part: sum(len(names) for (of, _), names in groups.items() if of == part) for part in PARTS.values()}
        if not all(sizes.values()):
            fail(f"{archive}: no Training_*.jpg and PublicTest_*.jpg in it; give Kaggle's FER-2013 archive")
        counts = {"train": 0, "val": 0}
        shares = {"train": limit / sizes["train"], "val": limit / 5 / sizes["val"]}
        for (part, emotion), names in sorted(groups.items()):
            target = folder / part / emotion
            target.mkdir(parents=True)
            wanted = max(1, round(shares[part] * len(names))) if limit else len(names)
            chosen = random.Random(0).sample(names, min(wanted, len(names)))
            for name in chosen:
                (target / PurePosixPath(name).name).write_bytes(source.read(name))
            counts[part] += len(chosen)
    return counts["train"], counts["val"]


def main() -> None:
    """Make the tree, let the sides take turns, print the table."""
    flags = parser(__doc__)
    flags.add_argument("--limit", type=int, default=6400, help="training faces, 0 for all; plus a fifth for validation")
    flags.add_argument("--inner", action="store_true", help="measure mien once on a prepared folder; prints JSON")
    args = flags.parse_args()
    if args.inner:
        speed = mien_images_per_second(args.data)
        library = f"mien on torch {version('torch')}"
        print(json.dumps({"images_per_second": speed, "library": library, "matrix_limit": matrix_limit()}))
        return

    check_archive(args.data)
    keras_python = keras_environment(args.keras_python)
    with tempfile.TemporaryDirectory() as folder:
        train, val = reduced_tree(args.data, Path(folder), args.limit)
        say(f"{train:,} training faces, {val:,} for validation; two epochs a measurement")
        steps = str(-(-train // BATCH))
        loop = (str(keras_python), str(BENCH / "keras_original.py"), "--data_dir", folder)
        sides = (
            Side("mien", (sys.executable, str(BENCH / "train_speed.py"), "--inner", "--data", folder)),
            Side("Keras", (*loop, "--steps", steps, "--warmup", steps)),
        )
        readings = alternate(*sides, args.rounds, "images_per_second")
    print_machine(("torch", "numpy"), readings)
    print(f"- {train:,} faces of FER-2013, batch {BATCH}, float32 or what the library chooses, second epoch of two")
    print_table(sides, "images/s", readings, more_is_better=True)
    shares = [mien.value / float(str(mien.facts["matrix_limit"])) for mien, _ in readings]
    limit = median(float(str(mien.facts["matrix_limit"])) for mien, _ in readings)
    print(f"\nmatrix products alone would allow {limit:,.0f} images/s here; mien reaches {median(shares):.0%} of that")


if __name__ == "__main__":
    main()

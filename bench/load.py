"""Seconds from archive.zip to decoded faces in memory: mien beside Keras' `image_dataset_from_directory`.

    python bench/load.py --data data/archive.zip

mien reads the archive as it is; Keras reads the unpacked tree (unpacked once, not counted), each of its parts in turn,
iterated whole into NumPy arrays. Only the load is timed: imports are not, nor is Keras' start of TensorFlow. The files
have just been written or read, so both sides read from memory and not from the disk. Each measurement is a process of
its own, and the sides take turns.

Without `--keras-python`, an environment with TensorFlow is made once in the system's temporary folder.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from common import (
    BENCH,
    Side,
    alternate,
    check_archive,
    fail,
    keras_environment,
    parser,
    print_machine,
    print_table,
    say,
)

BATCH = 64


def time_mien(archive: Path) -> dict[str, object]:
    """Seconds in which mien loads the archive."""
    import numpy as np

    from mien.data.sources import load, open_source

    start = time.perf_counter()
    images = load(open_source(archive)).images
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "images": len(images), "library": f"mien on numpy {np.__version__}"}


def time_keras(tree: Path) -> dict[str, object]:
    """Seconds in which Keras loads the tree's parts, one after the other."""
    import keras
    import numpy as np
    import tensorflow as tf  # pyrefly: ignore[missing-import]

    tf.zeros(1)  # starts TensorFlow
    start = time.perf_counter()
    parts = [_keras_part(keras, np, part) for part in sorted(tree.iterdir()) if part.is_dir()]
    seconds = time.perf_counter() - start
    library = f"keras {keras.__version__} on tensorflow {tf.__version__}"
    return {"seconds": seconds, "images": sum(len(images) for images in parts), "library": library}


def _keras_part(keras, np, folder: Path):
    """Gray faces float32 [N, 48, 48, 1] of <folder>/<emotion>/."""
    batches = keras.utils.image_dataset_from_directory(
        folder, color_mode="grayscale", image_size=(48, 48), batch_size=BATCH, shuffle=False, verbose=False
    )
    return np.concatenate([images.numpy() for images, _ in batches])


def main() -> None:
    """Unpack, let the sides take turns, print the table."""
    flags = parser(__doc__)
    flags.add_argument("--inner", choices=["mien", "keras"], help="measure one side once; prints JSON")
    args = flags.parse_args()
    if args.inner:
        print(json.dumps(time_mien(args.data) if args.inner == "mien" else time_keras(args.data)))
        return

    check_archive(args.data)
    keras_python = keras_environment(args.keras_python)
    with tempfile.TemporaryDirectory() as folder:
        say(f"unpacking {args.data} for Keras, once")
        with zipfile.ZipFile(args.data) as archive:
            archive.extractall(folder)
        script = str(BENCH / "load.py")
        sides = (
            Side("mien", (sys.executable, script, "--inner", "mien", "--data", str(args.data))),
            Side("Keras", (str(keras_python), script, "--inner", "keras", "--data", folder)),
        )
        readings = alternate(*sides, args.rounds, "seconds")
    counts = {reading.facts["images"] for pair in readings for reading in pair}
    if len(counts) > 1:
        fail(f"the sides loaded different numbers of images: {sorted(map(str, counts))}")
    print_machine(("numpy", "pillow"), readings)
    print(f"- {counts.pop():,} faces of FER-2013")
    print_table(sides, "seconds", readings, more_is_better=False)


if __name__ == "__main__":
    main()

"""How cost grows with the data: loading, training and memory at 1, 4 and 16 times as many drawn faces.

    python bench/scale.py --faces 4000

Each size is a zip archive of drawn faces (the first ones, made brighter by a few levels for every time more, so that no
two are equal), read and trained on for one epoch by the recipe `classic`, in a process of its own. Training counts
augmentation, not validation; memory is the largest that the process ever held.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from common import environment, fail, say

TIMES = (1, 4, 16)


def measure_once(archive: Path) -> dict[str, float]:
    """Load and train in this process."""
    from mien.data.sources import open_data
    from mien.train import find_recipe, train
    from mien.train.recipes import with_changes

    start = time.perf_counter()
    split = open_data(archive)
    loaded = time.perf_counter() - start
    faces = sum(map(len, split.parts().values()))
    history = train(with_changes(find_recipe("classic"), epochs=1), split.train, split.val, 0, "cpu").history
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "faces": faces,
        "loading": faces / loaded,
        "training": history[-1].images_per_second,
        "megabytes": held / 2**20,
    }


def write_archive(drawn: list[tuple[Path, bytes]], times: int, path: Path) -> None:
    """A zip archive with `times` variants of each face."""
    import numpy as np
    from PIL import Image

    with zipfile.ZipFile(path, "w") as archive:
        for source, data in drawn:
            pixels = np.asarray(Image.open(io.BytesIO(data))).clip(0, 255 - times)
            for brighter in range(times):
                file = io.BytesIO()
                Image.fromarray((pixels + brighter).astype(np.uint8)).save(file, "PNG", compress_level=1)
                archive.writestr(f"{source.parent.name}/{brighter}_{source.name}", file.getvalue())


def draw(count: int, folder: Path) -> list[tuple[Path, bytes]]:
    """Drawn faces: path and PNG."""
    from mien.data.drawn import write_drawn

    write_drawn(folder, count)
    return [(path, path.read_bytes()) for path in sorted(folder.rglob("*.png"))]


def main() -> None:
    """Measure every size, print the table."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--faces", type=int, default=4000, help="drawn faces of the smallest size")
    flags.add_argument("--inner", type=Path, help=argparse.SUPPRESS)
    args = flags.parse_args()
    if args.inner:
        print(json.dumps(measure_once(args.inner)))
        return
    print(
        "| times | faces | loading, faces/s | training, images/s | memory, MiB |\n| ---: | ---: | ---: | ---: | ---: |"
    )
    with tempfile.TemporaryDirectory() as folder:
        say(f"drawing {args.faces:,} faces")
        drawn = draw(args.faces, Path(folder) / "drawn")
        for times in TIMES:
            archive = Path(folder) / f"{times}.zip"
            write_archive(drawn, times, archive)
            run = subprocess.run(
                [sys.executable, __file__, "--inner", archive], env=environment(), capture_output=True, text=True
            )
            if run.returncode:
                fail(run.stderr[-2000:])
            facts = json.loads(run.stdout.splitlines()[-1])
            print(
                f"| {times} | {facts['faces']:,} | {facts['loading']:,.0f} | {facts['training']:,.0f} | "
                f"{facts['megabytes']:,.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""Memory while many photos of mixed sizes are looked at: resident memory over their number.

    python bench/photo_memory.py --count 10000

The photos are made here, one after the other: a drawn face on a soft ground, 40 to --longest pixels on each side, so
that hardly two are alike. The growth is from the end of the first tenth to the end.
"""

from __future__ import annotations

import argparse

import numpy as np
import psutil
from common import fail
from PIL import Image

from mien import Predictor
from mien.data.drawn import draw_face
from mien.emotions import EMOTIONS

ROWS = 10
MIB = 2**20


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--count", type=int, default=10_000)
    flags.add_argument("--longest", type=int, default=900, help="pixels")
    flags.add_argument("--model", default="base")
    args = flags.parse_args()
    if args.count < ROWS or args.longest < 41:
        fail(f"nothing to measure; give --count {ROWS} or more, and --longest 41 or more")
    rng, predictor, process = np.random.default_rng(0), Predictor(args.model), psutil.Process()
    readings, faces = list[float](), 0
    print("| photos | faces | resident memory, MiB |\n| ---: | ---: | ---: |")
    for number in range(1, args.count + 1):
        size = tuple(rng.integers(40, args.longest, 2).tolist())
        photo = Image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8)).resize(size)
        face = draw_face(EMOTIONS[number % len(EMOTIONS)], rng)
        photo.paste(Image.fromarray(face).resize((min(size) // 2,) * 2), (size[0] // 4, size[1] // 4))
        faces += len(predictor(photo)[0].faces)
        if number % (args.count // ROWS) == 0:
            readings.append(process.memory_info().rss / MIB)
            print(f"| {number:,} | {faces:,} | {readings[-1]:.0f} |", flush=True)
    print(f"\ngrowth after the first tenth: {readings[-1] - readings[0]:+.1f} MiB")


if __name__ == "__main__":
    main()

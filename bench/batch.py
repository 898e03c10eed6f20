"""Many files: photos and faces a second and memory, by number of photos and by engine; and what a million would take.

    python bench/batch.py --photos 1000 10000 100000 --sides local-1 local-2 ray-1

The photos are drawn once, into a folder that is kept (--keep) or goes: 320 x 240 pixels, drawn faces on changing
grounds, one in ten without a face. Each row is one run of `mien batch` in a process of its own; local-2 is the engine
`local` with two workers. Seconds count from its start to its end, the start of workers and of Ray included. Memory is
resident memory, sampled once a second: the largest of the first process, of any other, and of all together; pages that
processes share count for each.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from common import SOURCE, environment, fail, say
from PIL import Image

sys.path.insert(0, str(SOURCE))

from mien.data.drawn import draw_face
from mien.emotions import EMOTIONS

WIDTH, HEIGHT = 320, 240
POOL = 500  # different drawn faces
A_FOLDER = 1000  # photos
MIB = 2**20
PAPER = ((1_000_000, (2, 16, 64)), (1_000_000_000, (64, 1024, 8192)))  # photographs, and cores to name them with


@dataclass(frozen=True)
class Reading:
    """One run: photos and faces, seconds, and memory in MiB of the first process, the largest other, and all."""

    photos: int
    faces: int
    seconds: float
    first: float
    worker: float
    total: float


def draw(folder: Path, count: int) -> Path:
    """The first `count` photos below a folder, those drawn that are not there yet."""
    place = folder / f"{count}"
    paths = [place / f"{number // A_FOLDER:03}" / f"{number:06}.jpg" for number in range(count)]
    there = set(place.rglob("*.jpg"))
    if there.issuperset(paths):
        return place
    say(f"drawing {count - len(there):,} photos into {place}")
    rng = np.random.default_rng(0)
    pool = [Image.fromarray(draw_face(EMOTIONS[i % len(EMOTIONS)], rng)) for i in range(POOL)]
    for number, path in enumerate(paths):
        if path not in there:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".part")
            photo(pool, np.random.default_rng(number)).save(unfinished, "JPEG", quality=85)
            unfinished.rename(path)
    return place


def photo(pool: Sequence[Image.Image], rng: np.random.Generator) -> Image.Image:
    """A ground that changes from corner to corner, with up to two faces of 60 to 130 pixels."""
    ground = Image.fromarray(rng.integers(60, 200, (3, 4, 3), np.uint8))
    picture = ground.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    for k in range(int(rng.choice([0, 1, 2], p=[0.1, 0.7, 0.2]))):
        side = int(rng.integers(60, 130))
        face = pool[int(rng.integers(POOL))].resize((side, side), Image.Resampling.BICUBIC)
        left = int(rng.integers(0, WIDTH // 2 - side)) if side < WIDTH // 2 else 0
        picture.paste(face, (left + k * WIDTH // 2, int(rng.integers(0, HEIGHT - side))))
    return picture


def measure(photos: Path, side: str, model: str) -> Reading:
    """One run of `mien batch`, its memory watched."""
    engine, _, workers = side.partition("-")
    with tempfile.TemporaryDirectory() as folder:
        words = ["batch", str(photos), f"{folder}/table", "--engine", engine, "--workers", workers, "--model", model]
        start = time.monotonic()
        with (
            open(f"{folder}/said", "w+") as said,
            subprocess.Popen(
                [sys.executable, "-m", "mien", *words, "--json"],
                env=environment(), stdout=subprocess.PIPE, stderr=said, text=True,
            ) as process,
        ):  # fmt: skip
            first = worker = total = 0.0
            while process.poll() is None:
                own, others = resident(process.pid)
                first, worker = max(first, own), max([worker, *others])
                total = max(total, own + sum(others))
                time.sleep(1)
            seconds = time.monotonic() - start
            assert process.stdout
            printed = process.stdout.read()
            if process.returncode:
                said.seek(0)
                fail(f"mien {' '.join(words)} failed: {said.read()[-1000:]}")
    result = json.loads(printed)
    return Reading(result["pictures"], result["faces"], seconds, first, worker, total)


def resident(pid: int) -> tuple[float, list[float]]:
    """Resident memory in MiB of a process and of each that it started."""
    found = []
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            found.append(process.memory_info().rss / MIB)
    except psutil.NoSuchProcess:  # it ended meanwhile
        pass
    return (found[0], found[1:]) if found else (0.0, [])


def print_paper(rate: float, price: float) -> None:
    """What more photographs would take, if every core did as one does here."""
    print(f"\nEstimate, on paper: {rate:.1f} photos a second and core, as measured above; {price:g} a core and hour.")
    print("Photos as small as these; storage, network and idle cores not counted.\n")
    print("| photos | core hours | price | cores | hours |\n| ---: | ---: | ---: | ---: | ---: |")
    for photos, cores in PAPER:
        hours = photos / rate / 3600
        for count in cores:
            print(f"| {photos:,} | {hours:,.0f} | {hours * price:,.0f} | {count:,} | {hours / count:,.1f} |")


def main() -> None:
    """Measure every side with every number of photos, print the tables."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--photos", type=int, nargs="+", default=[1000], help="how many, several numbers in turn")
    flags.add_argument("--sides", nargs="+", default=["local-1", "local-2"], help="engine-workers, each in turn")
    flags.add_argument("--model", default="base", help="what answers")
    flags.add_argument("--keep", type=Path, help="folder in which the photos are kept for another time")
    flags.add_argument("--price", type=float, default=0.04, help="of a core for an hour, for the estimate")
    given = flags.parse_args()
    rates: dict[str, list[float]] = {side: [] for side in given.sides}
    with tempfile.TemporaryDirectory() as folder:
        print("| photos | side | photos/s | faces/s | first process, MiB | largest other | all |")
        print("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
        for count in given.photos:
            photos = draw(given.keep or Path(folder), count)
            for side in given.sides:
                one = measure(photos, side, given.model)
                rates[side].append(one.photos / one.seconds)
                print(
                    f"| {one.photos:,} | {side} | {one.photos / one.seconds:,.1f} | {one.faces / one.seconds:,.1f} | "
                    f"{one.first:,.0f} | {one.worker:,.0f} | {one.total:,.0f} |",
                    flush=True,
                )
    for side, found in rates.items():
        print(
            f"\n{side}: the rate at {given.photos[-1]:,} is {found[-1] / found[0]:.2f} of that at {given.photos[0]:,}"
        )
    workers = {side: int(side.partition("-")[2]) for side in given.sides}
    print_paper(max(rates[side][-1] / workers[side] for side in given.sides), given.price)


if __name__ == "__main__":
    main()

"""Memory while a video is watched, annotated, charted and written down: resident memory over the video's time.

    python bench/video_memory.py --minutes 10

The video is made here first, 1280 x 720 at 30 frames a second: drawn faces float over a changing ground. The watching
runs in this process after that; the growth is from the end of the first tenth to the end.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import psutil
from common import SOURCE, fail, say
from PIL import Image

sys.path.insert(0, str(SOURCE))

from mien import Predictor
from mien.data.drawn import draw_face
from mien.emotions import EMOTIONS
from mien.predict.table import write_table
from mien.predict.video.follow import FrameResult, follow
from mien.predict.video.footage import open_footage
from mien.predict.video.watch import watch

RATE, WIDTH, HEIGHT, SIDE = 30, 1280, 720, 240
ROWS = 10
MIB = 2**20


def frames(count: int) -> Iterator[Image.Image]:
    """Three faces that swing to and fro; each changes once a second."""
    ground = np.random.default_rng(0).integers(40, 200, (9, 16, 3), np.uint8)
    wide = Image.fromarray(ground).resize((2 * WIDTH, HEIGHT), Image.Resampling.BICUBIC)
    faces: list[Image.Image] = []
    for number in range(count):
        if number % RATE == 0:
            faces = [one_face(number // RATE, k) for k in range(3)]
        picture = wide.crop((number % WIDTH, 0, number % WIDTH + WIDTH, HEIGHT))
        for k, face in enumerate(faces):
            x = round(80 + 420 * k + 60 * np.sin(number / 40 + k))
            picture.paste(face, (x, 160 + 80 * k))
        yield picture


def one_face(second: int, k: int) -> Image.Image:
    """The k-th face of a second."""
    drawn = draw_face(EMOTIONS[(second + k) % len(EMOTIONS)], np.random.default_rng((second, k)))
    return Image.fromarray(drawn).resize((SIDE, SIDE))


def make(path: Path, count: int) -> None:
    """Write the video, as pictures in a row: that takes a minute where VP8 takes ten."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (WIDTH, HEIGHT))
    for picture in frames(count):
        writer.write(np.asarray(picture)[:, :, ::-1])
    writer.release()


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--minutes", type=float, default=10, help="length of the video")
    flags.add_argument("--model", default="base", help="what answers")
    flags.add_argument("--every", type=int, default=1, help="look at each frame of so many")
    given = flags.parse_args()
    count = round(given.minutes * 60 * RATE)
    if count < ROWS:
        fail(f"a video of {count} frames shows nothing; give --minutes 0.1 or more")
    process, readings, faces = psutil.Process(), list[tuple[float, float]](), 0

    def listen(watched: FrameResult) -> None:
        nonlocal faces
        faces += len(watched.faces)
        if (watched.frame.number + 1) % (count // ROWS) == 0:
            readings.append((watched.frame.time, process.memory_info().rss / MIB))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        say(f"making {count:,} frames of {WIDTH} x {HEIGHT}")
        make(folder / "made.avi", count)
        say("watching them")
        predictor = Predictor(given.model)
        with (
            open_footage(str(folder / "made.avi")) as footage,
            write_table(folder / "faces.csv", predictor.classes) as table,
        ):
            results = follow(footage, predictor, given.every)
            watch(results, footage.rate, folder / "annotated.webm", listen, table)
    print(f"- {count:,} frames, {faces / count:.1f} faces a frame, every {given.every}, model {given.model}")
    print("\n| time in the video, s | resident memory, MiB |\n| ---: | ---: |")
    for time, memory in readings:
        print(f"| {time:.0f} | {memory:.0f} |")
    print(f"\ngrowth after the first tenth: {readings[-1][1] - readings[0][1]:+.1f} MiB")


if __name__ == "__main__":
    main()

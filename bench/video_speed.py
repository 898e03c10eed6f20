"""Frames a second of a video with one moving face, beside another tree's code.

    python bench/video_speed.py --size 1280 720 --other ../older/src
    python bench/video_speed.py --size 3840 2160 --seconds 4 --other ../older/src

The video is made here first: a drawn face that swings to and fro over a moving ground; with --hard two faces that cross
the picture at different speeds, leave it and come back, with a cut every two seconds. Each side decodes, detects, names
and follows it in a process of its own, in turn. `agree` is the share of frames with as many faces, and the same
expressions, as in the first run of this tree's code; `alike` the same with the faces' numbers. With --every N both look
at every N-th frame only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from common import SOURCE, fail, say
from PIL import Image

sys.path.insert(0, str(SOURCE))

from mien.data.drawn import draw_face
from mien.emotions import EMOTIONS

RATE = 30
WATCH = """
import json, sys, time
from mien import Predictor
predictor = Predictor("base")
start = time.perf_counter()
answers = [[(tracked.track, tracked.face.emotion) for tracked in result.faces]
           for result in predictor.video(sys.argv[1], int(sys.argv[2]))]
print(json.dumps({"seconds": time.perf_counter() - start, "answers": answers}))
"""


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--size", type=int, nargs=2, default=(1280, 720), metavar=("WIDTH", "HEIGHT"))
    flags.add_argument("--seconds", type=float, default=10, help="length of the video")
    flags.add_argument("--rounds", type=int, default=3)
    flags.add_argument("--every", type=int, default=1)
    flags.add_argument("--hard", action="store_true", help="two faces that come and go, and cuts")
    flags.add_argument("--other", type=Path, help="src folder of the code to compare with")
    args = flags.parse_args()
    count = round(args.seconds * RATE)
    if count < 2 or args.rounds < 1:
        fail("nothing to measure; give --seconds 0.1 or more, and --rounds 1 or more")
    sides = {"this tree": SOURCE, **({"other": args.other.resolve()} if args.other else {})}
    with tempfile.TemporaryDirectory() as folder:
        video = Path(folder) / "made.avi"
        say(f"making {count:,} frames of {args.size[0]} x {args.size[1]}")
        width, height = args.size
        make(video, count, width, height, make_hard if args.hard else make_easy)
        runs = {name: list[dict]() for name in sides}
        for number in range(args.rounds):
            for name, source in sides.items():
                runs[name].append(watch(source, video, args.every))
            rates = ", ".join(f"{name} {count / runs[name][-1]['seconds']:.1f}" for name in sides)
            say(f"round {number + 1}/{args.rounds}, frames/s: {rates}")
    mark = runs["this tree"][0]["answers"]
    for name in sides:
        rate = median(count / run["seconds"] for run in runs[name])
        both = list(zip(mark, runs[name][0]["answers"], strict=True))
        alike = np.mean([one == other for one, other in both])
        same = np.mean([[face[1] for face in one] == [face[1] for face in other] for one, other in both])
        print(f"{name}: {rate:.1f} frames/s (median of {args.rounds}), agree {same:.1%}, alike {alike:.1%}")


def make(path: Path, count: int, width: int, height: int, pictures: Callable[..., Iterator[Image.Image]]) -> None:
    """Write the video, as pictures in a row."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), RATE, (width, height))
    for picture in pictures(count, width, height):
        writer.write(np.asarray(picture)[:, :, ::-1])
    writer.release()


def make_hard(count: int, width: int, height: int) -> Iterator[Image.Image]:
    """Two faces that cross the picture, one three times as fast, and come back; a cut every two seconds."""
    rng = np.random.default_rng(0)
    ground, faces = Image.new("RGB", (width, height)), list[Image.Image]()
    for number in range(count):
        if number % (2 * RATE) == 0:
            cells = rng.integers(40, 200, (9, 16, 3), np.uint8)
            ground = Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)
            drawn = [draw_face(EMOTIONS[rng.integers(len(EMOTIONS))], rng) for _ in range(2)]
            sides = [round(height / share) for share in rng.uniform(2.5, 7, 2)]
            faces = [Image.fromarray(face).resize((side, side)) for face, side in zip(drawn, sides, strict=True)]
        picture = ground.copy()
        for i, face in enumerate(faces):
            way = (number * (1, 3)[i] * width / (3 * RATE)) % (width + 2 * face.width)
            picture.paste(face, (round(way) - face.width, i * height // 2 + round(height / 20 * np.sin(number / 4))))
        yield picture


def make_easy(count: int, width: int, height: int) -> Iterator[Image.Image]:
    """One face that swings to and fro, another each second."""
    rng = np.random.default_rng(0)
    cells = rng.integers(40, 200, (9, 16, 3), np.uint8)
    ground = Image.fromarray(cells).resize((2 * width, height), Image.Resampling.BICUBIC)
    side = height // 3
    face = Image.new("L", (side, side))
    for number in range(count):
        if number % RATE == 0:
            drawn = draw_face(EMOTIONS[number // RATE % len(EMOTIONS)], rng)
            face = Image.fromarray(drawn).resize((side, side), Image.Resampling.BICUBIC)
        picture = ground.crop((number % width, 0, number % width + width, height))
        swing = np.sin(number / 15)
        picture.paste(face, (round((width - side) / 2 * (1 + swing)), height // 3))
        yield picture


def watch(source: Path, video: Path, every: int) -> dict:
    """Seconds and answers of one side; exits if it fails."""
    command = [sys.executable, "-c", WATCH, str(video), str(every)]
    run = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(source)}, capture_output=True, text=True)
    if run.returncode:
        fail(f"{source} failed:\n{run.stderr[-2000:]}")
    return json.loads(run.stdout)


if __name__ == "__main__":
    main()

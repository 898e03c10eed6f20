"""Photos from file to answer: milliseconds, start and first answer apart, and faces found, beside `fer` 25.10.

    python bench/photos.py --data data/archive.zip
    python bench/photos.py --data data/archive.zip --cores 1 --sides large base haar
    python bench/photos.py --data data/archive.zip --megapixels 1 12 24 50 --each 5 --sides base
    python bench/photos.py --data data/archive.zip --cores 1 --faces 1 --rounds 5 --sides base base-upright
    python bench/photos.py --data data/archive.zip --sizes 40 60 80 --megapixels 24 --faces 60 --each 2 --sides base \
        --min-face 24

The photos are made here: faces of FER-2013's val part pasted into soft scenes with grain, saved as JPEG. A face counts
as found where the middle of a box lies in the pasted square. A side is a model of Mien (`base-upright`: told that no
photo lies on its side), or `fer` with one of its detectors: OpenCV's Haar cascade or MTCNN (facenet-pytorch), in an
environment of its own, made on first use. Each side is a process that is given the photos in the same order, --rounds
times, the sides in turn; start is import and constructor.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from common import FER_NEEDS, environment, fail, own_environment, say
from PIL import Image
from whole_path import soft_disc, surrounded

from mien.data.sources import open_data

SHAPE = 4 / 3  # width to height
MODELS = ("large", "base", "tiny", "base-upright")  # of Mien
SIDES = (*MODELS, "haar", "mtcnn")
GRAIN = 4.0  # levels, standard deviation
MIEN = """
import json, sys, time
start = time.perf_counter()
from mien import Predictor
model, upright = sys.argv[2].removesuffix("-upright"), sys.argv[2].endswith("-upright")
predictor = Predictor(model, min_face=int(sys.argv[3]), upright=upright)
ready = time.perf_counter()
times, boxes = [], []
for photo in json.load(open(sys.argv[1])):
    before = time.perf_counter()
    (answer,) = predictor(photo)
    times.append(time.perf_counter() - before)
    boxes.append([face.box for face in answer.faces])
print(json.dumps({"start": ready - start, "times": times, "boxes": boxes}))
"""
FER = """
import json, sys, time
start = time.perf_counter()
import cv2
from fer.fer import FER
detector = FER(mtcnn=sys.argv[2] == "mtcnn")
ready = time.perf_counter()
times, boxes = [], []
for photo in json.load(open(sys.argv[1])):
    before = time.perf_counter()
    faces = detector.detect_emotions(cv2.imread(photo))
    times.append(time.perf_counter() - before)
    boxes.append([[int(value) for value in face["box"]] for face in faces])
print(json.dumps({"start": ready - start, "times": times, "boxes": boxes}))
"""


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data", type=Path, default=Path("data/archive.zip"), help="FER-2013")
    flags.add_argument("--megapixels", type=float, nargs="+", default=(0.3, 1, 3, 12))
    flags.add_argument("--each", type=int, default=15, help="photos of each size")
    flags.add_argument("--faces", type=int, default=3, help="pasted into a photo")
    flags.add_argument("--sizes", type=int, nargs="+", help="sides of the faces in pixels; 8 to 25 %% of the width")
    flags.add_argument("--min-face", type=int, default=96, help="of mien")
    flags.add_argument("--sides", nargs="+", choices=SIDES, default=("large", "haar", "mtcnn"))
    flags.add_argument("--cores", type=int, help="cores that every side is held to (Linux)")
    flags.add_argument("--rounds", type=int, default=3)
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--fer-python", "--fer_python", type=Path)
    args = flags.parse_args()
    if args.each < 2 or args.rounds < 1:
        fail("nothing to measure; give --each 2 or more, and --rounds 1 or more")
    if args.cores:
        os.sched_setaffinity(0, range(args.cores))
        os.environ["OMP_NUM_THREADS"] = str(args.cores)
    fer = own_environment("fer", FER_NEEDS, args.fer_python) if {"haar", "mtcnn"} & set(args.sides) else ""
    commands = {
        **{name: [sys.executable, "-c", MIEN, "{}", name, str(args.min_face)] for name in MODELS},
        "haar": [str(fer), "-c", FER, "{}", "haar"],
        "mtcnn": [str(fer), "-c", FER, "{}", "mtcnn"],
    }
    images = open_data(args.data).val.images
    print("| megapixels | side | start, s | first answer, ms | a photo, ms | faces found | elsewhere |")
    print("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for megapixels in args.megapixels:
        with tempfile.TemporaryDirectory() as folder:
            places = make(Path(folder), images, megapixels, args)
            runs = {side: list[dict]() for side in args.sides}
            for number in range(args.rounds):
                for side in args.sides:
                    runs[side].append(run(commands[side], Path(folder) / "photos.json"))
                say(f"{megapixels:g} megapixels, round {number + 1}/{args.rounds}")
            for side in args.sides:
                print(row(megapixels, side, runs[side], places), flush=True)


def make(folder: Path, images: np.ndarray, megapixels: float, args: argparse.Namespace) -> list[list[tuple]]:
    """Write photos and the list of them; returns left, top and side of each one's pasted squares."""
    rng = np.random.default_rng(args.seed)
    height = round((megapixels * 1e6 / SHAPE) ** 0.5)
    width = round(height * SHAPE)
    places, names = [], []
    for number in range(args.each):
        blotches = rng.integers(40, 216, (6, 8)).astype(np.uint8)
        photo = Image.fromarray(blotches).resize((width, height), Image.Resampling.BICUBIC)
        here: list[tuple[int, int, int]] = []
        while len(here) < args.faces:
            share = rng.uniform(0.08, 0.25) / args.faces**0.5 * width
            size = args.sizes[len(here) % len(args.sizes)] if args.sizes else round(share)
            patch = surrounded(images[rng.integers(len(images))], size, rng)
            left, top = (int(rng.integers(0, whole - patch.width + 1)) for whole in photo.size)
            if all(max(abs(left - x), abs(top - y)) > max(patch.width, side) for x, y, side in here):
                photo.paste(patch, (left, top), soft_disc(patch.width))
                here.append((left, top, patch.width))
        grain = np.asarray(photo, np.float32) + rng.normal(0, GRAIN, (height, width)).astype(np.float32)
        names.append(str(folder / f"{number}.jpg"))
        Image.fromarray(grain.clip(0, 255).astype(np.uint8)).convert("RGB").save(names[-1], quality=90)
        places.append(here)
    (folder / "photos.json").write_text(json.dumps(names))
    return places


def run(command: list[str], photos: Path) -> dict:
    """One side's times and boxes; exits if it fails."""
    words = [word.replace("{}", str(photos)) if word == "{}" else word for word in command]
    done = subprocess.run(words, env=environment(), capture_output=True, text=True)
    if done.returncode:
        fail(f"{command[0]} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def row(megapixels: float, side: str, runs: list[dict], places: list[list[tuple]]) -> str:
    """One line of the table: medians over the rounds; the first photo is the first answer and no other."""
    found = elsewhere = 0
    for boxes, here in zip(runs[0]["boxes"], places, strict=True):
        middles = [(x + width / 2, y + height / 2) for x, y, width, height in boxes]
        held = [
            [left + s / 4 <= x <= left + 3 * s / 4 and top + s / 4 <= y <= top + 3 * s / 4 for x, y in middles]
            for left, top, s in here
        ]
        found += sum(map(any, held))
        elsewhere += sum(not any(column) for column in zip(*held, strict=True))
    total = sum(map(len, places))
    start = median(one["start"] for one in runs)
    first = median(1000 * one["times"][0] for one in runs)
    photo = median(1000 * median(one["times"][1:]) for one in runs)
    return f"| {megapixels:g} | {side} | {start:.2f} | {first:.0f} | {photo:.0f} | {found} of {total} | {elsewhere} |"


if __name__ == "__main__":
    main()

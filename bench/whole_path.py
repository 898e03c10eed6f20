"""What finding, aligning and cutting out cost beside a bare crop: faces of FER-2013 pasted into larger scenes.

    python bench/whole_path.py --data data/archive.zip --votes fer2013new.csv --model base
    python bench/whole_path.py --data data/archive.zip --model base-fer2013

Each face is enlarged to the size given, its surroundings made of its own blurred edge, turned by up to 20 degrees,
lit otherwise, and pasted anywhere into a scene of soft blotches. The same faces as bare crops are the mark. In
"whole path" a face that is not found counts as wrong; found is one whose middle lies in the pasted square, with a
quarter of its side at least (some squares show a whole person). Val part; the majority of votes, or FER-2013's own
labels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from mien import Predictor
from mien.data.dataset import Dataset
from mien.data.sources import open_data
from mien.data.votes import join_split, with_majority
from mien.predict.face import Face

SCENE = (640, 480)
ROOM = 0.5  # of the face's side, on each side: the surroundings that FER-2013's tight crops lack
SIZES = (48, 64, 100, 150, 200)
TURN = 20  # degrees, at most
GAMMA, GAIN = (0.7, 1.4), (0.7, 1.2)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data", type=Path, default=Path("data/archive.zip"), help="FER-2013")
    flags.add_argument("--votes", type=Path, help="fer2013new.csv or ferplus.csv; FER-2013's labels if not given")
    flags.add_argument("--model", default="base")
    flags.add_argument("--count", type=int, default=500, help="number of faces, drawn at random")
    flags.add_argument("--seed", type=int, default=0)
    flags.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="side of the face in pixels")
    args = flags.parse_args()
    split = open_data(args.data)
    val = with_majority(join_split(args.votes, split)[0].val) if args.votes else split.val
    rng = np.random.default_rng(args.seed)
    faces = val.subset(rng.choice(len(val), min(args.count, len(val)), replace=False))
    bare = bare_answers(args.model, faces)
    print(f"{len(faces):,} faces, seed {args.seed}, model {args.model}; bare crops {bare.mean():.1%} right\n")
    print("| side | found | whole path | bare crops of the found | whole path of the found | difference |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for size in args.sizes:
        found, right = whole_path(Predictor(args.model), faces, size, np.random.default_rng(args.seed))
        among = bare[found].mean(), right[found].mean()
        print(
            f"| {size} px | {found.mean():.1%} | {right.mean():.1%} | {among[0]:.1%} | {among[1]:.1%} "
            f"| {100 * (among[1] - among[0]):+.1f} points |",
            flush=True,
        )


def bare_answers(model: str, faces: Dataset) -> np.ndarray:
    """Which faces are named rightly as they are, bool [N]."""
    answers = Predictor(model, crop="none")(list(faces.images))
    named = [answer.faces[0].emotion for answer in answers]
    return np.array(named) == np.array(faces.classes)[faces.labels]


def whole_path(
    predictor: Predictor, faces: Dataset, size: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Which faces are found in a scene, and which are named rightly there, bool [N] each."""
    found, right = np.zeros((2, len(faces)), bool)
    positions = []

    def scenes():
        for image in faces.images:
            picture, position = scene(image, size, rng)
            positions.append(position)
            yield picture

    for i, answer in enumerate(predictor.stream(scenes())):
        here = [face for face in answer.faces if is_pasted(face, positions[i], size)]
        found[i] = bool(here)
        right[i] = bool(here) and here[0].emotion == faces.classes[faces.labels[i]]
    return found, right


def scene(image: np.ndarray, size: int, rng: np.random.Generator) -> tuple[Image.Image, tuple[float, float]]:
    """A face uint8 [S, S] pasted into a scene, and where its middle is."""
    patch = surrounded(image, size, rng)
    side = patch.width
    blotches = Image.fromarray(rng.integers(40, 216, (6, 8)).astype(np.uint8)).resize(SCENE, Image.Resampling.BICUBIC)
    left, top = (int(rng.integers(0, whole - side + 1)) for whole in SCENE)
    blotches.paste(patch, (left, top), soft_disc(side))
    return blotches, (left + side / 2, top + side / 2)


def surrounded(image: np.ndarray, size: int, rng: np.random.Generator) -> Image.Image:
    """A face uint8 [S, S], `size` pixels large, with its own blurred edge around it, turned and lit otherwise."""
    room = round(ROOM * size)
    face = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    patch = Image.fromarray(np.pad(np.asarray(face), room, mode="edge")).filter(ImageFilter.GaussianBlur(size / 16))
    patch.paste(face, (room, room))
    angle = rng.uniform(-TURN, TURN)
    return lit(patch, rng).rotate(angle, Image.Resampling.BICUBIC)


def lit(patch: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The same under brighter or darker, harder or softer light."""
    gamma, gain = rng.uniform(*GAMMA), rng.uniform(*GAIN)
    return patch.point([min(255, round(255 * gain * (level / 255) ** gamma)) for level in range(256)])


def soft_disc(side: int) -> Image.Image:
    """A mask that lets a face through and fades its surroundings away."""
    y, x = np.mgrid[:side, :side] / (side - 1) * 2 - 1
    opaque = np.clip((1 - np.hypot(x, y)) / 0.2, 0, 1)
    return Image.fromarray((255 * opaque).astype(np.uint8))


def is_pasted(face: Face, position: tuple[float, float], size: int) -> bool:
    """Whether a box is that of the face pasted around the position."""
    x, y, width, height = face.box
    away = max(abs(x + width / 2 - position[0]), abs(y + height / 2 - position[1]))
    return away <= size / 2 and width >= size / 4


if __name__ == "__main__":
    main()

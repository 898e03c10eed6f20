"""Whether `quality` tells a face that can be judged from one that cannot, beside the detector's score and confidence.

    python bench/quality.py --data data/archive.zip --votes ferplus.csv

Real faces of PublicTest pasted into scenes as `whole_path.py` pastes them, against the same with the lower half covered
(by gray, or by noise), against blank squares, and against the pictures that
FER+ leaves out as not a face. Only what the
detector finds has a quality. ROC AUC: how often a real face is rated higher than the other. Constants of
`mien.predict.quality` are chosen on the faces with even numbers (`--half 0`) and reported on those with odd ones.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from whole_path import is_pasted, scene

from mien import Predictor
from mien.data.sources import open_data
from mien.predict.face import Face

SIZES = (64, 100, 150)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data", type=Path, default=Path("data/archive.zip"), help="FER-2013")
    flags.add_argument("--votes", type=Path, required=True, help="ferplus.csv")
    flags.add_argument("--count", type=int, default=80, help="number of faces, drawn at random")
    flags.add_argument("--half", type=int, choices=(0, 1), default=1, help="1: the faces that constants are tested on")
    flags.add_argument("--seed", type=int, default=0)
    args = flags.parse_args()
    val, train = (getattr(open_data(args.data), part) for part in ("val", "train"))
    voted = with_votes(args.votes)
    rng = np.random.default_rng(args.seed)
    chosen = [i for i in rng.permutation(len(val)) if i % 2 == args.half and val.paths[i] in voted]
    real = val.images[chosen[: args.count]]
    nobody = np.concatenate([part.images[[path not in voted for path in part.paths]] for part in (val, train)])
    kinds = {
        "real": real,
        "lower half gray": np.array([covered(face, None) for face in real]),
        "lower half noise": np.array([covered(face, rng) for face in real]),
        "blank": np.zeros_like(real[:20]) + rng.integers(0, 256, (20, 1, 1)).astype(np.uint8),
        "not a face by votes": nobody[args.half :: 2],
    }
    predictor = Predictor("base", upright=True)
    found = {kind: list(faces_in_scenes(predictor, images, args.seed)) for kind, images in kinds.items()}
    print("| kind | n | found | AUC quality | AUC score | AUC confidence | mean quality |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind, images in kinds.items():
        cells = [f"{auc(found['real'], found[kind], what):.3f}" for what in ("quality", "score", "confidence")]
        mean = np.mean([face.quality or 0.0 for face in found[kind]]) if found[kind] else np.nan
        print(f"| {kind} | {len(images)} | {len(found[kind])} | {' | '.join(cells)} | {mean:.2f} |")


def with_votes(votes: Path) -> set[str]:
    """Paths of the pictures that have votes; FER+ leaves out those that its annotators took for no face."""
    with votes.open(newline="") as file:
        return {row["file"].partition("/")[2] for row in csv.DictReader(file)}


def covered(face: np.ndarray, rng: np.random.Generator | None) -> np.ndarray:
    """A face with its lower half gray, or noise."""
    copy, half = face.copy(), face.shape[0] // 2
    copy[half:] = 128 if rng is None else rng.integers(0, 256, (half, face.shape[1]))
    return copy


def faces_in_scenes(predictor: Predictor, images: np.ndarray, seed: int) -> Iterator[Face]:
    """The faces found where pictures were pasted."""
    rng = np.random.default_rng(seed)
    for number, image in enumerate(images):
        size = SIZES[number % len(SIZES)]
        picture, place = scene(image, size, rng)
        yield from [face for face in predictor(picture)[0].faces if is_pasted(face, place, size)][:1]


def auc(real: list[Face], others: list[Face], what: str) -> float:
    """How often a real face has more of something than another; ties count half."""
    if not real or not others:
        return float("nan")
    first, second = (np.array([getattr(face, what) for face in faces]) for faces in (real, others))
    return float((first[:, None] > second).mean() + (first[:, None] == second).mean() / 2)


if __name__ == "__main__":
    main()

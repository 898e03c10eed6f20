"""Where eyes, nose and mouth lie in FER-2013's faces: the target to which `mien.predict.faces` aligns.

    python bench/face_position.py --data data/archive.zip

Looks at training faces with the detector that prediction uses, each enlarged four times and laid on gray, because the
detector wants some room around a face. Prints mean and spread of each point, in shares of the face's side.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from mien.data.sources import open_data
from mien.predict.yunet import detect

POINTS = ("left eye", "right eye", "nose", "left corner of the mouth", "right corner of the mouth")
ENLARGED = 4
ROOM = 0.5  # of the face's side, on each side
GRAY = 128
LONGER_SIDE = 320  # pixels
LEAST_SCORE = 0.75  # of the detector


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("--data", type=Path, default=Path("data/archive.zip"), help="FER-2013")
    flags.add_argument("--count", type=int, default=3000, help="number of faces, drawn at random")
    flags.add_argument("--seed", type=int, default=0)
    args = flags.parse_args()
    faces = open_data(args.data).train.images
    drawn = np.random.default_rng(args.seed).choice(len(faces), min(args.count, len(faces)), replace=False)
    found = [points for face in faces[drawn] if (points := positions(face)) is not None]
    print(f"{len(found):,} of {len(drawn):,} faces found ({len(found) / len(drawn):.1%}), seed {args.seed}\n")
    print("| point, as seen | across: median | spread | down: median | spread |\n| --- | ---: | ---: | ---: | ---: |")
    middle, spread = np.median(found, 0), np.std(found, 0)
    for name, position, sigma in zip(POINTS, middle, spread, strict=True):
        print(f"| {name} | {position[0]:.3f} | {sigma[0]:.3f} | {position[1]:.3f} | {sigma[1]:.3f} |")


def positions(face: np.ndarray) -> np.ndarray | None:
    """The five points of a face uint8 [S, S], in shares of its side, [5, 2]; None where the detector sees none."""
    side = len(face) * ENLARGED
    room = round(ROOM * side)
    image = Image.new("L", (side + 2 * room,) * 2, GRAY)
    image.paste(Image.fromarray(face).resize((side, side), Image.Resampling.BICUBIC), (room, room))
    scale = LONGER_SIDE / image.width
    (faces,) = detect([image.resize((LONGER_SIDE,) * 2, Image.Resampling.BILINEAR)], LEAST_SCORE)
    if not faces:
        return None
    largest = max(faces, key=lambda found: found.box[2] - found.box[0])
    return (largest.landmarks / scale - room) / side


if __name__ == "__main__":
    main()

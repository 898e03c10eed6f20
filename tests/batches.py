"""Small photos for many files, and a batch that is killed; as a program: `batches.py PLACE mien-arguments ...`."""

import sys
from pathlib import Path

import numpy as np
from kill import kill_at
from PIL import Image

from mien.cli.app import main
from mien.data.drawn import draw_face
from mien.emotions import EMOTIONS


def draw_photo(number: int, side: int = 160) -> Image.Image:
    """A drawn face on a gray ground; in every seventh photo none, in every fifth two."""
    rng = np.random.default_rng(number)
    photo = Image.new("RGB", (side, side), tuple(rng.integers(120, 220, 3).tolist()))
    for k in range(0 if number % 7 == 6 else 1 + (number % 5 == 4)):
        face = Image.fromarray(draw_face(EMOTIONS[(number + k) % len(EMOTIONS)], rng))
        photo.paste(face.resize((side * 3 // 7,) * 2), (side // 20 + k * side // 2, side // 4))
    return photo


def draw_photos(folder: Path, count: int, side: int = 160) -> Path:
    """A folder of photos, a tenth of them in a folder within."""
    for number in range(count):
        path = folder / ("within" if number % 10 == 9 else "") / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_photo(number, side).save(path, quality=90)
    return folder


if __name__ == "__main__":
    kill_at(int(sys.argv[1]))
    raise SystemExit(main(sys.argv[2:]))

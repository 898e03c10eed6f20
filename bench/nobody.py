"""How many faces are found where there is nobody.

    python bench/nobody.py                  300 pictures made here
    python bench/nobody.py FOLDER ...       every picture below; wallpapers will do

Those made here: textures, soft grounds, blurred patches pasted into such grounds, drawings, pages of text, and parts of
scikit-image's photographs of things. Each find is printed with its score and box; the last line counts.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image, ImageDraw, ImageFilter
from whole_path import SCENE, scene

from mien.predict.detector import find_faces

LONGEST = 1600  # pixels; larger pictures are made smaller
COUNT = 50  # pictures of a kind
THINGS = (
    "brick",
    "clock",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "immunohistochemistry",
    "moon",
    "text",
)


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("folders", type=Path, nargs="*")
    folders = flags.parse_args().folders
    pictures = finds = 0
    for name, picture in files(folders) if folders else made():
        pictures += 1
        for face in find_faces(picture).faces:
            finds += 1
            print(f"{name}: score {face.score:.2f}, box {[round(edge) for edge in face.box]}")
    print(f"{finds} finds in {pictures} pictures")


def files(folders: list[Path]) -> Iterator[tuple[str, Image.Image]]:
    """The pictures in folders."""
    for path in (path for folder in folders for path in sorted(folder.rglob("*"))):
        try:
            with Image.open(path) as file:
                picture = file.convert("RGB")
        except (OSError, Image.DecompressionBombError):
            continue
        picture.thumbnail((LONGEST, LONGEST))
        yield path.name, picture


def made() -> Iterator[tuple[str, Image.Image]]:
    """300 pictures without a face, always the same."""
    rng = np.random.default_rng(0)
    kinds = {
        "texture": texture, "ground": ground, "patch": patch, "drawing": drawing, "page": page, "thing": thing,
    }  # fmt: skip
    for name, make in kinds.items():
        for number in range(COUNT):
            yield f"{name} {number}", make(rng)


def texture(rng: np.random.Generator) -> Image.Image:
    """Noise of several grains, in colour."""
    total = np.zeros((SCENE[1], SCENE[0], 3))
    for grain in (2, 8, 32, 96):
        small = rng.integers(0, 256, (SCENE[1] // grain + 1, SCENE[0] // grain + 1, 3)).astype(np.uint8)
        total += rng.uniform(0, 1) * np.asarray(Image.fromarray(small).resize(SCENE, Image.Resampling.BICUBIC), float)
    return Image.fromarray((255 * total / total.max()).astype(np.uint8))


def ground(rng: np.random.Generator) -> Image.Image:
    """Soft blotches, large and small."""
    cells = int(rng.integers(3, 24))
    blotches = rng.integers(0, 256, (cells, round(cells * 4 / 3))).astype(np.uint8)
    return Image.fromarray(blotches).resize(SCENE, Image.Resampling.BICUBIC)


def patch(rng: np.random.Generator) -> Image.Image:
    """Blotches, blurred or not, pasted into softer ones as `whole_path.py` pastes faces."""
    cells = int(rng.integers(3, 9))
    blotches = Image.fromarray(rng.integers(0, 256, (cells, cells)).astype(np.uint8))
    blurred = blotches.resize((48, 48), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(rng.uniform(0, 3)))
    return scene(np.asarray(blurred), int(rng.integers(64, 220)), rng)[0]


def drawing(rng: np.random.Generator) -> Image.Image:
    """Ellipses, boxes and lines."""
    picture = Image.new("RGB", SCENE, tuple(rng.integers(0, 256, 3).tolist()))
    pen = ImageDraw.Draw(picture)
    for _ in range(rng.integers(5, 40)):
        x, y, width, height = (int(rng.integers(most)) for most in (600, 440, 200, 200))
        colour = tuple(rng.integers(0, 256, 3).tolist())
        draw = (pen.ellipse, pen.rectangle, pen.line)[rng.integers(3)]
        draw((x, y, x + width, y + height), fill=colour)
    return picture


def page(rng: np.random.Generator) -> Image.Image:
    """Letters, dark on light."""
    picture = Image.new("L", SCENE, int(rng.integers(180, 256)))
    pen = ImageDraw.Draw(picture)
    size = int(rng.integers(10, 60))
    for top in range(0, SCENE[1], size + 4):
        line = "".join(chr(code) for code in rng.integers(33, 127, 99))
        pen.text((5, top), line, fill=int(rng.integers(0, 90)), font_size=size)
    return picture


def thing(rng: np.random.Generator) -> Image.Image:
    """A part of a photograph without people, turned."""
    photo = Image.fromarray(getattr(skimage.data, THINGS[rng.integers(len(THINGS))])()).convert("RGB")
    side = int(rng.integers(min(photo.size) // 3, min(photo.size)))
    left, top = (int(rng.integers(0, whole - side + 1)) for whole in photo.size)
    return photo.crop((left, top, left + side, top + side)).rotate(90 * int(rng.integers(4))).resize((500, 500))


if __name__ == "__main__":
    main()

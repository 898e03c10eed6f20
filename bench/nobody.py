"""How many faces are seen where there is nobody: finds in folders of pictures that show no face.

    python bench/nobody.py FOLDER [FOLDER ...]

Each find is printed with its score and its box; the last line counts. Wallpapers will do.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image

from mien.predict.detector import find_faces

LONGEST = 1600  # pixels; larger pictures are made smaller


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("folders", type=Path, nargs="+", help="every picture below is looked at")
    pictures = finds = 0
    for path in (path for folder in flags.parse_args().folders for path in sorted(folder.rglob("*"))):
        try:
            with Image.open(path) as file:
                picture = file.convert("RGB")
        except (OSError, Image.DecompressionBombError):
            continue
        picture.thumbnail((LONGEST, LONGEST))
        pictures += 1
        for face in find_faces(picture):
            finds += 1
            print(f"{path.name}: score {face.score:.2f}, box {[round(edge) for edge in face.box]}")
    print(f"{finds} finds in {pictures} pictures")


if __name__ == "__main__":
    main()

"""The example of the page: four drawn faces in one picture, src/mien/serve/page/example.png.

    python bench/page_example.py

The faces are the first that `base` names as they were drawn, the fourth one the first that it is unsure about.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from mien.data.drawn import draw_face
from mien.predict.predictor import Predictor

SIDE, GAP, GROUND = 300, 24, 226
WANTED = (("happy", 0.95, 1), ("surprise", 0.9, 1), ("angry", 0.7, 1), ("sad", 0.3, 0.48))
TARGET = Path(__file__).parents[1] / "src" / "mien" / "serve" / "page" / "example.png"


def tile(emotion, seed):
    """A drawn face, enlarged and smooth."""
    face = Image.fromarray(draw_face(emotion, np.random.default_rng((7, seed))))
    return face.resize((SIDE, SIDE), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1.5))


def framed(face):
    """A face on the picture's ground, as it will stand there."""
    ground = Image.new("L", (SIDE + 2 * GAP, SIDE + 2 * GAP), GROUND)
    ground.paste(face, (GAP, GAP))
    return ground


def main():
    predictor = Predictor("base")
    picture = Image.new("L", (2 * SIDE + 3 * GAP, 2 * SIDE + 3 * GAP), GROUND)
    for i, (emotion, least, most) in enumerate(WANTED):
        for seed in range(1000):
            face = tile(emotion, seed)
            [found] = predictor(framed(face))
            named = [face for face in found.faces if face.emotion == emotion and least <= face.confidence <= most]
            if len(found.faces) == len(named) == 1:
                break
        picture.paste(face, (GAP + i % 2 * (SIDE + GAP), GAP + i // 2 * (SIDE + GAP)))
    picture.save(TARGET, optimize=True)
    print(TARGET, TARGET.stat().st_size, [(face.emotion, face.confidence) for face in predictor(picture)[0].faces])


if __name__ == "__main__":
    main()

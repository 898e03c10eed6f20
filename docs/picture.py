"""The picture in README: seven drawn faces, as `mien predict --annotate` marks them.

    python docs/picture.py docs/figures/predicted.png

The faces are drawn at 192 pixels, four times FER-2013's side: photographs are larger than crops. Of 40 faces of each
expression, the one is taken that `base` names rightly with the highest confidence. So the picture shows what an answer
looks like, and says nothing about accuracy.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

from mien import EMOTIONS, Predictor
from mien.data import drawn

TRIED, SIDE, IN_ROW = 40, 192, 4
ACROSS, DOWN = 124, 60  # pixels between faces: room for the bars
GROUND = 236


def large_drawing() -> ModuleType:
    """The module that draws faces, with one pixel of the canvas a pixel of the picture."""
    source = Path(drawn.__file__).read_text(encoding="utf-8")
    for small, large in (("SIZE = 48\n_FINE = 4", f"SIZE = {SIDE}\n_FINE = 1"), ("GaussianBlur(1)", "GaussianBlur(4)")):
        assert small in source
        source = source.replace(small, large)
    module = sys.modules["large_drawing"] = ModuleType("large_drawing")
    exec(compile(source, drawn.__file__, "exec"), module.__dict__)
    return module


def clearest(emotion: str, draw: ModuleType, predictor: Predictor) -> Image.Image:
    """The face of which the model is surest, among those that it names rightly."""
    best, shown = 0.0, None
    for number in range(TRIED):
        face = draw.draw_face(emotion, np.random.default_rng((5, number, EMOTIONS.index(emotion))))
        for found in predictor(scene([Image.fromarray(face)]))[0].faces:
            if found.emotion == emotion and found.confidence > best:
                best, shown = found.confidence, face
    assert shown is not None, f"no drawn face is named {emotion}"
    return Image.fromarray(shown)


def scene(faces: list[Image.Image]) -> Image.Image:
    """All faces in one picture, in centred rows."""
    rows = [faces[start : start + IN_ROW] for start in range(0, len(faces), IN_ROW)]
    width = IN_ROW * (SIDE + ACROSS) + ACROSS // 2
    picture = Image.new("RGB", (width, len(rows) * (SIDE + DOWN) + DOWN // 2), (GROUND,) * 3)
    for number, row in enumerate(rows):
        left = (width - len(row) * (SIDE + ACROSS)) // 2
        for face in row:
            picture.paste(face, (left, DOWN * 2 // 3 + number * (SIDE + DOWN)))
            left += SIDE + ACROSS
    return picture


def main(target: Path) -> None:
    draw, predictor = large_drawing(), Predictor()
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "faces.png"
        scene([clearest(emotion, draw, predictor) for emotion in EMOTIONS]).save(photo)
        subprocess.run([sys.executable, "-m", "mien", "predict", photo, "--annotate", target], check=True)
    with Image.open(target) as annotated:
        annotated.quantize(128).save(target, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

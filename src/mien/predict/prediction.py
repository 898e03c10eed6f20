"""What prediction answers: the faces of one picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mien.predict.face import Face


@dataclass(frozen=True)
class Prediction:
    """The faces of one picture, from left to right.

    source: the file's path, or what stands for a picture that has none ("image 1"). frame: its number in a video, else
    None. error: why the picture could not be read; then there are no faces. turned: by how many degrees clockwise (90,
    180, 270) the picture lies, as its faces tell; 0 for an upright one. animated: the picture is the first frame of
    several; the others were not looked at.

    >>> Prediction("gone.jpg", None, (), "gone.jpg: no such file").to_dict()
    {'source': 'gone.jpg', 'frame': None, 'faces': [], 'error': 'gone.jpg: no such file'}
    """

    source: str
    frame: int | None
    faces: tuple[Face, ...]
    error: str = ""
    turned: int = 0
    animated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; `error`, `turned` and `animated` only where they are set."""
        return {
            "source": self.source,
            "frame": self.frame,
            "faces": [face.to_dict() for face in self.faces],
            **({"error": self.error} if self.error else {}),
            **({"turned": self.turned} if self.turned else {}),
            **({"animated": True} if self.animated else {}),
        }

    def _repr_png_(self) -> bytes | None:
        """The annotated picture, for notebooks; None where `source` is no file that can be read again."""
        if self.error or self.frame is not None:
            return None
        from mien.predict.annotate import annotated_png

        return annotated_png(self.source, self.faces)

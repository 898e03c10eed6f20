"""What prediction answers: the faces of one picture, and the expression on each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mien.boxes import Box

Point = tuple[float, float]


@dataclass(frozen=True)
class Face:
    """A face and its expression.

    box: x, y, width, height in pixels of the upright picture. landmarks: the two eyes, the nose, the two corners of the
    mouth, in the same pixels, the one further left in the picture first; empty where no face was looked for.
    emotion: the likeliest class, confidence its probability, probabilities those of all classes, by name.
    uncertain: its confidence is under the least that was asked for.
    """

    box: Box
    landmarks: tuple[Point, ...]
    emotion: str
    confidence: float
    probabilities: dict[str, float]
    uncertain: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; without the landmarks, and with `uncertain` only where it is set."""
        return {
            "box": list(self.box),
            "emotion": self.emotion,
            "confidence": round(self.confidence, 4),
            "probabilities": {name: round(value, 4) for name, value in self.probabilities.items()},
            **({"uncertain": True} if self.uncertain else {}),
        }


@dataclass(frozen=True)
class Prediction:
    """The faces of one picture, from left to right.

    source: the file's path, or what stands for a picture that has none ("image 1"). frame: its number in a video, else
    None. error: why the picture could not be read; then there are no faces.
    """

    source: str
    frame: int | None
    faces: tuple[Face, ...]
    error: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; `error` only where it is set."""
        return {
            "source": self.source,
            "frame": self.frame,
            "faces": [face.to_dict() for face in self.faces],
            **({"error": self.error} if self.error else {}),
        }


def percent(share: float) -> str:
    """A probability in words; only what is certain is 100 %.

    >>> percent(0.931), percent(0.9995)
    ('93 %', '>99 %')
    """
    return ">99 %" if 0.995 <= share < 1 else f"{share * 100:.0f} %"

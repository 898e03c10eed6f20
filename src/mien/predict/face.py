"""A face, and the expression on it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mien.boxes import Box

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Point = tuple[float, float]


@dataclass(frozen=True)
class Face:
    """A face and its expression.

    box: x, y, width, height in pixels of the picture as its camera was held. landmarks: the two eyes, the nose, the two
    corners of the mouth, in the same pixels, in an upright face the one further left first; empty where no face was
    looked for. emotion: the likeliest class, confidence its probability, probabilities those of all classes, by name.
    uncertain: its confidence or its quality is under the least that was asked for. score: the detector's, in [0, 1],
    and quality: how much of a face there is to judge by, in [0, 1] (`mien.predict.quality`); None where no face was
    looked for. crop: the aligned face as the network is given it, gray, uint8 [S, S]; None unless asked for.

    >>> Face((3, 4, 40, 50), (), "happy", 0.9, {"happy": 0.9, "sad": 0.1}).to_dict()["emotion"]
    'happy'
    """

    box: Box
    landmarks: tuple[Point, ...]
    emotion: str
    confidence: float
    probabilities: dict[str, float]
    uncertain: bool = False
    score: float | None = None
    quality: float | None = None
    crop: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; `uncertain` only where it is set, what the detector says only where it was asked."""
        return {
            "box": list(self.box),
            "emotion": self.emotion,
            "confidence": round(self.confidence, 4),
            "probabilities": {name: round(value, 4) for name, value in self.probabilities.items()},
            **({"uncertain": True} if self.uncertain else {}),
            **({"landmarks": [[round(x, 1), round(y, 1)] for x, y in self.landmarks]} if self.landmarks else {}),
            **({} if self.score is None else {"score": round(self.score, 4)}),
            **({} if self.quality is None else {"quality": round(self.quality, 4)}),
        }

    def is_doubtful(self, least: float) -> bool:
        """Whether its confidence or its quality is below `least`."""
        return min(self.confidence, 1.0 if self.quality is None else self.quality) < least

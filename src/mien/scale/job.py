"""What is to be done with each picture: it decides the rows, and travels in every shard's metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mien._version import __version__
from mien.errors import ModelError
from mien.models.files import model_digest, model_name, read_model
from mien.models.model import Prior
from mien.predict.detector import MIN_FACE
from mien.predict.predictor import Crop, Predictor
from mien.scale.rows import schema

if TYPE_CHECKING:
    import pyarrow as pa

_SCHEMA = 1
_OPTIONS = ("prior", "crop", "min_confidence", "min_face", "upright", "every", "labels")


@dataclass(frozen=True)
class Job:
    """The model and the options of `Predictor`, by which all pictures of a source are looked at.

    source: where the pictures lie, as it was named. digest: SHA-256 of the model file. every: of videos, the frames
    looked at. columns: those wanted, none for all; raises UsageError for unknown ones.
    """

    source: str
    model: Path
    digest: str
    classes: tuple[str, ...]
    prior: Prior = "natural"
    crop: Crop = "detect"
    min_confidence: float = 0.0
    min_face: int = MIN_FACE
    upright: bool = False
    every: int = 1
    columns: tuple[str, ...] = ()
    labels: str = ""

    def __post_init__(self) -> None:
        schema(self.classes, self.columns)

    @property
    def schema(self) -> pa.Schema:
        """The columns of the answers."""
        return schema(self.classes, self.columns)

    def metadata(self) -> dict[str, Any]:
        """What a shard says of its making, as plain values."""
        return {
            "schema": _SCHEMA,
            "mien": __version__,
            "source": self.source,
            "model": model_name(self.model),
            "model_digest": self.digest,
            "classes": list(self.classes),
            **{name: getattr(self, name) for name in _OPTIONS},
            "columns": self.schema.names,
        }

    def predictor(self) -> Predictor:
        """The predictor, its model read anew; raises ModelError where the file is not the one it was."""
        if model_digest(self.model) != self.digest:
            raise ModelError(f"{self.model}: another model than the one the work began with; put that one back")
        model = read_model(self.model, self.classes)
        options = self.prior, self.crop, self.min_confidence, self.min_face, self.upright
        return Predictor(model, *options, labels=self.labels)


def differences(job: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """What of two jobs' metadata gives other rows, a line each; the version of Mien does not count."""
    for name, value in job.items():
        if name not in ("mien", "model") and other.get(name) != value:
            yield f"{name} {other.get(name)!r}, not {value!r}"

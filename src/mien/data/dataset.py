"""The values that travel between the stages: labelled faces, and their division into three parts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from mien.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Dataset:
    """Labelled faces in memory.

    images: uint8 [N, S, S], gray; labels: int64 [N], places in `classes`; paths: `<class>/<file>`, one a face.
    shares: float32 [N, K], each class' share of the votes, where people voted on the faces; labels then follow them.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    shares: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: NDArray[np.integer]) -> Dataset:
        """The faces at `indices`, in that order."""
        paths = tuple(self.paths[i] for i in indices)
        shares = None if self.shares is None else self.shares[indices]
        return replace(self, images=self.images[indices], labels=self.labels[indices], paths=paths, shares=shares)

    def counts(self) -> NDArray[np.int64]:
        """Number of faces of each class, int64 [K]."""
        return np.bincount(self.labels, minlength=len(self.classes))

    def digest(self) -> str:
        """SHA-256 over pixels, labels and votes: equal for equal data in equal order."""
        sha = hashlib.sha256(self.images.tobytes())
        sha.update(self.labels.tobytes())
        sha.update("\n".join(self.classes).encode())
        if self.shares is not None:
            sha.update(self.shares.tobytes())
        return sha.hexdigest()


@dataclass(frozen=True)
class Split:
    """Faces divided for training, for choosing, and for the one final measurement.

    A part that the source lacks is an empty data set. `origin` says in words who made the division.
    """

    train: Dataset
    val: Dataset
    test: Dataset
    origin: str

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in label order."""
        return self.train.classes

    def parts(self) -> dict[str, Dataset]:
        """The parts that hold faces, by name."""
        return {name: part for name in PARTS if len(part := getattr(self, name))}

    def whole(self) -> Dataset:
        """The faces of all parts together, in the parts' order."""
        parts = list(self.parts().values())
        shares = [part.shares for part in parts if part.shares is not None]
        return Dataset(
            np.concatenate([part.images for part in parts]),
            np.concatenate([part.labels for part in parts]),
            self.classes,
            tuple(path for part in parts for path in part.paths),
            np.concatenate(shares) if shares else None,
        )

    def part(self, name: str) -> Dataset:
        """The part called `name`; raises DataError where it is empty."""
        part: Dataset = getattr(self, name)
        if not len(part):
            raise DataError(f"no {name} faces in this data ({self.origin}); it has {', '.join(self.parts())}")
        return part

"""The values that travel between the stages: labelled faces, and their division into three parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from mien.data.classes import emotion
from mien.errors import DataError

PARTS = ("train", "val", "test")
WHOLE = "all"  # what all parts together are called, and the one part of a source without a division


@dataclass(frozen=True)
class Dataset:
    """Labelled faces in memory.

    images: uint8 [N, S, S], gray. labels: int64 [N], indices into `classes`. paths: `<class>/<file>`, one a face.
    shares: float32 [N, K], each class' share of the votes, where annotators voted on the faces; labels then follow
    them. given: int64 [N], the labels that the faces came with, where these are to be learned beside the votes.

    >>> images, labels = np.zeros((3, 48, 48), np.uint8), np.array([0, 1, 1])
    >>> faces = Dataset(images, labels, ("happy", "sad"), ("happy/1.png", "sad/2.png", "sad/3.png"))
    >>> len(faces), faces.counts()
    (3, array([1, 2]))
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]
    paths: tuple[str, ...]
    shares: NDArray[np.float32] | None = None
    given: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: NDArray[np.integer]) -> Dataset:
        """The faces at `indices`, in that order."""
        paths = tuple(self.paths[i] for i in indices)
        shares = None if self.shares is None else self.shares[indices]
        given = None if self.given is None else self.given[indices]
        images, labels = self.images[indices], self.labels[indices]
        return replace(self, images=images, labels=labels, paths=paths, shares=shares, given=given)

    def counts(self) -> NDArray[np.int64]:
        """Number of faces of each class, int64 [K]; 0 for classes that the data lack."""
        return np.bincount(self.labels, minlength=len(self.classes))

    def with_classes(self, classes: Sequence[str]) -> Dataset:
        """The same faces, their labels as indices into another list of classes, such as a model's.

        Names are matched as they are, or else as synonyms of one emotion (`anger` and `angry`). Raises DataError where
        `classes` lacks one that faces carry, or that has votes.

        >>> import numpy as np
        >>> images, labels = np.zeros((2, 48, 48), np.uint8), np.array([0, 1])
        >>> faces = Dataset(images, labels, ("anger", "happy"), ("anger/1.png", "happy/2.png"))
        >>> faces.with_classes(("angry", "happy", "neutral")).counts()
        array([1, 1, 0])
        """
        if tuple(classes) == self.classes:
            return self
        index = {emotion(name): i for i, name in enumerate(classes)} | {name: i for i, name in enumerate(classes)}
        target = np.array([index.get(name, index.get(emotion(name) or name, -1)) for name in self.classes], np.int64)
        needed = (self.counts() > 0) | (False if self.shares is None else self.shares.any(0))
        if self.given is not None:
            needed[self.given] = True
        if lacking := [self.classes[i] for i in np.flatnonzero(needed & (target < 0))]:
            raise DataError(f"no class {', '.join(lacking)} among {', '.join(classes)}; leave out these faces")
        to = np.eye(len(classes), dtype=np.float32)[target[needed]]
        shares = None if self.shares is None else self.shares[:, needed] @ to
        given = None if self.given is None else target[self.given]
        return replace(self, labels=target[self.labels], classes=tuple(classes), shares=shares, given=given)

    def digest(self) -> str:
        """SHA-256 over pixels, votes and all labels: equal for equal data in equal order."""
        sha = hashlib.sha256(self.images.tobytes())
        sha.update(self.labels.tobytes())
        sha.update("\n".join(self.classes).encode())
        if self.shares is not None:
            sha.update(self.shares.tobytes())
        if self.given is not None:
            sha.update(self.given.tobytes())
        return sha.hexdigest()


@dataclass(frozen=True)
class Split:
    """Faces divided for training, for choosing, and for the one final measurement.

    A part that the source lacks is an empty data set. `origin` says in words who made the division. val_of_train:
    whether val was drawn from the source's own train part.

    >>> images, labels = np.zeros((2, 48, 48), np.uint8), np.array([0, 1])
    >>> faces = Dataset(images, labels, ("happy", "sad"), ("happy/1.png", "sad/2.png"))
    >>> nobody = faces.subset(np.array([], int))
    >>> list(Split(faces, faces, nobody, "the same faces twice").parts())
    ['train', 'val']
    """

    train: Dataset
    val: Dataset
    test: Dataset
    origin: str
    val_of_train: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names, in label order."""
        return self.train.classes

    def parts(self) -> dict[str, Dataset]:
        """The parts that hold faces, by name."""
        return {name: part for name in PARTS if len(part := getattr(self, name))}

    def part(self, name: str) -> Dataset:
        """The part called `name`, or all of them as one for "all"; raises DataError where it is empty."""
        part: Dataset = self._all() if name == WHOLE else getattr(self, name)
        if not len(part):
            raise DataError(f"no {name} faces in this data ({self.origin}); it has {', '.join(self.parts())}")
        return part

    def _all(self) -> Dataset:
        """The faces of all parts as one set, train first; of two with one path, the second gets a number."""
        parts = [self.train, self.val, self.test]
        shares = [part.shares for part in parts if part.shares is not None]
        return Dataset(
            images=np.concatenate([part.images for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            classes=self.classes,
            paths=tuple(numbered(path for part in parts for path in part.paths)),
            shares=np.concatenate(shares) if shares else None,
        )


def numbered(paths: Iterable[str]) -> list[str]:
    """The same paths, but those that occur again get a number: `a/1.png`, `a/1_2.png` ..."""
    taken: set[str] = set()
    free = []
    for path in paths:
        name, number = path, 1
        while name in taken:
            number += 1
            name = str(PurePosixPath(path).with_stem(f"{PurePosixPath(path).stem}_{number}"))
        taken.add(name)
        free.append(name)
    return free

"""What several annotators said of each face, joined to the faces: labels that are shares, not verdicts.

FER-2013's own labels agree with the majority of ten annotators, FER+ (Barsoum et al. 2016, arXiv:1608.01041), on 65 %
of the faces. Four kinds of file are understood:

    fer2013new.csv   FER+ as published: line by line beside fer2013.csv, by image name for Kaggle's archive
    ferplus.csv      the same votes under Kaggle's paths: `file,image,neutral,happiness,...`
    manifest.csv     of a folder prepared with votes
    any other        `file` (`<class>/<file>`, folders before it are ignored) and one column a class

FER+ also counts votes for contempt, unknown and not-a-face. Faces that got as many votes for one of these as for any
expression of ours are left out; of the others, the votes for our classes are divided by their sum.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mien.csv_files import read_rows
from mien.data.classes import emotion
from mien.data.dataset import Dataset, Split
from mien.data.layout import is_fer2013
from mien.data.manifest import VOTES
from mien.errors import DataError

IMAGE_NAMES = Path(__file__).with_name("ferplus_names.csv.gz")  # `file,image`: Kaggle's paths, FER+'s image names

_OTHERS = ("contempt", "unknown", "NF")  # what FER+ counts beside our seven
_REMEDY = "give votes as FER+ has them, or a CSV of file and one column a class"
_USAGES = ("Training", "PublicTest", "PrivateTest", "row")  # what the faces of a table are called, with their row


@dataclass(frozen=True)
class Votes:
    """The votes of one file.

    shares: float32 [M, K], of the classes in the data's order; zeros for a face without an expression of ours.
    indices: a face's index in `shares` by `<class>/<file>`, or by its file name where the votes know no class.
    """

    shares: NDArray[np.float32]
    indices: dict[str, int]

    def find(self, path: str) -> int:
        """The index of the face at `<class>/<file>`; -1 where there are no votes."""
        return self.indices.get(path, self.indices.get(path.rpartition("/")[2], -1))


@dataclass(frozen=True)
class Joined:
    """Faces with their votes, and how many had none, or had most for something that is no class of ours."""

    faces: Dataset
    without: int
    other: int


def read_votes(path: Path, classes: Sequence[str]) -> Votes:
    """The votes in a file, for data of these classes; raises DataError naming row and remedy.

    Columns and class folders in the file may have synonyms of the classes as their names (`happiness` for `happy`).
    """
    rows = read_rows(path, (), dict, _REMEDY)
    if not rows:
        raise DataError(f"{path}: holds no votes; {_REMEDY}")
    columns = rows[0].keys()
    if "sha256" in columns:
        return _prepared(path, rows, classes)
    if not {"file", "Image name"} & columns:
        raise DataError(f"{path}: has no column 'file' or 'Image name'; {_REMEDY}")
    shares = _shares(_counts(path, rows, classes))
    if "Image name" in columns:
        return Votes(shares, _published(rows))
    return Votes(shares, {name: i for i, row in enumerate(rows) for name in _keys(row["file"], classes)})


def join(votes: Votes, faces: Dataset, *, both: bool = False) -> Joined:
    """`faces` with `shares`, and the class with the largest share (the first of equals) as their label.

    With `both`, the labels that they have stay beside it.
    """
    indices = np.array([votes.find(path) for path in faces.paths], np.int64)
    shares = votes.shares[indices]
    found, ours = indices >= 0, shares.any(1)
    joined = np.flatnonzero(found & ours)
    left = faces.subset(joined)
    labels = shares[joined].argmax(1)
    voted = replace(left, shares=shares[joined], labels=labels, given=left.labels if both else None)
    return Joined(voted, int((~found).sum()), int((found & ~ours).sum()))


def join_split(path: Path, split: Split, *, both: bool = False) -> tuple[Split, dict[str, Joined]]:
    """Every part with the votes of the file at `path`; with `both`, FER-2013's own labels stay beside them.

    Raises DataError where the file knows none of the faces of a part, or where `both` are asked of other faces.
    """
    votes = read_votes(path, split.classes)
    if both and not is_fer2013(split.train.paths):
        raise DataError("--labels both means FER-2013's own labels and the votes; for other faces, give --labels votes")
    joined = {name: join(votes, part, both=both) for name, part in split.parts().items()}
    for name, part in joined.items():
        if not len(part.faces):
            raise DataError(f"{path}: has votes for none of the {name} faces; is it the file for these data?")
    faces: dict[str, Any] = {name: part.faces for name, part in joined.items()}
    labels = f"labels by the votes of {path.name}{', and the given ones' if both else ''}"
    return replace(split, origin=f"{split.origin}; {labels}", **faces), joined


def with_majority(faces: Dataset) -> Dataset:
    """The faces of which one class has more votes than any other; all of them where labels are given.

    Raises DataError where there is no such face.
    """
    if faces.shares is None:
        return faces
    first, second = np.sort(faces.shares, 1)[:, :-3:-1].T
    clear = np.flatnonzero(first > second)
    if not len(clear):
        raise DataError(
            f"on none of the {len(faces):,} faces one answer got more votes than any other; give faces with more "
            "votes each"
        )
    return faces.subset(clear)


def _published(rows: Sequence[dict[str, str]]) -> dict[str, int]:
    """FER+ as published: a row is that of the face in fer2013.csv; what has no image name was found to be no face."""
    images = {image: i for i, row in enumerate(rows) if (image := row["Image name"].strip())}
    indices = {f"{usage}_{i + 1}.png": i for i in images.values() for usage in _USAGES}
    with gzip.open(IMAGE_NAMES, "rt", encoding="utf-8", newline="") as file:
        kaggles = [(row["file"], row["image"]) for row in csv.DictReader(file)]
    return indices | {"/".join(name.split("/")[-2:]): images[image] for name, image in kaggles if image in images}


def _prepared(path: Path, rows: Sequence[dict[str, str]], classes: Sequence[str]) -> Votes:
    """The manifest of a prepared folder, with empty cells for faces without votes."""
    columns = [VOTES + name for name in classes]
    voted = [(i, row) for i, row in enumerate(rows, 1) if row.get(columns[0])]
    if not voted or not set(columns) <= rows[0].keys():
        raise DataError(f"{path}: these data were prepared without votes; give them with --votes FILE")
    shares = [[_number(path, i, name, row[name]) for name in columns] for i, row in voted]
    indices = {name: i for i, (_, row) in enumerate(voted) for name in _keys(row["path"], classes)}
    return Votes(np.array(shares, np.float32), indices)


def _counts(path: Path, rows: Sequence[dict[str, str]], classes: Sequence[str]) -> NDArray[np.float64]:
    """Each row's votes for each class, and the most that something else got, float64 [M, K + 1]."""
    columns = {emotion(name) or name: name for name in rows[0]} | {name: name for name in rows[0]}
    missing = [name for name in classes if name not in columns]
    if missing:
        raise DataError(f"{path}: has no column '{missing[0]}'; expected one for each of {', '.join(classes)}")
    ours = [columns[name] for name in classes]
    others = [name for name in _OTHERS if name in rows[0] and name not in ours]
    counts = np.array(
        [[_number(path, i, name, row[name]) for name in (*ours, *others)] for i, row in enumerate(rows, 1)]
    )
    return np.column_stack([counts[:, : len(ours)], counts[:, len(ours) :].max(1, initial=0)])


def _number(path: Path, row: int, column: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise DataError(f"{path}, row {row}: {column} {text!r}, expected a number of votes from 0")
    return value


def _shares(counts: NDArray[np.float64]) -> NDArray[np.float32]:
    """Shares [M, K] of votes [M, K + 1], the last column being the most that something else got."""
    ours = counts[:, :-1]
    ours = ours * (ours.max(1) > counts[:, -1])[:, None]
    return (ours / np.maximum(ours.sum(1, keepdims=True), 1e-9)).astype(np.float32)


def _keys(file: str, classes: Sequence[str]) -> set[str]:
    """`<class>/<file>` of a path, as it is and with the class called as the data call it."""
    *_, label, name = ["", *file.replace("\\", "/").split("/")]
    meant = emotion(label)
    return {f"{label}/{name}", f"{meant if meant in classes else label}/{name}"}

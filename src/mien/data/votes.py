"""What several people said of each face, joined to the faces: labels that are shares, not verdicts.

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
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mien.data.dataset import Dataset, Split
from mien.data.manifest import VOTES
from mien.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGE_NAMES = Path(__file__).with_name("ferplus_names.csv.gz")  # `file,image`: Kaggle's paths, FER+'s image names

_FERPLUS = {
    "neutral": "neutral", "happiness": "happy", "surprise": "surprise", "sadness": "sad", "anger": "angry",
    "disgust": "disgust", "fear": "fear",
}  # fmt: skip
_OTHER = ("contempt", "unknown", "NF")
_USAGES = ("Training", "PublicTest", "PrivateTest", "row")  # what the faces of a table are called, with their row


@dataclass(frozen=True)
class Votes:
    """The votes of one file.

    shares: float32 [M, K], of the classes in the data's order; zeros for a face without an expression of ours.
    places: a face's place in `shares` by `<class>/<file>`, or by its file name where the votes know no class.
    """

    shares: NDArray[np.float32]
    places: dict[str, int]

    def find(self, path: str) -> int:
        """The place of the face at `<class>/<file>`; -1 where there are no votes."""
        return self.places.get(path, self.places.get(path.rpartition("/")[2], -1))


@dataclass(frozen=True)
class Joined:
    """Faces with their votes, and how many had none, or had most for something that is no class of ours."""

    faces: Dataset
    without: int
    other: int


def read_votes(path: Path, classes: Sequence[str]) -> Votes:
    """The votes in a file, for data of these classes; raises DataError naming row and remedy."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            return _read(path, csv.DictReader(file), tuple(classes))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a CSV of votes ({error})") from None


def join(votes: Votes, faces: Dataset) -> Joined:
    """`faces` with `shares`, and the class with the largest share (the first of equals) as their label."""
    places = np.array([votes.find(path) for path in faces.paths], np.int64)
    shares = votes.shares[places]
    found, ours = places >= 0, shares.any(1)
    kept = np.flatnonzero(found & ours)
    joined = replace(faces.subset(kept), shares=shares[kept], labels=shares[kept].argmax(1))
    return Joined(joined, int((~found).sum()), int((found & ~ours).sum()))


def join_split(path: Path, split: Split) -> tuple[Split, dict[str, Joined]]:
    """Every part with the votes of the file at `path`; raises DataError where it knows none of the faces."""
    votes = read_votes(path, split.classes)
    joined = {name: join(votes, part) for name, part in split.parts().items()}
    for name, part in joined.items():
        if not len(part.faces):
            raise DataError(f"{path}: has votes for none of the {name} faces; is it the file for these data?")
    faces = {name: part.faces for name, part in joined.items()}
    return replace(split, origin=f"{split.origin}; labels by the votes of {path.name}", **faces), joined


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
            f"on none of the {len(faces):,} faces one answer got more votes than any other; give faces on which more "
            "people voted"
        )
    return faces.subset(clear)


def _read(path: Path, rows: csv.DictReader[str], classes: tuple[str, ...]) -> Votes:
    columns = rows.fieldnames or ()
    if "Image name" in columns:
        return _published(path, rows, classes)
    if "sha256" in columns:
        return _prepared(path, rows, classes)
    if "file" not in columns:
        raise DataError(f"{path}: has no column 'file' or 'Image name'; expected votes as in FER+, or file,<classes>")
    if {"neutral", "happiness"} <= set(columns) and not set(classes) <= set(columns):  # FER+, which has other names
        counted = _ferplus_counts(path, rows, classes)
    else:
        counted = _own_counts(path, rows, classes)
    names, counts = zip(*((_key(row["file"]), count) for row, count in counted), strict=True)
    return Votes(_shares(np.array(counts)), {name: i for i, name in enumerate(names)})


def _published(path: Path, rows: csv.DictReader[str], classes: tuple[str, ...]) -> Votes:
    """FER+ as published: a row is that of the face in fer2013.csv; what has no image name was found to be no face."""
    images, places, counts = {}, {}, []
    for i, (row, count) in enumerate(_ferplus_counts(path, rows, classes)):
        counts.append(count)
        if row["Image name"].strip():
            images[row["Image name"].strip()] = i
            places |= {f"{usage}_{i + 1}.png": i for usage in _USAGES}
    with gzip.open(IMAGE_NAMES, "rt", encoding="utf-8", newline="") as file:
        named = {_key(row["file"]): row["image"] for row in csv.DictReader(file)}
    places |= {name: images[image] for name, image in named.items() if image in images}
    return Votes(_shares(np.array(counts)), places)


def _prepared(path: Path, rows: csv.DictReader[str], classes: tuple[str, ...]) -> Votes:
    """The manifest of a prepared folder, with empty cells for faces without votes."""
    columns = [VOTES + name for name in classes]
    if not set(columns) <= set(rows.fieldnames or ()):
        raise DataError(f"{path}: these data were prepared without votes; give them with --votes FILE")
    voted = [row for row in rows if row[columns[0]]]
    shares = [[_number(path, i, name, row[name]) for name in columns] for i, row in enumerate(voted, 1)]
    return Votes(np.array(shares, np.float32), {_key(row["path"]): i for i, row in enumerate(voted)})


def _ferplus_counts(
    path: Path, rows: csv.DictReader[str], classes: tuple[str, ...]
) -> Iterator[tuple[dict[str, str], list[float]]]:
    columns = {name: column for column, name in _FERPLUS.items()}
    strange = [name for name in classes if name not in columns]
    if strange:
        raise DataError(f"{path}: FER+ has no votes for class '{strange[0]}'; use it with FER-2013")
    yield from _counts(path, rows, [columns[name] for name in classes], _OTHER)


def _own_counts(
    path: Path, rows: csv.DictReader[str], classes: tuple[str, ...]
) -> Iterator[tuple[dict[str, str], list[float]]]:
    yield from _counts(path, rows, classes, ())


def _counts(
    path: Path, rows: csv.DictReader[str], classes: Sequence[str], others: Sequence[str]
) -> Iterator[tuple[dict[str, str], list[float]]]:
    """Each row with its votes for each class, and the most that one of the others got."""
    missing = [name for name in (*classes, *others) if name not in (rows.fieldnames or ())]
    if missing:
        raise DataError(f"{path}: has no column '{missing[0]}'; expected one for each of {', '.join(classes)}")
    number = 0
    for number, row in enumerate(rows, 1):
        votes = [_number(path, number, name, row[name]) for name in classes]
        yield row, [*votes, max((_number(path, number, name, row[name]) for name in others), default=0.0)]
    if not number:
        raise DataError(f"{path}: holds no votes")


def _number(path: Path, row: int, column: str, text: str | None) -> float:
    try:
        value = float(text or "")
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


def _key(file: str) -> str:
    """`<class>/<file>` of a path."""
    return "/".join(file.replace("\\", "/").split("/")[-2:])

"""What names say about images: their class, and their part.

Images lie as `<class>/<image>`, with or without a folder of their part (`train/`, `val/`, `test/`) above, and
FER-2013's carry their official part in their file name (`Training_`, `PublicTest_`, `PrivateTest_`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from mien.data.dataset import PARTS
from mien.emotions import EMOTIONS
from mien.errors import DataError

OFFICIAL_PARTS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
OFFICIAL = "FER-2013's official parts"

_FOLDER_PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_CLAIMING = 4  # of FER-2013's class names; whoever uses so many means all of them
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters; bytes that are no UTF-8


@dataclass(frozen=True)
class Entry:
    """One image of a source.

    name: in the source. label: its class. part: `""` where the source has none. file: its name without folders.
    """

    name: str
    label: str
    part: str
    file: str


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


def arrange(path: Path, names: Iterable[str]) -> tuple[tuple[Entry, ...], str]:
    """The entries of the images called `names`, sorted, and the name of the division they bring along, if any.

    `path` only serves the error messages. Raises DataError where the names give no classes.
    """
    images = sorted(names)
    if not images:
        raise DataError(f"{path}: holds no images; expected <class>/<image>, train/<class>/<image>, or fer2013.csv")
    places = [_parts(name) for name in images]
    _check_names(path, images, places)
    folders = [_FOLDER_PARTS.get(place[-3].lower(), "") if len(place) > 2 else "" for place in places]
    _check_one_root(path, places, folders)
    _check_spelling(path, places)
    parts, origin = _own_parts(places, folders)
    entries = zip(images, places, parts, strict=True)
    return tuple(Entry(name, place[-2], part, place[-1]) for name, place, part in entries), origin


def class_names(path: Path, entries: Iterable[Entry]) -> tuple[str, ...]:
    """The classes of `entries`, sorted; raises DataError where there is nothing to tell apart."""
    classes = tuple(sorted({entry.label for entry in entries}))
    if len(classes) < 2:
        only = f"only one class, '{classes[0]}'" if classes else "no faces left"
        raise DataError(f"{path}: {only}; naming expressions takes at least two classes")
    return classes


def _parts(name: str) -> list[str]:
    return [part for part in name.split("/") if part not in ("", ".")]


def _check_names(path: Path, images: Sequence[str], places: Sequence[list[str]]) -> None:
    for name, place in zip(images, places, strict=True):
        if _UNWRITABLE.search(name):
            raise DataError(f"{path}: {name!r} holds characters that no file name should; rename it")
        if len(place) < 2:
            raise DataError(f"{path}: {name} lies in no class folder; expected <class>/<image>")


def _check_one_root(path: Path, places: Sequence[list[str]], folders: Sequence[str]) -> None:
    roots = {"/".join(place[: -3 if part else -2]) for place, part in zip(places, folders, strict=True)}
    if len(roots) > 1:
        first, second = sorted(roots)[:2]
        raise DataError(
            f"{path}: class folders on different levels (in '{first or '.'}' and '{second}'); give the folder "
            "that holds the classes, or train/ val/ test/"
        )


def _check_spelling(path: Path, places: Sequence[list[str]]) -> None:
    """Refuse a misspelt class where FER-2013's are meant: it would count as an eighth."""
    labels = {place[-2] for place in places}
    strange = sorted(labels.difference(EMOTIONS))
    means_fer = len(labels) - len(strange) >= _CLAIMING or any(_official_part(place) for place in places)
    for label in strange if means_fer else ():
        if near := get_close_matches(label.lower(), EMOTIONS, n=1):
            raise DataError(f"{path}: class '{label}' is none of FER-2013's; rename the folder to '{near[0]}'")


def _own_parts(places: Sequence[list[str]], folders: Sequence[str]) -> tuple[list[str], str]:
    """The part of each image, and the name of the division, if the source brings one along."""
    official = [_official_part(place) for place in places]
    if all(official):
        return official, OFFICIAL
    if set(folders) == set(PARTS):
        return list(folders), "the source's own train, val and test folders"
    return [""] * len(places), ""


def _official_part(place: Sequence[str]) -> str:
    return OFFICIAL_PARTS.get(place[-1].split("_")[0], "")

"""What names say about images: their class, and their part.

Images lie as `<class>/<image>`, with or without a folder of their part (`train/`, `val/`, `test/`) above, and
FER-2013's carry their official part in their file name (`Training_`, `PublicTest_`, `PrivateTest_`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mien.data.classes import name_classes, renaming
from mien.data.dataset import PARTS
from mien.emotions import EMOTIONS
from mien.errors import DataError

OFFICIAL_PARTS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
OFFICIAL = "FER-2013's official parts"

_FOLDER_PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
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


@dataclass(frozen=True)
class Layout:
    """The images of a source, sorted by name; who divided them, and what was renamed, `""` if nothing."""

    entries: tuple[Entry, ...]
    origin: str
    remark: str


def arrange(path: Path, names: Iterable[str], classes: Mapping[str, str]) -> Layout:
    """The layout of the images called `names`; `classes` renames class folders, or leaves them out ("").

    `path` only serves the error messages. Raises DataError where the names give no classes.
    """
    images = sorted(names)
    if not images:
        raise DataError(f"{path}: holds no images; expected <class>/<image>, train/<class>/<image>, or fer2013.csv")
    steps = [[step for step in name.split("/") if step not in ("", ".")] for name in images]
    _check_names(path, images, steps)
    folders = [_FOLDER_PARTS.get(each[-3].lower(), "") if len(each) > 2 else "" for each in steps]
    _check_one_root(path, steps, folders)
    prefixes = [OFFICIAL_PARTS.get(each[-1].split("_")[0], "") for each in steps]
    renamed = name_classes(path, {each[-2] for each in steps}, classes, official=all(prefixes))
    labels = [renamed[each[-2]] for each in steps]
    parts, origin = folders, _named_parts(folders)
    if set(labels) - {""} <= set(EMOTIONS) and _are_official(prefixes, folders):
        parts, origin = prefixes, OFFICIAL
    listed = zip(images, labels, parts, steps, strict=True)
    entries = tuple(Entry(name, label, part, each[-1]) for name, label, part, each in listed if label)
    return Layout(entries, origin, renaming(renamed))


def class_names(path: Path, entries: Iterable[Entry]) -> tuple[str, ...]:
    """The classes of `entries`, sorted; raises DataError where there is nothing to tell apart."""
    classes = tuple(sorted({entry.label for entry in entries}))
    if len(classes) < 2:
        only = f"only one class, '{classes[0]}'" if classes else "no faces left"
        raise DataError(f"{path}: {only}; give faces of at least two classes, in a folder each or by label")
    return classes


def _check_names(path: Path, images: Sequence[str], steps: Sequence[list[str]]) -> None:
    for name, each in zip(images, steps, strict=True):
        if _UNWRITABLE.search(name):
            raise DataError(f"{path}: {name!r} holds characters that no file name should; rename it")
        if len(each) < 2:
            raise DataError(f"{path}: {name} lies in no class folder; expected <class>/<image>")
    if all(each[-2].lower() in _FOLDER_PARTS for each in steps):
        raise DataError(
            f"{path}: '{steps[0][-2]}' is a part, not a class, and {images[0]} lies right in it; expected "
            "<class>/<image>, or train/<class>/<image>"
        )


def _check_one_root(path: Path, steps: Sequence[list[str]], folders: Sequence[str]) -> None:
    roots = {"/".join(each[: -3 if part else -2]) for each, part in zip(steps, folders, strict=True)}
    if len(roots) > 1 or len({bool(part) for part in folders}) > 1:
        examples = {("/".join(each[:-2]), bool(part)) for each, part in zip(steps, folders, strict=True)}
        first, second = [root or "." for root, _ in sorted(examples)][:2]
        raise DataError(
            f"{path}: class folders on different levels (in '{first}' and '{second}'); give the folder that holds the "
            "classes, or train/ val/ test/"
        )


def _named_parts(folders: Sequence[str]) -> str:
    """Names the division into the source's own folders; "" where it has none."""
    own = [part for part in PARTS if part in folders]
    if not own:
        return ""
    *rest, last = own
    return f"the source's own {', '.join(rest)}{' and ' if rest else ''}{last} folder{'s' if rest else ''}"


def is_fer2013(paths: Sequence[str]) -> bool:
    """Whether faces at `<class>/<file>` carry FER-2013's own file names."""
    return bool(paths) and all(path.rpartition("/")[2].partition("_")[0] in OFFICIAL_PARTS for path in paths)


def _are_official(prefixes: Sequence[str], folders: Sequence[str]) -> bool:
    """Whether FER-2013's prefixes tell the parts: every file has one, and none lies in a folder that gainsays it.

    Kaggle's `test/` holds PublicTest and PrivateTest. Elsewhere somebody divided the faces anew.
    """
    allowed = {(part, folder) for part in PARTS for folder in ("", part)}
    if "val" not in folders:
        allowed.add(("val", "test"))
    return all(prefixes) and set(zip(prefixes, folders, strict=True)) <= allowed

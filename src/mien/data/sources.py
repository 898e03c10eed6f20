"""Where faces come from: an archive or a folder of `<class>/<image>`, with or without parts.

open_source(path) -> Source      what is there: one Entry an image, nothing decoded yet
load(source)      -> Dataset     decoded by the one Preprocess path
open_data(path)   -> Split       what `--data` means: a prepared folder or any source
"""

from __future__ import annotations

import csv
import multiprocessing
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from mien.data.copies import copy_groups, shared_with
from mien.data.dataset import PARTS, Dataset, Split
from mien.data.split import split_indices
from mien.errors import DataError, UsageError
from mien.preprocess import Preprocess

MANIFEST = "manifest.csv"
FRACTIONS = (0.70, 0.15, 0.15)

_IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".pgm", ".ppm"}
_FOLDER_PARTS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_FER_PARTS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
_MANY = 2000  # images from which decoding in several processes pays for starting them

Reader = Callable[[str], bytes]


@dataclass(frozen=True)
class Entry:
    """One image of a source: its name there, its class, and its part (`""` where the source has none)."""

    name: str
    label: str
    part: str


@dataclass(frozen=True)
class Source:
    """An archive or folder whose images are listed but not read.

    `origin` names the division that the source brings along, `""` if none.
    """

    path: Path
    entries: tuple[Entry, ...]
    classes: tuple[str, ...]
    origin: str


def open_source(path: Path) -> Source:
    """List the images of a zip archive or a folder; raises UsageError or DataError naming the remedy."""
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder; give the archive, or a folder of <class>/<image>")
    if path.is_dir():
        return _from_manifest(path) if (path / MANIFEST).is_file() else _from_names(path, _folder_names(path))
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path}: not a zip archive (damaged or cut short?); download it again or give a folder")
    with zipfile.ZipFile(path) as archive:
        return _from_names(path, [info.filename for info in archive.infolist() if not info.is_dir()])


@contextmanager
def reader(source: Source) -> Iterator[Reader]:
    """A function from an entry's name to the image's bytes, open for the length of the `with` block."""
    if source.path.is_dir():
        yield lambda name: (source.path / name).read_bytes()
        return
    with zipfile.ZipFile(source.path) as archive:

        def read(name: str) -> bytes:
            try:
                return archive.read(name)
            except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
                raise DataError(f"{source.path}: {name}: {error}; download the archive again") from None

        yield read


def load(source: Source, preprocess: Preprocess | None = None) -> Dataset:
    """Decode every image of `source`, in its order.

    Uses all cores for large sources. Raises DataError naming the first image that cannot be read.
    """
    preprocess = preprocess or Preprocess()
    names = [entry.name for entry in source.entries]
    place = {name: i for i, name in enumerate(source.classes)}
    return Dataset(
        images=_decode_all(source, names, preprocess),
        labels=np.array([place[entry.label] for entry in source.entries], np.int64),
        classes=source.classes,
        paths=tuple(f"{entry.label}/{PurePosixPath(entry.name).name}" for entry in source.entries),
    )


def open_data(path: str | Path, seed: int = 0, preprocess: Preprocess | None = None) -> Split:
    """What `--data` means.

    A prepared folder keeps its parts; so does an unprepared FER-2013 source (Training -> train,
    PublicTest -> val, PrivateTest -> test) and a folder that holds all of train/, val/ and test/. Anything
    else is split 70/15/15, copies kept together.
    """
    source = open_source(Path(path))
    data = load(source, preprocess)
    if not source.origin:
        parts = split_indices(data.labels, copy_groups(data.images), FRACTIONS, seed)
        return Split(*(data.subset(indices) for indices in parts), origin=f"split 70/15/15, seed {seed}")
    where = np.array([entry.part for entry in source.entries])
    train, val, test = (data.subset(np.flatnonzero(where == part)) for part in PARTS)
    leaked = shared_with(np.concatenate([val.images, test.images]), train.images).sum()
    note = f"; {leaked:,} val and test faces are also in train" if leaked else ""
    return Split(train, val, test, origin=source.origin + note)


def _folder_names(folder: Path) -> list[str]:
    names: list[str] = []
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        base = Path(where).relative_to(folder).as_posix()
        names += [f"{base}/{file}" for file in sorted(files)]
    return names


def _from_names(path: Path, names: Sequence[str]) -> Source:
    images = sorted(name for name in names if _is_image(name))
    if not images:
        raise DataError(f"{path}: holds no images; expected <class>/<image> or train/<class>/<image>")
    places = [PurePosixPath(name).parts for name in images]
    if any(len(place) < 2 for place in places):
        raise DataError(f"{path}: {images[0]} lies in no class folder; expected <class>/<image>")
    folders = [_FOLDER_PARTS.get(place[-3].lower(), "") if len(place) > 2 else "" for place in places]
    _check_one_root(path, places, folders)
    parts, origin = _own_parts(places, folders)
    entries = tuple(Entry(name, place[-2], part) for name, place, part in zip(images, places, parts, strict=True))
    return Source(path, entries, _classes(path, entries), origin)


def _is_image(name: str) -> bool:
    place = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in place.parts)
    return not hidden and place.suffix.lower() in _IMAGE_SUFFIXES


def _check_one_root(path: Path, places: Sequence[tuple[str, ...]], folders: Sequence[str]) -> None:
    roots = {"/".join(place[: -3 if part else -2]) for place, part in zip(places, folders, strict=True)}
    if len(roots) > 1:
        first, second = sorted(roots)[:2]
        raise DataError(
            f"{path}: class folders on different levels (in '{first or '.'}' and '{second}'); give the folder "
            "that holds the classes, or train/ val/ test/"
        )


def _own_parts(places: Sequence[tuple[str, ...]], folders: Sequence[str]) -> tuple[list[str], str]:
    """The part of each image, and the name of the division, if the source brings one along."""
    official = [_FER_PARTS.get(place[-1].split("_")[0], "") for place in places]
    if all(official):
        return official, "FER-2013's official parts"
    if set(folders) == set(PARTS):
        return list(folders), "the source's own train, val and test folders"
    return [""] * len(places), ""


def _from_manifest(folder: Path) -> Source:
    with open(folder / MANIFEST, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"path", "label", "split"} <= rows[0].keys():
        raise DataError(f"{folder / MANIFEST}: not a manifest (columns path, label, split); prepare the data again")
    entries = tuple(Entry(row["path"], row["label"], row["split"]) for row in rows)
    strange = {entry.part for entry in entries} - set(PARTS)
    if strange:
        raise DataError(f"{folder / MANIFEST}: unknown split '{sorted(strange)[0]}'; prepare the data again")
    missing = [entry.name for entry in entries if not (folder / entry.name).is_file()]
    if missing:
        raise DataError(f"{folder}: {len(missing):,} prepared images are gone, {missing[0]} first; prepare again")
    return Source(folder, entries, _classes(folder, entries), f"prepared folder {folder}")


def _classes(path: Path, entries: Sequence[Entry]) -> tuple[str, ...]:
    classes = tuple(sorted({entry.label for entry in entries}))
    if len(classes) < 2:
        raise DataError(f"{path}: only one class, '{classes[0]}'; naming expressions takes at least two")
    return classes


def _decode_all(source: Source, names: Sequence[str], preprocess: Preprocess) -> np.ndarray:
    workers = min(os.cpu_count() or 1, 8) if len(names) >= _MANY else 1
    if workers == 1 or "fork" not in multiprocessing.get_all_start_methods():
        return _decode(source, names, preprocess)
    chunks = [names[i::workers] for i in range(workers)]
    images = np.empty((len(names), preprocess.size, preprocess.size), np.uint8)
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
        jobs = [pool.submit(_decode, source, chunk, preprocess) for chunk in chunks]
        for i, job in enumerate(jobs):
            images[i::workers] = job.result()
    return images


def _decode(source: Source, names: Sequence[str], preprocess: Preprocess) -> np.ndarray:
    images = np.empty((len(names), preprocess.size, preprocess.size), np.uint8)
    with reader(source) as read:
        for i, name in enumerate(names):
            images[i] = preprocess.decode(read(name), f"{source.path}: {name}")
    return images

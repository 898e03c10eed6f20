"""Where faces come from: a folder or an archive of images, a table of pixels, or Kaggle.

open_source(path) -> Source      what is there: one Entry an image, no image decoded yet
load(source)      -> Dataset     decoded by the one Preprocess path
open_data(path)   -> Split       what `--data` means: a prepared folder or any source
"""

from __future__ import annotations

import multiprocessing
import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien.data.classes import name_classes, renaming
from mien.data.containers import Container, Folder, Store, os_errors
from mien.data.copies import copy_groups, shared_with
from mien.data.dataset import PARTS, Dataset, Split, numbered
from mien.data.fer2013_csv import Table, find_table, read_table
from mien.data.kaggle import download, is_kaggle
from mien.data.layout import OFFICIAL, Entry, arrange, class_names
from mien.data.manifest import MANIFEST, read_manifest
from mien.data.split import split_indices
from mien.data.tars import Tar, is_tar
from mien.data.zips import Zip
from mien.errors import DataError, UsageError
from mien.percent import percent
from mien.pictures import is_picture, is_visible
from mien.preprocess import Preprocess

FRACTIONS = (0.70, 0.15, 0.15)

_MANY = 2000  # images from which decoding in several processes pays for starting them
_NAMED = 3  # unusable images or rows that an error message names
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar", ".zst")
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # one slash is what a Path leaves of two
_FOREIGN = {b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"7z\xbc\xaf": "7-Zip", b"Rar!": "RAR", b"(\xb5/\xfd": "Zstandard"}


@dataclass(frozen=True)
class Source:
    """Faces that are listed but not decoded.

    origin: names the division that the source brings along, `""` if none. remark: what was renamed or left out, in
    words, `""` if nothing. problems: what of it cannot be used, one `<name>: <reason>` each. own_folders: whether it
    is divided into folders train/, val/, test/ by somebody, who may have left one out.
    """

    path: Path
    store: Store
    entries: tuple[Entry, ...]
    classes: tuple[str, ...]
    origin: str
    problems: tuple[str, ...] = ()
    remark: str = ""
    own_folders: bool = False


def open_source(path: str | Path, classes: Mapping[str, str] | None = None) -> Source:
    """List the faces of a folder, a zip or tar archive, a table, or `kaggle:<owner>/<name>`.

    A table lies by itself, or in a folder or archive without images. Its unusable rows are in `problems`, as are
    folders that cannot be read. `classes` renames classes, `{"1": "surprise", ...}`, or leaves them out,
    `{"contempt": ""}`; class folders that are all synonyms of our seven are renamed to these unasked.
    Raises UsageError or DataError naming the remedy.

    >>> import tempfile
    >>> from mien.data.drawn import write_drawn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_drawn(Path(folder) / "faces", count=70)
    ...     source = open_source(f"{folder}/faces", classes={"disgust": ""})
    >>> len(source.classes), source.remark
    (6, 'left out: disgust')
    """
    if path == "":
        raise UsageError("an empty path; give an archive, table, or folder of <class>/<image>")
    if _ADDRESS.match(str(path)):
        raise UsageError(f"{path}: an address, and only kaggle:<owner>/<name> is downloaded; save it and give its path")
    path = download(Path(path).as_posix()) if is_kaggle(str(path)) else Path(path)
    with os_errors(path):
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder; give an archive, table, or folder of <class>/<image>")
        return _listed(path, classes or {})


def load(source: Source, preprocess: Preprocess | None = None) -> Dataset:
    """Decode every image of `source`, in its order.

    Uses all cores for large sources. Raises DataError, naming the first ones, if any cannot be read.
    """
    data, readable = load_readable(source, preprocess)
    if readable.problems:
        raise _unusable(source, readable.problems)
    return data


def load_readable(source: Source, preprocess: Preprocess | None = None) -> tuple[Dataset, Source]:
    """Decode what can be read of `source`; also the source without what cannot, which its `problems` then name."""
    with os_errors(source.path):
        images, failures = _decode_all(source, preprocess or Preprocess())
    problems = (*source.problems, *(failures[i] for i in sorted(failures)))
    good = [i for i in range(len(source.entries)) if i not in failures]
    entries = tuple(source.entries[i] for i in good)
    if problems and len({entry.label for entry in entries}) < 2:
        raise _unusable(source, problems)
    readable = replace(source, entries=entries, classes=class_names(source.path, entries), problems=problems)
    return _dataset(readable, images[good] if failures else images), readable


def open_data(
    path: str | Path,
    seed: int = 0,
    preprocess: Preprocess | None = None,
    classes: Mapping[str, str] | None = None,
) -> Split:
    """What `--data` means.

    A prepared folder keeps its parts, and so does an unprepared FER-2013 source (Training -> train, PublicTest ->
    val, PrivateTest -> test). A source with folders train/, val/ and test/, or some of these, keeps them too; a
    missing val is drawn from train, a missing test stays missing. Anything else is split 70/15/15. What is drawn is
    drawn from `seed`, copies kept together. `classes` as for `open_source`.

    >>> import tempfile
    >>> from mien.data.drawn import write_drawn
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = write_drawn(Path(folder) / "faces", count=70)
    ...     split = open_data(Path(folder) / "faces")
    >>> split.origin, split.train.images.shape, split.classes[:3]
    ('split 70/15/15, seed 0', (49, 48, 48), ('angry', 'disgust', 'fear'))
    """
    source = open_source(path, classes)
    data = load(source, preprocess)
    parts, origin = divide(source, data, seed)
    train, val, test = (data.subset(np.flatnonzero(parts == part)) for part in PARTS)
    leaked = int(shared_with(np.concatenate([val.images, test.images]), train.images).sum()) if source.origin else 0
    notes = [f"{leaked:,} val and test faces are also in train"] if leaked else []
    drawn = source.own_folders and len(val) > 0 and all(entry.part != "val" for entry in source.entries)
    return Split(train, val, test, "; ".join([origin, *notes, *filter(None, [source.remark])]), drawn)


def divide(source: Source, data: Dataset, seed: int) -> tuple[NDArray[np.str_], str]:
    """The part of each face [N], as the source is divided, and who made the division, in words.

    A val that a source with folders of its own lacks is drawn from its train, copies kept together.
    """
    if not source.origin:
        return draw_parts(data, copy_groups(data.images), FRACTIONS, seed), f"split 70/15/15, seed {seed}"
    parts = np.array([entry.part for entry in source.entries])
    train = np.flatnonzero(parts == "train")
    if "val" in parts or not len(train) or not source.own_folders:
        return parts, source.origin
    val = FRACTIONS[1]
    faces = data.subset(train)
    parts[train] = draw_parts(faces, copy_groups(faces.images), (1 - val, val, 0), seed)
    return parts, f"{source.origin}; val is {percent(val)} of train, seed {seed}"


def draw_parts(data: Dataset, groups: NDArray[np.int64], fractions: Sequence[float], seed: int) -> NDArray[np.str_]:
    """A part for each face [N], by `fractions` of train, val and test; faces of one group share theirs."""
    parts = np.empty(len(data), f"U{max(map(len, PARTS))}")
    for part, indices in zip(PARTS, split_indices(data.labels, groups, fractions, seed), strict=True):
        parts[indices] = part
    return parts


def _listed(path: Path, classes: Mapping[str, str]) -> Source:
    if (path / MANIFEST).is_file():
        return _prepared(path, classes)
    if path.suffix.lower() == ".csv" and path.is_file():
        return _tabled(Folder(path.parent), path.name, str(path), classes)
    container = Folder(path) if path.is_dir() else _archive(path)
    names, problems = container.names()
    images = [name for name in names if is_picture(name)]
    if table := None if images else find_table(names):
        return _tabled(container, table, f"{path}/{table}", classes)
    inner = [name for name in names if name.lower().endswith(_ARCHIVES) and is_visible(name)]
    if inner and not images:
        raise DataError(f"{path}: holds no images, but {inner[0]}; unpack that and give what is inside")
    if problems and not images:
        raise DataError(f"{path}: holds no images; {'; '.join(problems[:_NAMED])}")
    found = arrange(path, images, classes)
    known = class_names(path, found.entries)
    own = found.origin not in ("", OFFICIAL)
    return Source(path, container, found.entries, known, found.origin, tuple(problems), found.remark, own)


def _archive(path: Path) -> Container:
    if is_picture(path.name):
        raise DataError(f"{path}: a picture; data are many, in folders <class>/<image> (mien predict takes a picture)")
    with open(path, "rb") as file:
        start = file.read(8)
    for magic, kind in _FOREIGN.items():
        if start.startswith(magic):
            raise DataError(f"{path}: packed by {kind}; unpack it and give the folder, or pack it as .zip or .tar.gz")
    if is_tar(path):
        return Tar(path)
    if path.suffix.lower() not in _ARCHIVES and not start.startswith(b"PK"):
        raise DataError(f"{path}: neither an archive nor a table; give a .zip, .tar.gz or .csv, or a folder")
    return Zip(path)


def _prepared(folder: Path, classes: Mapping[str, str]) -> Source:
    rows = read_manifest(folder)
    missing = [row.path for row in rows if not (folder / row.path).is_file()]
    if missing:
        raise DataError(f"{folder}: {len(missing):,} prepared images are gone, {missing[0]} first; prepare again")
    entries = tuple(Entry(row.path, row.label, row.part, row.path.split("/")[-1]) for row in rows)
    source = Source(folder, Folder(folder), entries, class_names(folder, entries), f"prepared folder {folder}")
    return _renamed(source, classes)


def _tabled(container: Container, name: str, where: str, classes: Mapping[str, str]) -> Source:
    with container.stream(name) as stream:
        found = read_table(stream, where)
    source = Source(Path(where), found.table, found.entries, (), found.origin, found.problems)
    if found.problems and len({entry.label for entry in found.entries}) < 2:
        raise _unusable(source, found.problems)
    return _renamed(replace(source, classes=class_names(source.path, found.entries)), classes)


def _renamed(source: Source, classes: Mapping[str, str]) -> Source:
    """`source`, whose classes have their names already, with those renamed that the user renames."""
    if not classes:
        return source
    own = {name: name for name in source.classes}
    names = name_classes(source.path, own, own | dict(classes), official=False)
    entries = [replace(entry, label=names[entry.label]) for entry in source.entries if names[entry.label]]
    known = class_names(source.path, entries)
    return replace(source, entries=tuple(entries), classes=known, remark=renaming(names))


def _unusable(source: Source, problems: Sequence[str]) -> DataError:
    """All that cannot be used, in one line."""
    where = f"{source.path}{',' if isinstance(source.store, Table) else ':'}"
    named = "; ".join(problems[:_NAMED])
    more = f"; and {len(problems) - _NAMED:,} more" if len(problems) > _NAMED else ""
    return DataError(f"{where} {named}{more}. Correct or remove them, or prepare the data with --skip-bad")


def _dataset(source: Source, images: np.ndarray) -> Dataset:
    """The faces; within what will be one part, no two have one path."""
    index = {name: i for i, name in enumerate(source.classes)}
    folders = [f"{entry.part if source.origin else ''}/" for entry in source.entries]
    listed = zip(folders, source.entries, strict=True)
    names = numbered(f"{folder}{entry.label}/{entry.file}" for folder, entry in listed)
    return Dataset(
        images=images,
        labels=np.array([index[entry.label] for entry in source.entries], np.int64),
        classes=source.classes,
        paths=tuple(name.removeprefix(folder) for folder, name in zip(folders, names, strict=True)),
    )


def _decode_all(source: Source, preprocess: Preprocess) -> tuple[np.ndarray, dict[int, str]]:
    """The gray squares, uint8 [N, S, S], and what is wrong with those that could not be had, by index."""
    names = [entry.name for entry in source.entries]
    store = source.store
    if isinstance(store, Table):
        return np.stack([preprocess.gray(store.picture(name)) for name in names]), {}
    workers = min(os.cpu_count() or 1, 8) if len(names) >= _MANY else 1
    if workers == 1 or "fork" not in multiprocessing.get_all_start_methods():
        return _decode(store, names, preprocess)
    return _decode_in_processes(store, names, preprocess, workers)


def _decode_in_processes(
    store: Store, names: Sequence[str], preprocess: Preprocess, workers: int
) -> tuple[np.ndarray, dict[int, str]]:
    images = np.empty((len(names), preprocess.size, preprocess.size), np.uint8)
    failures: dict[int, str] = {}
    try:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
            jobs = [pool.submit(_decode, store, names[i::workers], preprocess) for i in range(workers)]
            for i, job in enumerate(jobs):
                images[i::workers], failed = job.result()
                failures |= {i + workers * index: problem for index, problem in failed.items()}
    except BrokenProcessPool:
        raise DataError("a process that decoded images was killed (out of memory?); free some and try again") from None
    return images, failures


def _decode(store: Store, names: Sequence[str], preprocess: Preprocess) -> tuple[np.ndarray, dict[int, str]]:
    images = np.zeros((len(names), preprocess.size, preprocess.size), np.uint8)
    failures: dict[int, str] = {}
    with store.reader() as read:
        for i, name in enumerate(names):
            try:
                images[i] = preprocess.decode(read(name), name)
            except DataError as error:
                failures[i] = str(error)
    return images, failures

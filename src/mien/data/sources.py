"""Where faces come from: a folder or zip archive of images, a table of pixels, or Kaggle.

open_source(path) -> Source      what is there: one Entry an image, no image decoded yet
load(source)      -> Dataset     decoded by the one Preprocess path
open_data(path)   -> Split       what `--data` means: a prepared folder or any source
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mien.data.archives import Archive
from mien.data.containers import Container, Folder, Reader, Store
from mien.data.copies import copy_groups, shared_with
from mien.data.dataset import PARTS, Dataset, Split
from mien.data.fer2013_csv import Table, find_table, read_table
from mien.data.kaggle import download, is_kaggle
from mien.data.layout import Entry, arrange, class_names, numbered
from mien.data.manifest import MANIFEST, read_manifest
from mien.data.split import split_indices
from mien.errors import DataError, UsageError
from mien.pictures import is_picture
from mien.preprocess import Preprocess

FRACTIONS = (0.70, 0.15, 0.15)

_MANY = 2000  # images from which decoding in several processes pays for starting them
_NAMED = 3  # unusable images or rows that an error message names


@dataclass(frozen=True)
class Source:
    """Faces that are listed but not decoded.

    origin: names the division that the source brings along, `""` if none. problems: what of it cannot be used,
    one `<name>: <reason>` each.
    """

    path: Path
    store: Store
    entries: tuple[Entry, ...]
    classes: tuple[str, ...]
    origin: str
    problems: tuple[str, ...] = ()


def open_source(path: str | Path) -> Source:
    """List the faces of a folder, a zip archive, a table, or `kaggle:<owner>/<name>`.

    A table lies by itself, or in a folder or archive without images. Its unusable rows are in `problems`.
    Raises UsageError or DataError naming the remedy.
    """
    path = download(Path(path).as_posix()) if is_kaggle(str(path)) else Path(path)
    if not path.exists():
        raise UsageError(f"{path}: no such file or folder; give an archive, a table, or a folder of <class>/<image>")
    try:
        return _listed(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None


def reader(source: Source) -> AbstractContextManager[Reader]:
    """A function from an entry's name to the image's bytes, open for the length of the `with` block."""
    return source.store.reader()


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
    images, failures = _decode_all(source, preprocess or Preprocess())
    problems = (*source.problems, *(failures[i] for i in sorted(failures)))
    kept = [i for i in range(len(source.entries)) if i not in failures]
    entries = tuple(source.entries[i] for i in kept)
    if len({entry.label for entry in entries}) < 2:
        raise _unusable(source, problems)
    readable = replace(source, entries=entries, classes=class_names(source.path, entries), problems=problems)
    return _dataset(readable, images[kept] if failures else images), readable


def open_data(path: str | Path, seed: int = 0, preprocess: Preprocess | None = None) -> Split:
    """What `--data` means.

    A prepared folder keeps its parts; so does an unprepared FER-2013 source (Training -> train,
    PublicTest -> val, PrivateTest -> test) and a folder that holds all of train/, val/ and test/. Anything
    else is split 70/15/15, copies kept together.
    """
    source = open_source(path)
    data = load(source, preprocess)
    if not source.origin:
        parts = split_indices(data.labels, copy_groups(data.images), FRACTIONS, seed)
        return Split(*(data.subset(indices) for indices in parts), origin=f"split 70/15/15, seed {seed}")
    where = np.array([entry.part for entry in source.entries])
    train, val, test = (data.subset(np.flatnonzero(where == part)) for part in PARTS)
    leaked = shared_with(np.concatenate([val.images, test.images]), train.images).sum()
    note = f"; {leaked:,} val and test faces are also in train" if leaked else ""
    return Split(train, val, test, origin=source.origin + note)


def _listed(path: Path) -> Source:
    if (path / MANIFEST).is_file():
        return _prepared(path)
    if path.suffix.lower() == ".csv" and path.is_file():
        return _tabled(Folder(path.parent), path.name, str(path))
    container = Folder(path) if path.is_dir() else Archive(path)
    names = container.names()
    images = [name for name in names if is_picture(name)]
    table = None if images else find_table(names)
    if table:
        return _tabled(container, table, f"{path}/{table}")
    entries, origin = arrange(path, images)
    return Source(path, container, entries, class_names(path, entries), origin)


def _prepared(folder: Path) -> Source:
    rows = read_manifest(folder)
    missing = [row.path for row in rows if not (folder / row.path).is_file()]
    if missing:
        raise DataError(f"{folder}: {len(missing):,} prepared images are gone, {missing[0]} first; prepare again")
    entries = tuple(Entry(row.path, row.label, row.split, row.path.split("/")[-1]) for row in rows)
    return Source(folder, Folder(folder), entries, class_names(folder, entries), f"prepared folder {folder}")


def _tabled(container: Container, name: str, where: str) -> Source:
    with container.stream(name) as stream:
        found = read_table(stream, where)
    source = Source(Path(where), found.table, found.entries, (), found.origin, found.problems)
    if found.problems and len({entry.label for entry in found.entries}) < 2:
        raise _unusable(source, found.problems)
    return replace(source, classes=class_names(source.path, found.entries))


def _unusable(source: Source, problems: Sequence[str]) -> DataError:
    """All that cannot be used, in one line."""
    where = f"{source.path}{',' if isinstance(source.store, Table) else ':'}"
    named = "; ".join(problems[:_NAMED])
    more = f"; and {len(problems) - _NAMED:,} more" if len(problems) > _NAMED else ""
    return DataError(f"{where} {named}{more}. Correct or remove them, or prepare the data with --skip-bad")


def _dataset(source: Source, images: np.ndarray) -> Dataset:
    """The faces; within what will be one part, no two have one path."""
    place = {name: i for i, name in enumerate(source.classes)}
    folders = [f"{entry.part if source.origin else ''}/" for entry in source.entries]
    placed = list(zip(folders, source.entries, strict=True))
    names = numbered(f"{folder}{entry.label}/{entry.file}" for folder, entry in placed)
    return Dataset(
        images=images,
        labels=np.array([place[entry.label] for entry in source.entries], np.int64),
        classes=source.classes,
        paths=tuple(name.removeprefix(folder) for folder, name in zip(folders, names, strict=True)),
    )


def _decode_all(source: Source, preprocess: Preprocess) -> tuple[np.ndarray, dict[int, str]]:
    """The gray squares, uint8 [N, S, S], and what is wrong with those that could not be had, by place."""
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
                failures |= {i + workers * place: problem for place, problem in failed.items()}
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

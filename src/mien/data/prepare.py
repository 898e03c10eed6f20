"""Preparation: divide a source into `train/ val/ test/<class>/` and write down what went where.

plan(source, how)        -> Plan     decided in memory, nothing written
write(plan, source, out)             images byte for byte, then `manifest.csv`, which makes the folder valid
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien import atomic
from mien.data.copies import blank, conflicting, copy_groups, group_sizes
from mien.data.dataset import PARTS, Dataset, numbered
from mien.data.drop import without
from mien.data.manifest import MANIFEST, Row, manifest_text, read_manifest
from mien.data.sources import FRACTIONS, Source, divide, draw_parts, load, load_readable
from mien.data.votes import read_votes
from mien.errors import DataError, UsageError

Wrap = Callable[[Iterable[Row]], Iterable[Row]]

_STAGING = ".prepare-"  # what a folder's name begins with in which the new images wait


@dataclass(frozen=True)
class SplitOptions:
    """How to divide: by `fractions` (train, val, test) and `seed`, or as the source is divided already (`official`).

    allow_leaks: let copies of a face fall into different parts. skip_bad: go on without what cannot be read.
    drop: names, in the source, of images to leave out.
    votes: file of what annotators said of the faces, for the manifest.
    """

    fractions: tuple[float, float, float] = FRACTIONS
    seed: int = 0
    official: bool = False
    allow_leaks: bool = False
    skip_bad: bool = False
    drop: tuple[str, ...] = ()
    votes: Path | None = None


@dataclass(frozen=True)
class Plan:
    """Where every image goes, in the source's order, the class names, and what was left out.

    skipped: what cannot be read, `<name>: <reason>`. dropped: the names that were to be left out. origin: who made the
    division, in words; it says so where the source's own was given up.
    """

    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    skipped: tuple[str, ...]
    dropped: tuple[str, ...]
    origin: str = ""


def plan(source: Source, how: SplitOptions) -> Plan:
    """Decide where every image of `source` goes; raises UsageError or DataError."""
    source = without(source, how.drop)
    data, source = load_readable(source) if how.skip_bad else (load(source), source)
    groups = copy_groups(data.images)
    parts, origin = _parts(source, data, groups, how)
    paths = numbered(f"{part}/{path}" for part, path in zip(parts, data.paths, strict=True))
    flags = _flags(data, groups)
    with source.store.reader() as read:
        digests = [hashlib.sha256(read(entry.name)).hexdigest() for entry in source.entries]
    votes = _votes(data, how.votes)
    rows = tuple(
        Row(path, entry.label, part, entry.name, digest, int(group), flag, shares)
        for part, path, entry, digest, group, flag, shares in zip(
            parts, paths, source.entries, digests, groups, flags, votes, strict=True
        )
    )
    return Plan(rows, source.classes, source.problems, how.drop, origin)


def write(planned: Plan, source: Source, out: Path, *, overwrite: bool = False, wrap: Wrap = iter) -> bool:
    """Write the prepared folder; True if anything had to be written.

    The same plan over an existing folder only puts back what is missing. Another plan, or images that were changed
    since, are refused unless `overwrite`, which replaces the images that the old manifest lists and nothing else,
    once the new ones lie beside them. `wrap` may show progress. Raises UsageError where `out` cannot be used.
    """
    try:
        return _write(planned, source, out, overwrite, wrap)
    except OSError as error:
        raise UsageError(f"{out}: cannot be written ({error.strerror or error}); choose another folder") from None


def _parts(source: Source, data: Dataset, groups: NDArray[np.int64], how: SplitOptions) -> tuple[list[str], str]:
    """The part of each face, and who made the division, in words."""
    if how.official:
        if not source.origin:
            raise UsageError(f"{source.path}: brings no division of its own; leave out --split official")
        parts, origin = divide(source, data, how.seed)
        return parts.tolist(), origin
    if how.allow_leaks:
        groups = np.arange(len(data))
    shares = "/".join(f"{100 * fraction:g}" for fraction in how.fractions)
    origin = f"split {shares}, seed {how.seed}"
    if source.origin:
        origin += f"; this gives up {source.origin}, which --split official keeps"
    return draw_parts(data, groups, how.fractions, how.seed).tolist(), origin


def _flags(data: Dataset, groups: NDArray[np.int64]) -> list[str]:
    marks = {
        "blank": blank(data.images),
        "copy": group_sizes(groups) > 1,
        "conflict": conflicting(groups, data.labels),
    }
    return [";".join(name for name, marked in marks.items() if marked[i]) for i in range(len(data))]


def _votes(data: Dataset, file: Path | None) -> list[tuple[float, ...]]:
    """The shares of votes of each face, () where it has none."""
    if file is None:
        return [()] * len(data)
    votes = read_votes(file, data.classes)
    indices = [votes.find(path) for path in data.paths]
    shares = [tuple(votes.shares[index].tolist()) if index >= 0 else () for index in indices]
    if not any(shares):
        raise DataError(f"{file}: has votes for none of the faces; is it the file for these data?")
    return shares


def _write(planned: Plan, source: Source, out: Path, overwrite: bool, wrap: Wrap) -> bool:
    manifest = manifest_text(planned.rows, planned.classes)
    existing = out / MANIFEST
    if existing.is_file() and existing.read_bytes() == manifest.encode():
        return _complete(planned.rows, source, out, overwrite, wrap)
    if existing.is_file() and not overwrite:
        raise UsageError(f"{out}: already prepared otherwise; add --overwrite to replace it, or choose another folder")
    old = [out / row.path for row in read_manifest(out)] if existing.is_file() else []
    _refuse_foreign(out, old)
    out.mkdir(parents=True, exist_ok=True)
    for leftover in out.glob(f"{_STAGING}*"):  # of a process that was killed: copies, nobody's only ones
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=_STAGING, dir=out) as staging:
        new, retired = Path(staging) / "new", Path(staging) / "retired"
        _copy(planned.rows, source, new, wrap)
        with _swapped(out, new, retired):
            atomic.write_text(existing, manifest)
    return True


@contextmanager
def _swapped(out: Path, new: Path, retired: Path) -> Iterator[None]:
    """The parts in `out` give place to those in `new`, and move to `retired`; all back again if the block raises."""
    retired.mkdir()
    moved: list[tuple[Path, Path]] = []
    try:
        for source, target in [(out, retired), (new, out)]:
            for part in PARTS:
                if (source / part).is_dir():
                    moved.append((source / part, target / part))
                    (source / part).replace(target / part)
        yield
    except BaseException:
        for before, after in reversed(moved):
            if after.exists():
                after.replace(before)
        raise


def _complete(rows: Sequence[Row], source: Source, out: Path, overwrite: bool, wrap: Wrap) -> bool:
    """Copy again what is gone from a prepared folder, and with `overwrite` what was changed there."""
    gone, changed = [], []
    for row in rows:
        if not (out / row.path).is_file():
            gone.append(row)
        elif hashlib.sha256((out / row.path).read_bytes()).hexdigest() != row.sha256:
            changed.append(row)
    if changed and not overwrite:
        raise UsageError(
            f"{out / changed[0].path}: changed since it was prepared, as {len(changed):,} of {len(rows):,} images "
            "were; add --overwrite to write them again"
        )
    return _copy([*gone, *changed], source, out, wrap)


def _copy(rows: Sequence[Row], source: Source, out: Path, wrap: Wrap) -> bool:
    with source.store.reader() as read:
        for row in wrap(rows):
            target = out / row.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(read(row.source))
    return bool(rows)


def _refuse_foreign(out: Path, own: Sequence[Path]) -> None:
    listed = set(own)
    for part in PARTS:
        for path in (out / part).rglob("*"):
            if path not in listed and (path.is_symlink() or not path.is_dir()):
                raise UsageError(f"{path}: a file that Mien did not write; move it away, or choose another folder")

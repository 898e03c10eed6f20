"""Writes that either happen whole or not at all.

A temporary file in the same folder, fsync, rename, fsync of the folder: whoever looks, before or after a
crash, finds the old file or the new one. A killed process may leave its temporary file, never a part of `path`.
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_TEMPORARY = ".tmp"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file with `path`'s suffix, which takes `path`'s place unless the block raises.

    An OSError about the temporary file names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=f"{_TEMPORARY}{path.suffix}", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        _sync(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException as error:
        if isinstance(error, OSError) and _TEMPORARY in str(error.filename):
            error.filename = str(path)
        if temporary:
            temporary.unlink(missing_ok=True)
        raise
    _sync(path.parent)


def write_with(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file with `path`'s suffix, then put it in `path`'s place."""
    with replacing(path) as temporary:
        write(temporary)


def check(path: Path) -> None:
    """Raise OSError, before any work, where `path` or the folders above it could not be written; leaves nothing."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        error.filename = str(path.parent)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` in `path`'s place."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Put `text`, as UTF-8, in `path`'s place; names of files that are not UTF-8 stay as they are."""
    write_bytes(path, text.encode(errors="surrogateescape"))


def remove_leftovers(folder: Path, name: str = "*.*") -> None:
    """Remove what killed processes were writing for files called `name` (a pattern); nobody may be writing them now."""
    target = Path(name)
    for temporary in folder.glob(f".{target.stem}-{'?' * 8}{_TEMPORARY}{target.suffix}"):
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    folder = path.is_dir()
    if folder and os.name == "nt":  # opens no folders, and writes renames down by itself
        return
    handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)  # Windows syncs only what may be written
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

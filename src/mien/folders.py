"""Folders that commands write: locks, free names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from mien.errors import TrainingError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_LOCK_FILE = ".lock"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep other processes from training in `folder`; raises TrainingError where one does.

    The lock lies on the folder itself and ends with the process, however that ends. Where the system cannot lock
    folders (Windows, some network drives) a file `.lock` stands for it, which a killed process leaves behind.
    """
    release = _lock_folder(folder) or _make_lock_file(folder / _LOCK_FILE)
    try:
        yield
    finally:
        release()


def _lock_folder(folder: Path) -> Callable[[], None] | None:
    """Lock the folder itself and return what unlocks it; None where that cannot be done."""
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise TrainingError(f"{folder}: another process is training here; wait for it, or stop it") from None
    except OSError:
        os.close(handle)
        return None
    return lambda: os.close(handle)


def _make_lock_file(path: Path) -> Callable[[], None]:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        raise TrainingError(
            f"{path.parent}: another process is training here; wait for it, or, if it was killed, delete {path}"
        ) from None
    return lambda: path.unlink(missing_ok=True)


def free_folder(base: Path) -> Path:
    """`base`, or the first of `base-2`, `base-3` ... that does not exist or is empty."""
    candidate, number = base, 1
    while candidate.exists() and any(candidate.iterdir()):
        number += 1
        candidate = base.with_name(f"{base.name}-{number}")
    return candidate

"""Folders that commands write: a lock, free names, where a run keeps its model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mien.errors import TrainingError

MODEL_FILE = "model.safetensors"  # of a run folder
_LOCK = ".lock"


@contextmanager
def hold(folder: Path, doing: str = "training") -> Iterator[None]:
    """Keep other processes from `doing` the same in `folder`; raises TrainingError where one does.

    The lock ends with the process, however that ends; its file is gone when the block is left.
    """
    from filelock import FileLock, Timeout

    path = folder / _LOCK
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise TrainingError(f"{folder}: another process is {doing} here; wait for it, or stop it") from None
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be locked ({error}); check that it can be written") from None
    try:
        yield
    finally:
        with suppress(OSError):  # Windows: an open file, which releasing it deletes
            path.unlink()
        lock.release()


def free_folder(base: Path) -> Path:
    """`base`, or the first of `base-2`, `base-3` ... that does not exist or is empty."""
    candidate, number = base, 1
    while candidate.exists() and any(candidate.iterdir()):
        number += 1
        candidate = base.with_name(f"{base.name}-{number}")
    return candidate

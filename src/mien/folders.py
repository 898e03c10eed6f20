"""Folders that commands write and read: a lock, free names, files that must be there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mien.errors import DataError, TrainingError, UsageError

_LOCK = ".lock"


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep other processes from training in `folder`; raises TrainingError where one does.

    The lock ends with the process, however that ends; its file is gone when the training is.
    """
    from filelock import FileLock, Timeout

    path = folder / _LOCK
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise TrainingError(f"{folder}: another process is training here; wait for it, or stop it") from None
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


def left_in(folder: Path, name: str, command: str) -> Path:
    """The file `name` in `folder`; raises UsageError where it is not, with the command that leaves it there."""
    path = folder / name
    if not path.is_file():
        raise UsageError(f"{folder}: holds no {name}; make one with: {command}")
    return path


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """The fields of a JSON object; raises DataError where there are none."""
    with readable(path, remedy):
        value = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(value, dict) or not value:
            raise TypeError("not a JSON object with fields")
        return value


@contextmanager
def readable(path: Path, remedy: str) -> Iterator[None]:
    """Turn what a damaged or foreign file causes into one DataError that names it."""
    try:
        yield
    except KeyError as error:
        raise DataError(f"{path}: lacks {error}; {remedy}") from None
    except (TypeError, ValueError, AttributeError, IndexError, ArithmeticError, OSError) as error:
        raise DataError(f"{path}: cannot be read ({error}); {remedy}") from None

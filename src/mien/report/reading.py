"""Reading what the commands left in folders; what is damaged or foreign gets one line that names it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mien.errors import DataError, UsageError


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

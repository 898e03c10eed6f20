"""What may be given to be predicted on: paths, folders, encoded bytes, pictures, arrays, and lists of these."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import IO, Any

import numpy as np
from PIL import Image

from mien.errors import DataError, UsageError
from mien.pictures import Picture, is_picture, read_picture, take_picture

Source = str | Path | bytes | bytearray | memoryview | IO[bytes] | Image.Image | np.ndarray

CAMERA = "camera:"
_VIDEOS = {
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm",
    ".wmv",
}  # fmt: skip
_KINDS = "a path, bytes, an open file, a PIL image, an array uint8 [H, W] or [H, W, 3], or a list of these"


@dataclass(frozen=True)
class Item:
    """One picture: its name, and what reads it, raising DataError if it cannot be read."""

    name: str
    read: Callable[[], Picture]


def items(sources: Source | Iterable[Source]) -> Iterator[Item]:
    """The pictures meant, one after the other; raises UsageError for what is no source."""
    return _items(sources, (f"image {number}" for number in count(1)))


def files_of(path: str | Path, wanted: Callable[[str], bool] = is_picture) -> list[Path]:
    """A file as it is; of a folder the files with a name that is wanted, in folders within too, sorted.

    Raises DataError for a folder that holds none, or that cannot be read.
    """
    path = Path(path)
    if not path.is_dir():
        return [path]
    files = sorted(file for file in _inside(path) if wanted(file.relative_to(path).as_posix()))
    if not files:
        raise DataError(f"{path}: holds no pictures")
    return files


def is_video(source: str) -> bool:
    """Whether `source` names a camera (`camera:0`) or, by its suffix, a video."""
    return source.startswith(CAMERA) or Path(source).suffix.lower() in _VIDEOS


def take_array(array: np.ndarray, name: str) -> Picture:
    """The picture in an array; raises UsageError unless it is uint8 [H, W] (gray) or [H, W, 3] (RGB), and not empty."""
    shape = array.shape
    if array.dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)) or not array.size:
        raise UsageError(f"{name}: an array {array.dtype} {list(shape)}; expected uint8 [H, W], or [H, W, 3] for RGB")
    return take_picture(Image.fromarray(np.ascontiguousarray(array)), name)


def _items(sources: Any, names: Iterator[str]) -> Iterator[Item]:
    """Items of anything; pictures without a path are called by `names`."""
    if isinstance(sources, str | Path):
        yield from _files(sources)
    elif isinstance(sources, bytes | bytearray | memoryview):
        name = next(names)
        yield Item(name, partial(read_picture, io.BytesIO(sources), name))
    elif hasattr(sources, "read"):
        yield from _items(_all_of(sources), names)
    elif isinstance(sources, Image.Image):
        name = next(names)
        yield Item(name, partial(take_picture, sources, name))
    elif isinstance(sources, np.ndarray):
        name = next(names)
        yield Item(name, partial(take_array, sources, name))
    elif hasattr(sources, "__array__"):
        raise UsageError(f"cannot predict on {type(sources).__name__}; give numpy's array, uint8 [H, W] or [H, W, 3]")
    elif isinstance(sources, Iterable):
        for position, source in enumerate(sources):
            if source is None:
                raise UsageError(f"cannot predict on None, number {position} of a list; give {_KINDS}")
            yield from _items(source, names)
    else:
        raise UsageError(f"cannot predict on {type(sources).__name__}; give {_KINDS}")


def _all_of(file: IO[bytes]) -> bytes:
    """What an open file holds; raises UsageError where it was opened as text."""
    data = file.read()
    if not isinstance(data, bytes):
        raise UsageError('an open file gives text; open it as "rb"')
    return data


def _files(path: str | Path) -> Iterator[Item]:
    if path == "":
        raise UsageError(f"an empty path; give {_KINDS}")
    try:
        files = files_of(path)
    except DataError as error:
        yield Item(str(path), partial(_fail, error))
        return
    except (OSError, ValueError) as error:  # a name too long, no permission, a zero byte
        reason = error.strerror if isinstance(error, OSError) else error
        yield Item(str(path), partial(_fail, DataError(f"{path}: cannot be read ({reason})")))
        return
    for file in files:
        yield Item(str(file), partial(read_file, file))


def read_file(path: Path) -> Picture:
    """The picture in a file; raises DataError if it cannot be read."""
    try:
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        with open(path, "rb") as file:
            return read_picture(file, str(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def _inside(folder: Path) -> Iterator[Path]:
    """All files below a folder; links to folders are not followed."""
    for where, _, names in os.walk(folder, onerror=_unreadable):
        yield from (Path(where, name) for name in names)


def _unreadable(error: OSError) -> None:
    raise DataError(f"{error.filename}: cannot be read ({error.strerror}); correct its permissions")


def _fail(error: DataError) -> Picture:
    raise error

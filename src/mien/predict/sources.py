"""What may be given to be predicted on: paths, folders, encoded bytes, pictures, arrays, and lists of these."""

from __future__ import annotations

import base64
import binascii
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import IO, Any
from urllib.parse import unquote_to_bytes, urlsplit

import numpy as np
from PIL import Image

from mien.errors import DataError, UsageError
from mien.pictures import Picture, is_picture, read_picture, take_picture

CAMERA = "camera:"
_VIDEOS = {
    ".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm",
    ".wmv",
}  # fmt: skip
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_USER = re.compile(r"://([^/?#]*|[^/?#:]*:(?!\d+[/?#]).*)@")  # a slash in a password, wrong as it is, hides nothing
_SECRET = re.compile(r"(\w*(?:pass|pwd|token|secret|key|auth)\w*)=[^&;?/#]*", re.IGNORECASE)
_STREAMS = ("rtsp", "rtsps", "rtmp", "udp", "tcp", "srt")
_DATA = "data:"
_KINDS = "a path, bytes, an open file, a PIL image, an array uint8 [H, W] or [H, W, 3], or a list of these"


@dataclass(frozen=True)
class Item:
    """One picture: its name, and what reads it, raising DataError if it cannot be read."""

    name: str
    read: Callable[[], Picture]


Source = str | Path | bytes | bytearray | memoryview | IO[bytes] | Image.Image | np.ndarray | Item


def items(sources: Source | Iterable[Source]) -> Iterator[Item]:
    """The pictures meant, one after the other; raises UsageError for what is no source."""
    return _items(sources, (f"image {number}" for number in count(1)))


def files_of(path: str | Path, wanted: Callable[[str], bool] = is_picture) -> list[Path]:
    """A file as it is; of a folder the files with a name that is wanted, in folders within too, sorted.

    A folder within that cannot be read stands for itself. Raises DataError for a folder that holds none, or that cannot
    be read itself.
    """
    path = Path(path)
    if not path.is_dir():
        return [path]
    unreadable: list[OSError] = []
    inside = (Path(where, name) for where, _, names in os.walk(path, onerror=unreadable.append) for name in names)
    files = [file for file in inside if wanted(file.relative_to(path).as_posix())]  # links to folders are not followed
    folders = [Path(error.filename) for error in unreadable]
    if path in folders:
        raise DataError(_unreadable(unreadable[0]))
    files = sorted([*files, *folders])
    if not files:
        raise DataError(f"{path}: holds no pictures")
    return files


def is_video(source: str) -> bool:
    """Whether `source` names a camera (`camera:0`) or, by its suffix, a video on this machine."""
    return source.startswith(CAMERA) or (not refusal(source) and Path(source).suffix.lower() in _VIDEOS)


def local_path(source: str) -> str:
    """A path as it is, and that of a file:// address on this machine.

    >>> local_path("file:///tmp/a%20face.jpg")
    '/tmp/a face.jpg'
    """
    if not source.lower().startswith("file://"):
        return source
    from urllib.request import url2pathname  # brings a client for HTTP along

    address = urlsplit(source)
    return url2pathname(address.path) if address.netloc in ("", "localhost") else source


def shown(source: str) -> str:
    """What a source is called in answers, errors and names of files: an address without user, password and the like.

    >>> shown("camera:rtsp://me:secret@door.example/live?channel=1&pwd=secret")
    'camera:rtsp://door.example/live?channel=1&pwd=...'
    """
    if not _ADDRESS.match(source.removeprefix(CAMERA)):
        return source
    return _SECRET.sub(r"\1=...", _USER.sub("://", source))


def is_data_uri(source: str) -> bool:
    """Whether `source` holds a picture itself (`data:image/png;base64,...`)."""
    return source[: len(_DATA)].lower() == _DATA


def refusal(source: str) -> str:
    """What a source is that is neither opened nor a path, and what to do about it; "" for all others."""
    if not source:
        return "an empty path; give that of a photo, video or folder"
    if source == "-":
        return "-: standard input is not read; save the picture, and give its path"
    if source.isdecimal() and not Path(source).exists():
        return f"{source}: no such file; a camera is called camera:{source}"
    if not (address := _ADDRESS.match(source)):
        return ""
    if address[1].lower() in _STREAMS:
        return f"{shown(source)}: a stream; name it as a camera, {CAMERA}{shown(source)}"
    if address[1].lower() == "file":
        return f"{shown(source)}: lies on another machine; copy it to this one, and give its path"
    return f"{shown(source)}: an address, and nothing is downloaded; save the file, and give its path"


def take_array(array: np.ndarray, name: str) -> Picture:
    """The picture in an array; raises UsageError unless it is uint8 [H, W] (gray) or [H, W, 3] (RGB), and not empty."""
    shape = array.shape
    if array.dtype != np.uint8 or not (len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)) or not array.size:
        raise UsageError(f"{name}: an array {array.dtype} {list(shape)}; expected uint8 [H, W], or [H, W, 3] for RGB")
    return take_picture(Image.fromarray(np.ascontiguousarray(array)), name)


def _items(sources: Any, names: Iterator[str]) -> Iterator[Item]:
    """Items of anything; pictures without a path are called by `names`."""
    if isinstance(sources, str) and is_data_uri(sources):
        name = next(names)
        yield Item(name, partial(_read_data_uri, sources, name))
    elif isinstance(sources, str | Path):
        yield from _files(sources)
    elif isinstance(sources, Item):
        yield sources
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
    if isinstance(path, str):
        path = local_path(path)
        camera = f"{shown(path)}: a camera; follow it with Predictor.video, or `mien predict`"
        if line := camera if path.startswith(CAMERA) else refusal(path):
            yield Item(shown(path), partial(_fail, DataError(line)))
            return
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
        if path.is_dir():
            os.scandir(path).close()  # says why a folder that stands for itself cannot be read
        if not path.is_file():
            raise DataError(f"{path}: no such file")
        if is_video(str(path)):
            raise DataError(f"{path}: a video; follow its faces with Predictor.video, or `mien predict`")
        with open(path, "rb") as file:
            return read_picture(file, str(path))
    except OSError as error:
        raise DataError(_unreadable(error)) from None


def _unreadable(error: OSError) -> str:
    return f"{error.filename}: cannot be read ({error.strerror}); correct its permissions"


def _read_data_uri(source: str, name: str) -> Picture:
    head, comma, data = source.partition(",")
    if not comma:
        raise DataError(f"{name}: a data URI without data; write data:image/png;base64,...")
    encoded = unquote_to_bytes(data)
    try:
        content = base64.b64decode(encoded, validate=True) if head.lower().endswith(";base64") else encoded
    except binascii.Error:
        raise DataError(f"{name}: a data URI whose base64 is damaged; encode the picture again") from None
    return read_picture(io.BytesIO(content), name)


def _fail(error: DataError) -> Picture:
    raise error

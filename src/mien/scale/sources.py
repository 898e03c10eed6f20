"""Where many pictures lie, and what reads one of them: a folder, a text file of paths, photos and videos themselves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mien.errors import DataError
from mien.pictures import is_picture
from mien.predict.sources import Item, files_of, is_video, local_path, read_file, refusal

_MOST_LIST_BYTES = 4 << 30


class Entry(NamedTuple):
    """A picture or video, by the name under which it is answered."""

    name: str

    @property
    def film(self) -> bool:
        """Whether it is a video, with a row for each frame."""
        return is_video(self.name)


def entries_of(source: str) -> list[Entry]:
    """All pictures and videos of a source, each once, in an order that is always the same. Raises DataError."""
    path = Path(local_path(source))
    if line := refusal(source):
        raise DataError(line)
    if not path.exists():
        raise DataError(f"{source}: no such file or folder")
    wanted: Callable[[str], bool] = lambda name: is_picture(name) or is_video(name)  # noqa: E731
    if path.is_dir() or wanted(path.name):
        return [Entry(str(file)) for file in files_of(path, wanted)]
    return [Entry(name) for name in _listed(path)]


def item(entry: Entry) -> Item:
    """A picture as `Predictor` reads it."""
    return Item(entry.name, partial(read_file, Path(local_path(entry.name))))


def _listed(path: Path) -> dict[str, None]:
    """The lines of a text file, each once; raises DataError where it is none."""
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    names = dict.fromkeys(line for line in lines if line.strip())
    if not names or any("\0" in name for name in names):
        raise DataError(f"{path}: no list of paths; give a folder, an archive, or a text file with a path a line")
    return names

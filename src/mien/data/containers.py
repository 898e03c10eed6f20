"""Where encoded images lie: a folder here, archives in `zips` and `tars`, the rows of a table in `fer2013_csv`.

Sources come from strangers, so nothing is read before its kind and its size are known.
"""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import NamedTuple, Protocol

from mien.errors import DataError
from mien.pictures import is_picture

MOST_FILES = 250_000
MANY_FILES = 4_000_000  # where they are read one by one
MOST_IMAGE_BYTES = 64 << 20

_MOST_OTHER_BYTES = 1 << 30  # fer2013.csv has 300 MB
_LEADS_OUT = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)")
_SYSTEM = ("lost+found", "System Volume Information", "$RECYCLE.BIN")  # what disks hold beside the user's files

Reader = Callable[[str], bytes]


class Member(NamedTuple):
    """Where an archive holds a file: its first byte, in a zip that of its header, and how many bytes it has.

    packed, crc: of a zip, the bytes that these are packed into, None where they are not, and their CRC-32.
    """

    name: str
    start: int
    size: int
    packed: int | None = None
    crc: int | None = None


class Store(Protocol):
    """Encoded images by name."""

    def reader(self) -> AbstractContextManager[Reader]:
        """A function from a name to the image's bytes, open for the length of the `with` block.

        It raises DataError, `<name>: <reason>`, where they cannot be had.
        """
        ...


class Container(Store, Protocol):
    """A store that holds files of any kind."""

    def names(self) -> tuple[list[str], list[str]]:
        """Every file's name, its folders joined by `/`; and `<name>: <reason>` for folders that cannot be read.

        Raises DataError where the whole cannot be trusted.
        """
        ...

    def stream(self, name: str) -> AbstractContextManager[BufferedReader]:
        """One file's bytes, to read in pieces."""
        ...


def leads_out(name: str) -> bool:
    """Whether a relative name could denote something outside its folder, on any system."""
    return bool(_LEADS_OUT.search(name))


def unacceptable(name: str, size: int) -> str:
    """Why an archive's member of this name and size, in bytes, is not to be read; `""` if it may be."""
    if not name:
        return "is a name of no letters; pack the archive anew"
    if leads_out(name):
        return "leads out of the archive; such an archive is not to be trusted"
    if size > (MOST_IMAGE_BYTES if is_picture(name) else _MOST_OTHER_BYTES):
        return f"would unpack to {size >> 20:,} MB; no data set of faces needs that"
    return ""


def check_unique(path: Path, names: list[str]) -> None:
    """Raise DataError where two members of an archive have one name."""
    if len(set(names)) < len(names):
        twice = next(name for name, number in Counter(names).items() if number > 1)
        raise DataError(f"{path}: {twice!r} occurs twice; pack the archive anew")


@contextmanager
def os_errors(path: Path | str) -> Iterator[None]:
    """Turn what the system says of `path`, or of something below it, into one DataError that names it."""
    try:
        yield
    except OSError as error:
        where = error.filename if isinstance(error.filename, str) else path
        raise DataError(f"{str(where)[:300]}: cannot be read ({error.strerror or error})") from None


@dataclass(frozen=True)
class Folder:
    """The files below a folder; links to files are followed, links to folders are not."""

    path: Path

    def names(self) -> tuple[list[str], list[str]]:
        """See Container; raises DataError for a link to a folder elsewhere.

        A link to a folder inside `path` shows what is listed anyway, or runs in a circle: it is left aside.
        """
        names: list[str] = []
        problems: list[str] = []

        def unreadable(error: OSError) -> None:
            name = Path(error.filename).relative_to(self.path).as_posix()
            if name == ".":
                raise error
            problems.append(f"{name}: a folder that cannot be read ({error.strerror or error})")

        for where, folders, files in os.walk(self.path, onerror=unreadable):
            folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in _SYSTEM)
            for folder in (Path(where, name) for name in folders):
                if folder.is_symlink() and not folder.resolve().is_relative_to(self.path.resolve()):
                    raise DataError(
                        f"{folder}: a link to a folder elsewhere; put the folder itself there, or give that folder"
                    )
            base = Path(where).relative_to(self.path).as_posix()
            names += [f"{base}/{file}" if base != "." else file for file in sorted(files)]
        return names, problems

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """See Store."""
        yield self._read

    def stream(self, name: str) -> AbstractContextManager[BufferedReader]:
        """See Container."""
        return open(self.path / name, "rb")

    def _read(self, name: str) -> bytes:
        path = self.path / name
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode):
                raise DataError(f"{name}: not a file of bytes")
            if found.st_size > MOST_IMAGE_BYTES:
                raise DataError(f"{name}: {found.st_size >> 20:,} MB, more than an image has")
            return path.read_bytes()
        except OSError as error:
            raise DataError(f"{name}: {error.strerror or error}") from None

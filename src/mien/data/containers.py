"""Where encoded images lie: a folder here, an archive in `archives`, the rows of a table in `tables`.

Sources come from strangers, so nothing is read before its kind and its size are known.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NoReturn, Protocol

from mien.errors import DataError

MOST_FILES = 250_000
MOST_IMAGE_BYTES = 64 << 20

_LEADS_OUT = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)")

Reader = Callable[[str], bytes]


class Store(Protocol):
    """Encoded images by name."""

    def reader(self) -> AbstractContextManager[Reader]:
        """A function from a name to the image's bytes, open for the length of the `with` block.

        It raises DataError, `<name>: <reason>`, where they cannot be had.
        """
        ...


class Container(Store, Protocol):
    """A store that holds files of any kind."""

    def names(self) -> list[str]:
        """Every file's name, its folders joined by `/`; raises DataError where the whole cannot be trusted."""
        ...

    def stream(self, name: str) -> AbstractContextManager[BinaryIO]:
        """One file's bytes, to read in pieces."""
        ...


def leads_out(name: str) -> bool:
    """Whether a relative name could denote something outside its folder, on any system."""
    return bool(_LEADS_OUT.search(name))


@dataclass(frozen=True)
class Folder:
    """The files below a folder; links to files are followed, links to folders are not."""

    path: Path

    def names(self) -> list[str]:
        """Every file's name; raises DataError for an unreadable folder, or a link to a folder elsewhere.

        A link to a folder inside `path` shows what is listed anyway, or runs in a circle: it is left aside.
        """
        names: list[str] = []
        for where, folders, files in os.walk(self.path, onerror=_unreadable):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in folders:
                self._check_link(Path(where, name))
            base = Path(where).relative_to(self.path).as_posix()
            names += [f"{base}/{file}" if base != "." else file for file in sorted(files)]
        return names

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """See Store."""
        yield self._read

    def stream(self, name: str) -> AbstractContextManager[BinaryIO]:
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

    def _check_link(self, folder: Path) -> None:
        if folder.is_symlink() and not folder.resolve().is_relative_to(self.path.resolve()):
            raise DataError(f"{folder}: a link to a folder elsewhere; put the folder itself there, or give that folder")


def _unreadable(error: OSError) -> NoReturn:
    raise DataError(f"{error.filename}: cannot be read ({error.strerror}); correct its permissions")

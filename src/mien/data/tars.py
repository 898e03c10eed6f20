"""Tar archives, plain or packed by gzip, judged by their headers before anything in them is read.

The same is refused as in zip archives. The headers are walked here, as tarfile reads into memory what a header
declares as the length of a name; it only parses single blocks.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mien.data.containers import MANY_FILES, MOST_FILES, Member, Reader, check_unique, unacceptable
from mien.errors import DataError

_BLOCK = 512
_MOST_NAME_BYTES = 64 << 10  # of a long name, or of the attributes that hold one
_MOST_BYTES = 32 << 30
_MANY_BYTES = 1 << 50
_MOST_PACKED_BYTES = 4 << 30  # of what gzip unpacks to: it lies in a temporary file while it is read
_MOST_TIMES = 20  # what gzip unpacks to beside the packed file, where all of it is read past; pictures shrink by little
_DAMAGE = (tarfile.HeaderError, zlib.error, EOFError, OSError, ValueError, OverflowError)
_DEVICES = (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE)


@dataclass(frozen=True)
class Tar:
    """The files in a tar archive; many: read one by one, it may hold more of them."""

    path: Path
    many: bool = False

    def names(self) -> tuple[list[str], list[str]]:
        """See Container."""
        return [member.name for member in self.members()], []

    def members(self) -> list[Member]:
        """Every file, for `read_member`; raises DataError as `names` does."""
        with unpacked(self.path) as plain:
            members = list(self._members(plain))
        check_unique(self.path, [member.name for member in members])
        return members

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """See Store."""
        with self._opened() as (file, members):

            def read(name: str) -> bytes:
                try:
                    return _read(file, members[name].start, members[name].size)
                except (KeyError, OSError) as error:
                    raise DataError(f"{name}: damaged in the archive ({error})") from None

            yield read

    @contextmanager
    def stream(self, name: str) -> Iterator[io.BufferedReader]:
        """See Container."""
        with self._opened() as (file, members):
            yield io.BufferedReader(_Slice(file, members[name]), 1 << 20)

    @contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], dict[str, Member]]]:
        """The archive and its files; without gzip, which only goes forwards, while they are read in any order."""
        with unpacked(self.path) as plain:
            members = {member.name: member for member in self._members(plain)}
            if not isinstance(plain, gzip.GzipFile):
                yield plain, members
                return
            with tempfile.TemporaryFile() as temporary:
                plain.seek(0)
                left = max((member.start + member.size for member in members.values()), default=0)
                while left > 0 and (data := plain.read(min(left, 1 << 20))):
                    temporary.write(data)
                    left -= len(data)
                yield temporary, members

    def _members(self, file: IO[bytes]) -> Iterator[Member]:
        """The files, in the archive's order; raises DataError for anything that cannot be trusted."""
        packed = isinstance(file, gzip.GzipFile)
        if self.many:
            most = max(_MOST_BYTES, _MOST_TIMES * self.path.stat().st_size) if packed else _MANY_BYTES
        else:
            most = _MOST_PACKED_BYTES if packed else _MOST_BYTES
        most_files = MANY_FILES if self.many else MOST_FILES
        at, number, long_name = 0, 0, ""
        try:
            while any(block := _read(file, at, _BLOCK)):
                header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
                start, at, number = at + _BLOCK, at + _BLOCK + _data_bytes(header), number + 1
                if at > most or number > 2 * most_files:  # a long name has a header of its own
                    raise DataError(
                        f"{self.path}: holds too many files, or would unpack to more than {most >> 30} GB; pack the "
                        "faces alone, or unpack it and give the folder"
                    )
                if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
                    if header.size > _MOST_NAME_BYTES:
                        raise DataError(f"{self.path}: a name of {header.size:,} bytes; pack the archive anew")
                    long_name = _long_name(header.type, _read(file, start, header.size)) or long_name
                elif not header.isdir() and header.type != tarfile.XGLTYPE:
                    name, long_name = long_name or header.name, ""
                    if fault := _fault(header, name):
                        raise DataError(f"{self.path}: {name[:200]!r} {fault}")
                    yield Member(name, start, header.size)
                else:
                    long_name = ""
            if not block:
                raise EOFError("cut short")
        except _DAMAGE as error:
            raise DataError(
                f"{self.path}: not a tar archive, or a damaged one ({error}); download it again, or unpack it and give "
                "what is inside"
            ) from None


class _Slice(io.RawIOBase):
    """One member's bytes."""

    def __init__(self, file: IO[bytes], member: Member) -> None:
        self._file, self._left = file, member.size
        file.seek(member.start)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        data = self._file.read(min(len(buffer), self._left))
        self._left -= len(data)
        buffer[: len(data)] = data
        return len(data)


def unpacked(path: Path) -> IO[bytes]:
    """The tar archive in a file, to read; where gzip packs it, unpacked on the way: to go back begins at its start."""
    return gzip.open(path) if is_gzip(path) else open(path, "rb")  # type: ignore[return-value]


def read_member(file: IO[bytes], member: Member) -> bytes:
    """A file's bytes out of an open archive, as `unpacked` gives it; raises DataError."""
    try:
        data = _read(file, member.start, member.size)
        if len(data) < member.size:
            raise EOFError("cut short")
    except _DAMAGE as error:
        raise DataError(f"{member.name}: damaged in the archive ({error})") from None
    return data


def is_gzip(path: Path) -> bool:
    """Whether a file is packed by gzip."""
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def is_tar(path: Path) -> bool:
    """Whether a file is a tar archive by its first header or its name, or something packed by gzip."""
    with open(path, "rb") as file:
        start = file.read(_BLOCK)
    return start[257:262] == b"ustar" or path.suffix.lower() == ".tar" or is_gzip(path)


def _read(file: IO[bytes], at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)


def _data_bytes(header: tarfile.TarInfo) -> int:
    """How many bytes follow a header, in whole blocks; none after a folder, a link or a device."""
    if header.size < 0:
        raise ValueError("a size below 0")
    none = header.isdir() or header.type in (tarfile.LNKTYPE, tarfile.SYMTYPE, *_DEVICES)
    return 0 if none else -(-header.size // _BLOCK) * _BLOCK


def _long_name(kind: bytes, data: bytes) -> str:
    """The next member's name: all of `data`, or its attribute `path`, of lines `<length> <attribute>=<value>`."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return data.rstrip(b"\0").decode("utf-8", "surrogateescape")
    found = re.search(rb"(?:^|\n)\d+ path=([^\n]*)\n", data)
    return found[1].decode("utf-8", "surrogateescape") if found else ""


def _fault(header: tarfile.TarInfo, name: str) -> str:
    """What makes a member unacceptable, with the remedy; `""` if nothing."""
    if header.islnk() or header.issym() or header.type == tarfile.GNUTYPE_LONGLINK:
        return "is a link; pack the file that it leads to"
    if header.type not in (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE):
        return "is not a plain file; pack pictures alone"
    return unacceptable(name, header.size)

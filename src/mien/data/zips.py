"""Zip archives, judged by their table of contents before anything in them is read.

Refused whole: what would write outside a folder (`../`, absolute names, links), names that occur twice,
encrypted or strangely compressed members, and sizes or numbers of files that no data set of faces has.
"""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mien.data.containers import MANY_FILES, MOST_FILES, Member, Reader, check_unique, unacceptable
from mien.errors import DataError

_MOST_BYTES = 32 << 30
_RECORD_BYTES = 134  # of the table of contents, a file
_RECORD = b"PK\1\2"  # starts every record of the table of contents
_FILE, _HEAD_BYTES = b"PK\3\4", 30  # starts every file, and what comes before its name
_ENCRYPTED = 0x2041  # flag bits: encryption, strong encryption, masked headers
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGE = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError, OverflowError)


@dataclass(frozen=True)
class Zip:
    """The members of a zip archive; many: read one by one, it may hold more of them."""

    path: Path
    many: bool = False

    def names(self) -> tuple[list[str], list[str]]:
        """See Container."""
        return [member.name for member in self.members()], []

    def members(self) -> list[Member]:
        """Every file, for `read_member`; raises DataError as `names` does."""
        with _Guarded(io.FileIO(self.path)) as file:
            file.most = MANY_FILES if self.many else MOST_FILES
            try:
                members = zipfile.ZipFile(file).infolist()
            except _DAMAGE:
                raise DataError(
                    f"{self.path}: not a zip archive (damaged or cut short?); download it again or give a folder"
                ) from None
        for member in members:
            if fault := _fault(member):
                raise DataError(f"{self.path}: {member.filename[:200]!r} {fault}")
        total = sum(member.file_size for member in members)
        if total > _MOST_BYTES and not self.many:
            raise DataError(f"{self.path}: would unpack to {total >> 30:,} GB; Mien reads up to {_MOST_BYTES >> 30}")
        check_unique(self.path, [member.filename for member in members])
        return [
            Member(
                member.filename,
                member.header_offset,
                member.file_size,
                member.compress_size if member.compress_type else None,
                member.CRC,
            )
            for member in members
            if not member.is_dir()
        ]

    @contextmanager
    def reader(self) -> Iterator[Reader]:
        """See Store."""
        with self._opened() as archive:

            def read(name: str) -> bytes:
                try:
                    size = archive.getinfo(name).file_size
                    with archive.open(name) as member:
                        return member.read(size)  # no more than declared, whatever the compressed bytes hold
                except _DAMAGE as error:
                    raise DataError(f"{name}: damaged in the archive ({error})") from None

            yield read

    @contextmanager
    def stream(self, name: str) -> Iterator[io.BufferedReader]:
        """See Container."""
        try:
            with self._opened() as archive, archive.open(name) as member:
                yield io.BufferedReader(member, 1 << 20)  # type: ignore[type-var]
        except _DAMAGE as error:
            raise DataError(f"{self.path}: {name}: damaged ({error}); download the archive again") from None

    def _opened(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except _DAMAGE as error:
            raise DataError(f"{self.path}: cannot be read any more ({error}); download it again") from None


class _Guarded(io.BufferedReader):
    """An archive's file while its table of contents is read: too many records are refused before zipfile parses them.

    zipfile reads the table in one go and trusts the size that the end of the file declares.
    """

    most = MOST_FILES

    def read(self, size: int | None = -1, /) -> bytes:
        if size and size > _RECORD_BYTES * self.most:
            raise _too_many(self)
        data = super().read(size)
        if data.count(_RECORD) > self.most:
            raise _too_many(self)
        return data


def read_member(file: IO[bytes], member: Member) -> bytes:
    """A file's bytes out of an open archive, whose table of contents is not read again; raises DataError."""
    try:
        file.seek(member.start)
        head = file.read(_HEAD_BYTES)
        name, extra = struct.unpack("<HH", head[26:])
        file.seek(name + extra, io.SEEK_CUR)
        data = file.read(member.size if member.packed is None else member.packed)
        if member.packed is not None:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, member.size or 1)
        if not head.startswith(_FILE) or len(data) != member.size or zlib.crc32(data) != member.crc:
            raise ValueError("other bytes than its table of contents says")
    except _DAMAGE as error:
        raise DataError(f"{member.name}: damaged in the archive ({error})") from None
    return data


def _too_many(file: _Guarded) -> DataError:
    return DataError(f"{file.name}: holds too many files (Mien reads up to {file.most:,}); pack the faces alone")


def _fault(member: zipfile.ZipInfo) -> str:
    """What makes a member unacceptable, with the remedy; `""` if nothing."""
    if fault := unacceptable(member.filename, member.file_size):
        return fault
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link; pack the file that it leads to"
    if member.flag_bits & _ENCRYPTED:
        return "is encrypted; unpack the archive with its password and give the folder"
    if member.compress_type not in _COMPRESSIONS:
        return f"is compressed by method {member.compress_type}; pack the archive with the usual one (deflate)"
    return ""

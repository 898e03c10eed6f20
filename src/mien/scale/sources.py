"""Where many pictures lie, and what reads one of them: folders, archives, text files of paths, object storage.

What is found is listed here once; the processes and machines that read it open no table of contents again.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import IO, NamedTuple

from pyarrow import fs

from mien.data import tars, zips
from mien.data.containers import MOST_IMAGE_BYTES, Member, os_errors
from mien.errors import DataError
from mien.pictures import Picture, is_picture, read_picture
from mien.predict.sources import Item, files_of, is_video, local_path, read_file, refusal

_STORAGE = re.compile(r"(s3|gs)://([^/?]+)/?([^?]*)(\?.*)?", re.DOTALL)  # scheme, bucket, key, options


class Entry(NamedTuple):
    """A picture or video, by the name under which it is answered; member: where an archive holds it."""

    name: str
    member: Member | None = None

    @property
    def film(self) -> bool:
        """Whether it is a video that can be played, with a row for each frame."""
        return not self.member and is_video(self.name)


def entries_of(source: str) -> list[Entry]:
    """All pictures and videos of a source, each once, in an order that is always the same.

    Raises DataError for a source that cannot be read or holds none.
    """
    if storage := _STORAGE.fullmatch(source):
        return _some(source, [Entry(name) for name in _stored(source, *storage.groups(""))])
    if line := refusal(source):
        raise DataError(line)
    path = Path(local_path(source))
    with os_errors(path):
        if path.is_dir() or _wanted(path.name):
            return [Entry(str(file)) for file in files_of(path, _wanted)]
        if zipfile.is_zipfile(path) or tars.is_tar(path):
            return _some(source, _packed(path, source))
        return _some(source, [Entry(name) for name in _listed(path)])


def item(entry: Entry, source: str) -> Item:
    """A picture of a source as `Predictor` reads it."""
    return Item(entry.name, partial(_read, entry, source))


def _some(source: str, entries: list[Entry]) -> list[Entry]:
    if not entries:
        raise DataError(f"{source}: holds no pictures")
    return entries


def _wanted(name: str) -> bool:
    return is_picture(name) or is_video(name)


def _packed(path: Path, source: str) -> list[Entry]:
    """The pictures in an archive, in the order in which they lie there."""
    archive = tars.Tar(path, many=True) if tars.is_tar(path) else zips.Zip(path, many=True)
    return [Entry(f"{source}/{member.name}", member) for member in archive.members() if _wanted(member.name)]


def _listed(path: Path) -> dict[str, None]:
    """The lines of a text file, each once; raises DataError where it is none."""
    lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").split(
        "\n"
    )  # not splitlines, as names may hold \f
    names = dict.fromkeys(line for line in lines if line.strip())
    if any("\0" in name for name in names):
        raise DataError(
            f"{path}: no list of paths; give a folder, a .zip, .tar or .tar.gz, or a text file with a path a line"
        )
    return names


def _stored(source: str, scheme: str, bucket: str, key: str, options: str) -> list[str]:
    """The names of the pictures in object storage, below a key or under it."""
    with _storage_errors(source):
        storage, place = _storage(scheme, bucket, options), f"{bucket}/{key}".rstrip("/")
        if storage.get_file_info(place).type == fs.FileType.File:
            return [f"{scheme}://{place}"]
        found = storage.get_file_info(fs.FileSelector(place, recursive=True))
        names = [info.path for info in found if info.is_file and _wanted(info.path[len(place) :])]
        return [f"{scheme}://{name}" for name in sorted(names)]


def _read(entry: Entry, source: str) -> Picture:
    if entry.member:
        return _read_member(entry.name, entry.member, Path(local_path(source)))
    if _STORAGE.fullmatch(entry.name):
        return _read_stored(entry.name, source)
    if line := refusal(entry.name):
        raise DataError(line)
    return read_file(Path(local_path(entry.name)))


def _read_member(name: str, member: Member, archive: Path) -> Picture:
    if is_video(member.name):
        raise DataError(f"{name}: a video in an archive; unpack it, and give its path")
    with os_errors(archive):
        if tars.is_gzip(archive):
            data = tars.read_member(_forwards(archive), member)
        else:
            reader = tars.read_member if tars.is_tar(archive) else zips.read_member
            with archive.open("rb") as file:
                data = reader(file, member)
    return read_picture(io.BytesIO(data), name)


@lru_cache(1)
def _forwards(archive: Path) -> IO[bytes]:
    """A tar archive packed by gzip, which stays open: each process goes through it once, from picture to picture."""
    return tars.unpacked(archive)


def _read_stored(name: str, source: str) -> Picture:
    """A picture in object storage; the options of its source, such as another endpoint, hold for it too."""
    scheme, _, place = name.partition("://")
    options = source[source.index("?") :] if _STORAGE.fullmatch(source) and "?" in source else ""
    with _storage_errors(name), _storage(scheme, place.partition("/")[0], options).open_input_file(place) as file:
        if file.size() > MOST_IMAGE_BYTES:
            raise DataError(f"{name}: {file.size() >> 20:,} MB, more than an image has")
        data = file.read()
    return read_picture(io.BytesIO(data), name)


@contextmanager
def _storage_errors(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = " ".join(str(error).split())[:300]
        raise DataError(
            f"{name}: cannot be read ({reason}); see whether its name and your credentials are right"
        ) from None


@lru_cache(16)
def _storage(scheme: str, bucket: str, options: str) -> fs.FileSystem:
    return fs.FileSystem.from_uri(f"{scheme}://{bucket}{options}")[0]

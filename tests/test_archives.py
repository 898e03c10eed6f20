"""Zip archives from strangers: refused by their table of contents, nothing written, little memory."""

import io
import stat
import struct
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mien.cli.app import main
from mien.data.sources import load, load_readable, open_source
from mien.errors import DataError, MienError

MB = 1 << 20


def png(seed: int = 0) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 48), np.uint8)).save(file, "PNG")
    return file.getvalue()


def pack(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


GOOD = {f"train/{label}/{i}.png": png(i) for i, label in enumerate(["happy", "sad", "happy", "sad"])}


def patched(path: Path, old: bytes, new: bytes) -> None:
    """Replace bytes of the same number everywhere in a file."""
    assert len(old) == len(new)
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))


@contextmanager
def at_most(megabytes: float) -> Iterator[None]:
    """Fails if Python's memory grows by more within the block."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1] / MB
    finally:
        tracemalloc.stop()
    assert peak < megabytes, f"{peak:.0f} MB"


def outside(path: Path) -> None:
    pack(path, {**GOOD, "train/happy/../../../../etc/passwd.png": png()})


def outside_for_windows(path: Path) -> None:
    pack(path, {**GOOD, "train\\happy\\..\\..\\x.png": png()})


def absolute(path: Path) -> None:
    pack(path, {**GOOD, "/etc/happy/x.png": png()})


def drive(path: Path) -> None:
    pack(path, {**GOOD, "C:/happy/x.png": png()})


def link(path: Path) -> None:
    with zipfile.ZipFile(pack(path, GOOD), "a") as archive:
        info = zipfile.ZipInfo("train/happy/x.png")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")


def twice(path: Path) -> None:
    pack(path, {**GOOD, "train/happy/9.png": png()})
    patched(path, b"train/happy/9.png", b"train/happy/0.png")


def huge_image(path: Path) -> None:
    """Declared as 10 GB, in the table of contents as ZIP64 does."""
    data = pack(path, {"train/happy/x.png": png(), **GOOD}).read_bytes()
    start = data.index(b"PK\1\2")
    record, tail = data[start : start + 46], data[start + 46 :]
    name, rest = tail[:17], tail[17:]
    extra = struct.pack("<HHQ", 1, 8, 10 << 30)
    record = record[:24] + b"\xff" * 4 + record[28:30] + struct.pack("<H", len(extra)) + record[32:]
    end = rest.index(b"PK\5\6")
    size = struct.unpack("<I", rest[end + 12 : end + 16])[0] + len(extra)
    rest = rest[: end + 12] + struct.pack("<I", size) + rest[end + 16 :]
    path.write_bytes(data[:start] + record + name + extra + rest)


def large_image(path: Path) -> None:
    pack(path, {**GOOD, "train/happy/x.png": bytes(65 * MB)})


def huge_other(path: Path) -> None:
    """Nothing that would be read, yet nothing that a data set holds."""
    huge_image(path)
    patched(path, b"train/happy/x.png", b"train/happy/x.bin")


def encrypted(path: Path) -> None:
    data = bytearray(pack(path, GOOD).read_bytes())
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)


def compressed_strangely(path: Path) -> None:
    data = bytearray(pack(path, GOOD).read_bytes())
    start = data.index(b"PK\1\2") + 10
    data[start : start + 2] = struct.pack("<H", 99)
    path.write_bytes(data)


def bzip2(path: Path) -> None:
    pack(path, GOOD, zipfile.ZIP_BZIP2)


def cut_short(path: Path) -> None:
    path.write_bytes(pack(path, GOOD).read_bytes()[:-40])


def html(path: Path) -> None:
    path.write_text("<html>Please log in</html>")


def million(path: Path, declared: int = 1_000_000, number: int = 1_000_000) -> None:
    """A table of contents of `number` records that declares `declared`."""
    name = b"a/1.png"
    record = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, len(name), 0, 0, 0, 0, 0, 0)
    size = number * (len(record) + len(name))
    with open(path, "wb") as file:
        for _ in range(number // 10_000):
            file.write((record + name) * 10_000)
        count = min(declared, 0xFFFF)
        if declared > 0xFFFF:
            file.write(struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, declared, declared, size, 0))
            file.write(struct.pack("<4sLQL", b"PK\6\7", 0, size, 1))
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, 0, 0))


def million_hidden(path: Path) -> None:
    million(path, declared=4)


def too_many(path: Path) -> None:
    million(path, declared=4, number=260_000)


HOSTILE = [
    (outside, "leads out of the archive"),
    (outside_for_windows, "leads out of the archive"),
    (absolute, "leads out of the archive"),
    (drive, "leads out of the archive"),
    (link, "is a link"),
    (twice, "'train/happy/0.png' occurs twice"),
    (huge_image, "would unpack to 10,240 MB"),
    (huge_other, "would unpack to 10,240 MB"),
    (large_image, "would unpack to 65 MB"),
    (encrypted, "is encrypted"),
    (compressed_strangely, "is compressed by method 99"),
    (bzip2, "is compressed by method 12"),
    (cut_short, "not a zip or tar archive"),
    (html, "not a zip or tar archive"),
    (million, "holds too many files"),
    (million_hidden, "holds too many files"),
    (too_many, "holds too many files"),
]


@pytest.mark.parametrize(("make", "message"), HOSTILE, ids=[make.__name__ for make, _ in HOSTILE])
def test_hostile_archives_are_refused(
    tmp_path: Path, make: Callable[[Path], None], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.zip"
    make(path)
    before = path.stat()
    with at_most(40):
        assert main(["prepare", "--input-dir", str(path), "--output-dir", str(tmp_path / "out")]) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == [path]
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_all_members_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pack(tmp_path / "a.zip", GOOD)
    monkeypatch.setattr("mien.data.zips._MOST_BYTES", 5000)
    with pytest.raises(DataError, match="would unpack to"):
        open_source(path)


def test_a_member_gives_no_more_than_it_declares(tmp_path: Path) -> None:
    """200 MB of zeros that call themselves 1,000 bytes."""
    path = pack(tmp_path / "a.zip", {**GOOD, "train/happy/x.png": bytes(200 * MB)})
    patched(path, struct.pack("<I", 200 * MB), struct.pack("<I", 1000))
    with at_most(4), pytest.raises(DataError, match=r"train/happy/x\.png: damaged in the archive"):
        load(open_source(path))


def test_a_damaged_member_is_an_unreadable_image(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", GOOD, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[100] ^= 255
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.zip: train/happy/0\.png: damaged in the archive"):
        load(open_source(path))
    faces, readable = load_readable(open_source(path))
    assert len(faces) == len(readable.entries) == 3
    assert [problem.split(":")[0] for problem in readable.problems] == ["train/happy/0.png"]


def test_names_stay_on_one_line(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {**GOOD, "train/happy/\x1b[2J\nx.png": png()})
    with pytest.raises(DataError, match=r"a\.zip: 'train/happy/\\x1b\[2J\\nx\.png' holds characters") as error:
        open_source(path)
    assert str(error.value).isprintable()


def test_an_archive_with_comment_folders_and_leading_bytes_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"faces"
        archive.mkdir("train")
        for name, data in GOOD.items():
            archive.writestr(f"./{name}", data)
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    assert len(load(open_source(path))) == 4


def mutate(path: Path, changes: list[tuple[int, int]], end: int) -> bytes:
    """Bytes of a sound archive replaced, counted from the end, where its table of contents lies; and cut short."""
    changed = bytearray(pack(path, GOOD).read_bytes())
    for place, value in changes:
        changed[-1 - place % len(changed)] = value
    return bytes(changed[: len(changed) - end])


@given(
    changes=st.lists(st.tuples(st.integers(0, 600), st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, 0x2F, 0x2E])), max_size=6),
    end=st.sampled_from([0, 0, 0, 1, 22, 100]),
)
@settings(max_examples=400, deadline=None)
def test_whatever_is_done_to_an_archive_only_our_errors_come(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], end: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "mutated.zip"
    path.write_bytes(mutate(path, changes, end))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            assert len(load(open_source(path))) <= 4
        except MienError as error:
            assert len(str(error).splitlines()) == 1

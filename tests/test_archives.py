"""Zip and tar archives from strangers: refused before they are unpacked, nothing written, little memory."""

import gzip
import io
import stat
import struct
import tarfile
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
    (cut_short, "not a zip archive"),
    (html, "not a zip archive"),
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


def tar(path: Path, members: dict[str, bytes] | list[tarfile.TarInfo], form: int = tarfile.GNU_FORMAT) -> Path:
    """A tar archive of files, or of headers alone; packed by gzip where the name says so."""
    mode = "w:gz" if path.suffix in (".gz", ".tgz") else "w"
    with tarfile.open(path, mode, format=form) as archive:
        for name, data in members.items() if isinstance(members, dict) else ():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in members if isinstance(members, list) else ():
            archive.addfile(info)
    return path


LONG = {**GOOD, f"train/happy/{'x' * 150}.png": png(7)}


@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz", "a.tgz", "downloaded"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tar_and_zip_of_the_same_faces_are_the_same_data(tmp_path: Path, name: str, form: int) -> None:
    members = GOOD if form == tarfile.USTAR_FORMAT else LONG
    one = load(open_source(pack(tmp_path / "a.zip", members)))
    shuffled = dict(reversed(members.items()))
    other = load(open_source(tar(tmp_path / name, {f"./{file}": data for file, data in shuffled.items()}, form)))
    assert (one.paths, one.digest()) == (other.paths, other.digest())


def test_a_table_in_a_tar_is_read_and_an_archive_in_an_archive_is_named(tmp_path: Path) -> None:
    table = b"emotion,pixels\n" + b"".join(b"%d,%s\n" % (i % 7, b" ".join([b"%d" % i] * 2304)) for i in range(14))
    faces = load(open_source(tar(tmp_path / "fer2013.tar.gz", {"fer2013/fer2013.csv": table, "fer2013/README": b"x"})))
    assert len(faces) == 14
    inner = tar(tmp_path / "in.tar.gz", GOOD).read_bytes()
    for outer in (pack(tmp_path / "out.zip", {"in.tar.gz": inner}), tar(tmp_path / "out.tar", {"in.tar.gz": inner})):
        with pytest.raises(DataError, match=r"holds no images, but in\.tar\.gz; unpack that and give what is inside"):
            open_source(outer)


@pytest.mark.parametrize(
    ("start", "kind"), [(b"BZh9", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"7z\xbc\xaf\x27\x1c", "7-Zip"), (b"Rar!", "RAR")]
)
def test_other_packers_are_named(tmp_path: Path, start: bytes, kind: str) -> None:
    (tmp_path / "a.tar.xz").write_bytes(start + bytes(100))
    with pytest.raises(DataError, match=f"packed by {kind}; unpack it and give the folder"):
        open_source(tmp_path / "a.tar.xz")


def info(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.size, made.linkname = kind, size, link
    return made


def headers(*members: tarfile.TarInfo) -> bytes:
    return b"".join(member.tobuf(tarfile.GNU_FORMAT) for member in members)


SOUND = [info("train/happy/1.png"), info("train/sad/2.png")]
BACKWARDS = bytearray(headers(info("train/happy/1.png")))
BACKWARDS[124:136] = b"\xff" * 12  # a size of -1 in base 256
BACKWARDS[148:156] = b"%06o\0 " % (sum(BACKWARDS[:148]) + sum(BACKWARDS[156:512]) + 8 * 32)

HOSTILE_TARS = {
    "outside": (headers(*SOUND, info("../../etc/happy/x.png")), "leads out of the archive"),
    "absolute": (headers(info("/etc/happy/x.png")), "leads out of the archive"),
    "symbolic": (headers(info("train/happy/x.png", tarfile.SYMTYPE, link="/etc/passwd")), "is a link"),
    "hard": (headers(info("train/happy/x.png", tarfile.LNKTYPE, link="train/sad/2.png")), "is a link"),
    "pipe": (headers(info("train/happy/x.png", tarfile.FIFOTYPE)), "is not a plain file"),
    "device": (headers(info("train/happy/x.png", tarfile.CHRTYPE)), "is not a plain file"),
    "sparse": (headers(info("train/happy/x.png", tarfile.GNUTYPE_SPARSE)), "is not a plain file"),
    "large": (headers(info("train/happy/x.png", size=65 << 20)), "would unpack to 65 MB"),
    "huge": (headers(info("x.bin", size=2 << 30)), "would unpack to 2,048 MB"),
    "twice": (headers(*SOUND, *SOUND), "'train/happy/1.png' occurs twice"),
    "long name": (headers(info("L", tarfile.GNUTYPE_LONGNAME, 1 << 30)), "a name of 1,073,741,824 bytes"),
    "long attributes": (headers(info("x", tarfile.XHDTYPE, 1 << 30)), "a name of 1,073,741,824 bytes"),
    "backwards": (bytes(BACKWARDS), "a size below 0"),
    "other": (b"x" * 2000, "not a tar archive, or a damaged one"),
}


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
@pytest.mark.parametrize("case", HOSTILE_TARS)
def test_hostile_tars_are_refused(tmp_path: Path, case: str, suffix: str) -> None:
    data, message = HOSTILE_TARS[case]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(data + bytes(1024)) if suffix == ".tar.gz" else data + bytes(1024))
    with at_most(8), pytest.raises(DataError, match=message):
        open_source(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz"])
def test_a_tar_cut_short_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tar(tmp_path / f"a{suffix}", GOOD)
    path.write_bytes(path.read_bytes()[: -9000 if suffix == ".tar" else -4000])
    with pytest.raises(DataError, match="not a tar archive, or a damaged one"):
        open_source(path)


def test_a_tar_is_bounded_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By number, by what it would unpack to, and by what follows its end."""
    path = tar(tmp_path / "a.tgz", GOOD)
    with gzip.open(tmp_path / "tail.tgz", "wb") as file:
        file.write(gzip.decompress(path.read_bytes()) + bytes(50 * MB))
    with at_most(4):
        assert len(load(open_source(tmp_path / "tail.tgz"))) == 4
    monkeypatch.setattr("mien.data.tars.MOST_FILES", 1)
    with pytest.raises(DataError, match="holds too many files"):
        open_source(path)
    monkeypatch.undo()
    monkeypatch.setattr("mien.data.tars._MOST_PACKED_BYTES", 5000)
    with pytest.raises(DataError, match="would unpack to more than"):
        open_source(path)


@given(
    changes=st.lists(st.tuples(st.integers(0, 6000), st.integers(0, 255)), max_size=8),
    end=st.sampled_from([0, 0, 0, 1, 512, 5000]),
    packed=st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_whatever_is_done_to_a_tar_only_our_errors_come(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], end: int, packed: bool
) -> None:
    path = tar(tmp_path_factory.getbasetemp() / "mutated.tar", LONG)
    data = bytearray(gzip.compress(path.read_bytes(), 1) if packed else path.read_bytes())
    for place, value in changes:
        data[place % len(data)] = value
    path.write_bytes(data[: len(data) - end])
    try:
        assert len(load(open_source(path))) <= 5
    except MienError as error:
        assert len(str(error).splitlines()) == 1

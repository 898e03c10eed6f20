"""Pictures from strangers: what Preprocess says it reads and refuses, and mutated files of every kind."""

import io
import struct
import subprocess
import sys
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien.errors import DataError
from mien.preprocess import Preprocess

PREPROCESS = Preprocess()
RAMP = np.linspace(0, 255, 96 * 96).reshape(96, 96).astype(np.uint8)  # dark above, bright below
GRAY = Image.fromarray(RAMP)


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(**options: Any) -> bytes:
    """A picture on its side, with the remark that says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(GRAY.transpose(Image.Transpose.ROTATE_90), exif=exif, **options)


def with_broken_exif() -> bytes:
    return encode(GRAY, "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff garbage")


def half_clear() -> bytes:
    """Black; the lower half is clear, so white to see."""
    pixels = np.zeros((96, 96, 4), np.uint8)
    pixels[:48, :, 3] = 255
    return encode(Image.fromarray(pixels))


def palette(**options: Any) -> bytes:
    return encode(GRAY.convert("P"), **options)


def animation() -> bytes:
    return encode(GRAY, "GIF", save_all=True, append_images=[GRAY.transpose(Image.Transpose.FLIP_TOP_BOTTOM)])


def png_of(width: int, height: int) -> bytes:
    """The header alone of a PNG file, and a little data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


def jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(encode(GRAY, "JPEG"))
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">2H", height, width)
    return bytes(data)


READ: dict[str, Callable[[], bytes]] = {
    "gray PNG": lambda: encode(GRAY),
    "gray JPEG": lambda: encode(GRAY, "JPEG"),
    "BMP": lambda: encode(GRAY, "BMP"),
    "WebP": lambda: encode(GRAY.convert("RGB"), "WEBP"),
    "TIFF": lambda: encode(GRAY, "TIFF", compression="tiff_lzw"),
    "PGM": lambda: encode(GRAY, "PPM"),
    "animation": animation,
    "RGB": lambda: encode(GRAY.convert("RGB")),
    "YCbCr": lambda: encode(GRAY.convert("YCbCr"), "JPEG"),
    "CMYK": lambda: encode(GRAY.convert("CMYK"), "JPEG"),
    "palette": palette,
    "palette with a clear colour": lambda: palette(transparency=255),
    "palette with clear colours": lambda: palette(transparency=bytes([255] * 200)),
    "gray with a clear level": lambda: encode(GRAY, transparency=255),
    "gray and alpha": lambda: encode(GRAY.convert("LA")),
    "alpha": half_clear,
    "one bit": lambda: encode(GRAY.convert("1")),
    "16 bits": lambda: encode(Image.fromarray(RAMP.astype(np.uint16) * 257)),
    "16 bits, TIFF": lambda: encode(Image.fromarray(RAMP.astype(np.uint16) * 257), "TIFF"),
    "32 bits": lambda: encode(Image.fromarray(RAMP.astype(np.int32) * 257), "TIFF"),
    "floating point": lambda: encode(Image.fromarray(RAMP.astype(np.float32)), "TIFF"),
    "turned PNG": turned,
    "turned JPEG": lambda: turned(kind="JPEG"),
    "turned TIFF": lambda: turned(kind="TIFF"),
    "turned WebP": lambda: turned(kind="WEBP"),
    "broken EXIF": with_broken_exif,
    "wide": lambda: encode(GRAY.resize((300, 96))),
    "tall": lambda: encode(Image.fromarray(np.pad(RAMP, ((100, 100), (0, 0))))),
    "tiny": lambda: encode(GRAY.resize((1, 2), Image.Resampling.BOX).resize((2, 2))),
}

REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "zero bytes": (bytes, "not a readable image"),
    "text": (lambda: b"<html>Please log in</html>", "not a readable image"),
    "cut short, JPEG": (lambda: encode(GRAY, "JPEG")[:700], "not a readable image"),
    "cut short, PNG": (lambda: encode(GRAY)[:-60], "not a readable image"),
    "cut short, BMP": (lambda: encode(GRAY, "BMP")[:-900], "not a readable image"),
    "cut short, WebP": (lambda: encode(GRAY, "WEBP", lossless=True)[:-20], "not a readable image"),
    "damaged checksum": (lambda: encode(GRAY).replace(b"IDAT", b"IDAU"), "not a readable image"),
    "PostScript, which another program would run": (lambda: encode(GRAY, "EPS"), "not a readable image"),
    "PDF": (lambda: encode(GRAY, "PDF"), "not a readable image"),
    "icon": (lambda: encode(GRAY, "ICO"), "not a readable image"),
    "65,535 x 65,535 JPEG": (lambda: jpeg_of(65_535, 65_535), "more pixels than a photo has"),
    "65,535 x 65,535 PNG": (lambda: png_of(65_535, 65_535), "more pixels than a photo has"),
    "just too large": (lambda: png_of(11_000, 10_001), "more pixels than a photo has"),
    "no width": (lambda: png_of(0, 48), "not a readable image"),
}


@pytest.mark.parametrize("kind", READ)
def test_what_is_read(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gray = PREPROCESS.decode(READ[kind](), "x")
    assert gray.shape == (48, 48)
    assert gray.dtype == np.uint8
    assert gray[:8].mean() < 110 < 140 < gray[-8:].mean(), "upright, dark above and bright below"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused(kind: str, capfd: pytest.CaptureFixture[str]) -> None:
    make, message = REFUSED[kind]
    data = make()
    with warnings.catch_warnings(), pytest.raises(DataError, match=rf"faces/x\.jpg: {message}"):
        warnings.simplefilter("error")
        PREPROCESS.decode(data, "faces/x.jpg")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_every_orientation_is_undone_as_pillow_does(kind: str, orientation: int) -> None:
    from PIL import ImageOps

    pixels = np.zeros((48, 48), np.uint8)
    pixels[:12, :24], pixels[12:24, :12] = 255, 128
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(Image.fromarray(pixels), kind, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("L")
    assert (PREPROCESS.decode(data, "x") == np.asarray(expected)).all()


def seeds() -> list[bytes]:
    """Small sound files of the four kinds, in several modes."""
    small = GRAY.resize((40, 48))
    colour = Image.merge("RGB", (small, small.rotate(90, expand=False), small.rotate(180)))
    return [
        encode(small, "JPEG"), encode(colour, "JPEG", progressive=True), encode(colour.convert("CMYK"), "JPEG"),
        turned(kind="JPEG"), encode(small), encode(colour), encode(colour.convert("P"), transparency=3), half_clear(),
        encode(Image.fromarray(np.asarray(small).astype(np.uint16) * 257)), encode(small, "BMP"), encode(colour, "BMP"),
        encode(colour.convert("P"), "BMP"), encode(small.convert("1"), "BMP"), encode(colour, "WEBP"),
        encode(colour, "WEBP", lossless=True), encode(colour.convert("RGBA"), "WEBP"),
    ]  # fmt: skip


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Some of: bytes replaced (headers more often), numbers replaced, cut short, a piece doubled or taken out."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        size = max(len(changed), 1)
        place = int(rng.integers(0, min(size, 80) if rng.random() < 0.6 else size))
        kind = rng.integers(0, 5)
        if kind == 0:
            changed[place : place + 1] = rng.bytes(1)
        elif kind == 1:
            extreme = rng.choice([0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])
            changed[place : place + 4] = struct.pack(rng.choice(["<I", ">I"]), extreme)
        elif kind == 2:
            del changed[place:]
        elif kind == 3:
            changed[place:place] = changed[place : place + int(rng.integers(1, 200))]
        else:
            del changed[place : place + int(rng.integers(1, 60))]
    return bytes(changed)


def check_mutated(count: int, seed: int = 0) -> int:
    """Decode `count` mutated files; how many could be read. Anything but a square or a DataError escapes."""
    rng, sound, read = np.random.default_rng(seed), seeds(), 0
    for number in range(count):
        try:
            gray = PREPROCESS.decode(mutate(sound[number % len(sound)], rng), "x")
        except DataError:
            continue
        assert gray.shape == (48, 48) and gray.dtype == np.uint8
        read += 1
    return read


def mutated_in_a_process(count: int, gigabytes: float) -> subprocess.CompletedProcess[str]:
    """`check_mutated` by itself, where a crash, an output or too much memory would show."""
    code = (
        "import sys, warnings; from pathlib import Path; warnings.simplefilter('always'); import test_images; "
        f"print(test_images.check_mutated({count})); "
        # Not `ru_maxrss`, which a child takes over from the process that started it.
        "status = Path('/proc/self/status'); "
        "peak = int(status.read_text().split('VmHWM:')[1].split()[0]) * 1024 if status.exists() else 0; "
        f"sys.exit(f'{{peak / 1e9:.1f}} GB' if peak > {gigabytes} * 1e9 else 0)"
    )
    return subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True)


@pytest.mark.parametrize(
    "count", [400, pytest.param(5000, marks=pytest.mark.long)], ids=["sample", "whole"]
)  # fmt: skip
def test_mutated_images_give_a_square_or_our_error(count: int) -> None:
    done = mutated_in_a_process(count, gigabytes=1.5)
    assert (done.returncode, done.stderr) == (0, "")
    assert count * 0.1 < int(done.stdout) < count * 0.9, "both outcomes must occur"

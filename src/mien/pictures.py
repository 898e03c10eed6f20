"""Any picture as people see it: upright, opaque, 8 bits a colour, of a size to work with."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from threading import Lock
from typing import IO

import numpy as np
from PIL import Image

from mien.errors import DataError

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")  # Pillow reads more, some through other programs
_SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".pgm", ".ppm")
_FOREIGN = (".heic", ".heif", ".avif", ".psd")  # pictures to people, but not to us
_MOST_PIXELS = 110_000_000  # phones' "108 megapixels" are no more
_LARGE = 2**25
_WHITE = 255
_PLAIN = ("L", "RGB")
# A picture's own remarks by which the pixels to see are not those stored.
_CHANGES_PIXELS = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp", "transparency"}
_ORIENTATION = 0x0112  # of EXIF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip
_HEAD = 12  # bytes that tell what a file is
_ARCHIVE = "an archive; unpack it, and give the folder"
_VIDEO = "a video; give its path, with the suffix of its kind, such as .mp4"
_KINDS = {
    b"8BPS": "a Photoshop file; save it as JPEG or PNG", b"%PDF": "a PDF; save its pages as JPEG or PNG",
    b"PK\3\4": _ARCHIVE, b"\x1f\x8b": _ARCHIVE, b"BZh": _ARCHIVE, b"\xfd7zXZ": _ARCHIVE, b"7z\xbc\xaf": _ARCHIVE,
    b"Rar!": _ARCHIVE, b"\x1aE\xdf\xa3": _VIDEO, b"FLV\1": _VIDEO, b"\0\0\1\xba": _VIDEO,
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """An upright picture in mode L or RGB; `scale` original pixels lie along one of its own (1, or 2 for large ones).

    Its `info` is the file's: what it says of rotation and transparency is done already. animated: it is the first frame
    of several.
    """

    image: Image.Image
    scale: int = 1
    animated: bool = False


def is_visible(name: str) -> bool:
    """Whether no part of the name is hidden (`.git`, `.DS_Store`) or macOS's by-product (`__MACOSX`)."""
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    return not any(part.startswith(".") or part == "__MACOSX" for part in parts)


def is_picture(name: str) -> bool:
    """Whether a name is that of a picture, to be read or to be reported as unreadable."""
    return name.lower().endswith((*_SUFFIXES, *_FOREIGN)) and is_visible(name)


def read_picture(file: IO[bytes], name: str) -> Picture:
    """The picture in an encoded file; `name` only serves the error message.

    Raises DataError if the bytes are no complete picture, or too large a one.
    """
    with (
        _judged(name, lambda: _what(file)),
        _QUIET,
        Image.open(file, formats=_FORMATS) as image,
    ):
        animated = _is_animated(image)
        return replace(upright(image), animated=animated)


def take_picture(image: Image.Image, name: str) -> Picture:
    """A picture that somebody else opened, who may go on to use it; raises DataError as `read_picture` does."""
    with _judged(name, lambda: "damaged"), _QUIET:
        _check_size(image)
        image.load()
        return upright(image)


def pixels(data: bytes) -> int:
    """How many pixels an encoded picture has by its head; 0 where that cannot be read."""
    with _QUIET:
        try:
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                return image.width * image.height
        except Image.DecompressionBombError:
            return _MOST_PIXELS + 1
        except Exception:  # decoders raise whatever foreign bytes lead them to
            return 0


def upright(image: Image.Image) -> Picture:
    """A picture as it is to be seen, in mode L or RGB: turned as the camera was held, laid on white, 8 bits a colour.

    Raises Image.DecompressionBombError for more pixels than a photo has.
    """
    scale = _load(image)
    large = image.width * image.height > _LARGE
    if image.mode in _PLAIN and not large and not image.info.keys() & _CHANGES_PIXELS:
        return Picture(image, scale)
    image = _to_eight_bits(_turned(image))
    if large:
        image, scale = _halved(image), 2
    image = _flatten(image)
    return Picture(image if image.mode in _PLAIN else image.convert("RGB"), scale)


def _is_animated(image: Image.Image) -> bool:
    """Whether an opened file holds more frames than its first."""
    try:
        return image.format in ("GIF", "PNG", "WEBP") and getattr(image, "is_animated", False)
    except Exception:  # a damaged second frame does not spoil the first
        return False


def _load(image: Image.Image) -> int:
    """Decode a picture, a large JPEG at half its size; returns how many original pixels lie along one of it."""
    _check_size(image)
    width = image.width
    if width * image.height > _LARGE:
        image.draft(None, (width // 2, image.height // 2))
    image.load()  # PNG may keep its remarks behind the pixels; TIFF is turned by Pillow itself
    return round(width / image.width)


def _check_size(image: Image.Image) -> None:
    if image.width * image.height > _MOST_PIXELS:
        raise Image.DecompressionBombError


def _turned(image: Image.Image) -> Image.Image:
    """The picture as its camera was held."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # damaged remarks do not spoil a picture
        return image
    return image if turn is None else image.transpose(turn)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """16-bit gray as 8-bit gray; Pillow's own `convert` would clip instead of scale."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).clip(0, 65535) >> 8).astype(np.uint8))


def _halved(image: Image.Image) -> Image.Image:
    """Half the size, so that what follows does not hold a large picture several times over."""
    if image.mode not in ("L", "RGB", "RGBA", "CMYK"):
        image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    return image.reduce(2)


def _flatten(image: Image.Image) -> Image.Image:
    """Transparent pictures laid on white; others as they are."""
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    page = Image.new("RGBA", image.size, (_WHITE,) * 4)
    return Image.alpha_composite(page, image).convert("RGB")


class _Quiet:
    """No warnings of what decoders find odd in a picture, while any thread reads one.

    Python's filters belong to the whole process: were each thread to put back those it found, the last one might put
    back another's silence, for good.
    """

    def __init__(self) -> None:
        self._lock, self._readers, self._silence = Lock(), 0, ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            if not self._readers:
                self._silence.enter_context(warnings.catch_warnings(action="ignore"))
            self._readers += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._readers -= 1
            if not self._readers:
                self._silence.close()


_QUIET = _Quiet()


@contextmanager
def _judged(name: str, why: Callable[[], str]) -> Iterator[None]:
    """Whatever goes wrong with a picture is said in one line."""
    try:
        yield
    except Image.DecompressionBombError:
        raise DataError(f"{name}: more pixels than a photo has; scale it down first") from None
    except Exception:  # decoders raise whatever foreign bytes lead them to: struct.error, IndexError, KeyError ...
        raise DataError(f"{name}: not a readable image ({why()})") from None


def _what(file: IO[bytes]) -> str:
    """Why a file is no picture, as far as its first bytes tell."""
    file.seek(0)
    head = file.read(_HEAD)
    if not head:
        return "it is empty"
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return "HEIC; save it as JPEG or PNG"
    if head[4:12] == b"ftypavif":
        return "AVIF; save it as JPEG or PNG"
    for start, kind in _KINDS.items():
        if head.startswith(start):
            return kind
    if head[4:8] == b"ftyp" or (head[:4] == b"RIFF" and head[8:12] == b"AVI "):
        return _VIDEO
    return "damaged, or of an unknown format"

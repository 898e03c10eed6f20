"""The only path from any image to a network's input.

Prediction drifts from training when the two prepare images differently. So there is one path, its
settings are data, and they travel inside every model file (`Preprocess.to_dict`).
"""

from __future__ import annotations

import io
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mien.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")  # Pillow reads more, some through other programs
_MOST_PIXELS = 2**26
_WHITE = 255
# A picture's own remarks by which the pixels to see are not those stored.
_CHANGES_PIXELS = {"exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp", "transparency"}
_ORIENTATION = 0x0112  # of EXIF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # fmt: skip


@dataclass(frozen=True)
class Preprocess:
    """Turns pictures of any size and mode into gray squares, and gray squares into network input.

    The steps, in order: undo the camera's rotation (EXIF), take the first frame, lay transparent
    pictures on white, scale 16-bit pictures to 8 bits, turn to gray (ITU-R 601 luma), cut the largest
    centred square, resize it to `size` x `size` (bilinear, averaging when it shrinks), divide by 255.

    | picture | |
    | --- | --- |
    | 8-bit gray, `size` x `size` | passes unchanged |
    | any other size or shape | its largest centred square, resized |
    | colour: RGB, YCbCr, CMYK, palette | luma |
    | 1 bit | black and white |
    | 16-bit gray | its high byte |
    | 32-bit gray, whole numbers | the high byte of the lowest two, clipped |
    | floating point | taken as 0 to 255, clipped |
    | alpha, transparent colour | laid on white |
    | EXIF rotation, mirroring | undone; damaged EXIF is ignored |
    | animation, several pages | the first frame |
    | JPEG, PNG, BMP, WebP, GIF, TIFF, PGM, PPM | read, whatever the file's suffix |
    | any other format | refused |
    | zero bytes, text, cut short, damaged | refused |
    | more than 2^26 pixels, by the header | refused, not decoded |
    """

    size: int = 48

    def decode(self, data: bytes, name: str) -> NDArray[np.uint8]:
        """The gray square, uint8 [size, size], of an encoded picture.

        `name` only serves the error message. Raises DataError if the bytes are no complete picture, or too
        large a one.
        """
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.width * image.height > _MOST_PIXELS:
                    raise Image.DecompressionBombError
                return self.gray(image)
        except Image.DecompressionBombError:
            raise DataError(f"{name}: more pixels than a photo has; scale it down first") from None
        except Exception:  # decoders raise whatever foreign bytes lead them to: struct.error, IndexError, KeyError ...
            raise DataError(f"{name}: not a readable image (damaged, or of an unknown format)") from None

    def gray(self, image: Image.Image) -> NDArray[np.uint8]:
        """The gray square, uint8 [size, size], of a picture of any size and mode."""
        image.load()  # PNG may keep its remarks behind the pixels; TIFF is turned by Pillow itself
        if image.mode == "L" and image.size == (self.size, self.size) and not image.info.keys() & _CHANGES_PIXELS:
            return np.asarray(image)
        image = _flatten(_to_eight_bits(_upright(image)))
        square = _centred_square(image.convert("L"))
        return np.asarray(square.resize((self.size, self.size), Image.Resampling.BILINEAR))

    def scale(self, gray: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Network input in [0, 1], float32 [B, 1, size, size], of gray squares uint8 [B, size, size]."""
        return gray[:, None].astype(np.float32) / np.float32(255)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values, for a model file."""
        return asdict(self)


def _upright(image: Image.Image) -> Image.Image:
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


def _flatten(image: Image.Image) -> Image.Image:
    """Transparent pictures laid on white; others as they are."""
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    page = Image.new("RGBA", image.size, (_WHITE,) * 4)
    return Image.alpha_composite(page, image).convert("RGB")


def _centred_square(image: Image.Image) -> Image.Image:
    """The largest square around the middle."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))

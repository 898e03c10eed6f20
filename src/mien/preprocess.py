"""The only path from any image to a network's input.

Prediction drifts from training when the two prepare images differently. So there is one path, its
settings are data, and they travel inside every model file (`Preprocess.to_dict`).
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from mien.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WHITE = 255
_CHANGES_PIXELS = {"exif", "transparency"}  # a picture's own remarks that make its stored pixels not those to see


@dataclass(frozen=True)
class Preprocess:
    """Turns pictures of any size and mode into gray squares, and gray squares into network input.

    The steps, in order: undo the camera's rotation (EXIF), take the first frame, lay transparent
    pictures on white, scale 16-bit pictures to 8 bits, turn to gray (ITU-R 601 luma), cut the largest
    centred square, resize it to `size` x `size` (bilinear, averaging when it shrinks), divide by 255.
    A picture that already is `size` x `size` and 8-bit gray passes through unchanged.
    """

    size: int = 48

    def decode(self, data: bytes, name: str) -> NDArray[np.uint8]:
        """The gray square, uint8 [size, size], of an encoded picture.

        `name` only serves the error message. Raises DataError if the bytes are no complete picture.
        """
        try:
            with Image.open(io.BytesIO(data)) as image:
                return self.gray(image)
        except Image.DecompressionBombError:
            raise DataError(f"{name}: more pixels than a photo has; scale it down first") from None
        except (OSError, ValueError, SyntaxError, EOFError):
            raise DataError(f"{name}: not a readable image (damaged, or of an unknown format); remove it") from None

    def gray(self, image: Image.Image) -> NDArray[np.uint8]:
        """The gray square, uint8 [size, size], of a picture of any size and mode."""
        if image.mode == "L" and image.size == (self.size, self.size) and not image.info.keys() & _CHANGES_PIXELS:
            return np.asarray(image)
        image = _flatten(_to_eight_bits(ImageOps.exif_transpose(image)))
        square = _centred_square(image.convert("L"))
        return np.asarray(square.resize((self.size, self.size), Image.Resampling.BILINEAR))

    def scale(self, gray: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Network input in [0, 1], float32 [B, 1, size, size], of gray squares uint8 [B, size, size]."""
        return gray[:, None].astype(np.float32) / np.float32(255)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values, for a model file."""
        return asdict(self)


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """16-bit gray as 8-bit gray; Pillow's own `convert` would clip instead of scale."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))


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

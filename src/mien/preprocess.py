"""The only path from any image to a network's input.

Prediction drifts from training when the two prepare images differently. So there is one path, its
settings are data, and they travel inside every model file (`Preprocess.to_dict`).
"""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.pictures import read_picture, upright


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
    | more than 2^25 pixels | at half the size |
    | more than 110 million pixels, by the header | refused, not decoded |

    >>> gray = Preprocess().gray(Image.new("RGB", (640, 480), "white"))
    >>> gray.shape, Preprocess().scale(gray[None]).max()
    ((48, 48), np.float32(1.0))
    """

    size: int = 48

    def decode(self, data: bytes, name: str) -> NDArray[np.uint8]:
        """The gray square, uint8 [size, size], of an encoded picture.

        `name` only serves the error message. Raises DataError if the bytes are no complete picture, or too
        large a one.
        """
        return self.square(read_picture(io.BytesIO(data), name).image)

    def gray(self, image: Image.Image) -> NDArray[np.uint8]:
        """The gray square, uint8 [size, size], of a picture of any size and mode."""
        return self.square(upright(image).image)

    def square(self, image: Image.Image) -> NDArray[np.uint8]:
        """The gray square, uint8 [size, size], of a picture that is upright and opaque (`mien.pictures.upright`)."""
        if image.mode == "L" and image.size == (self.size, self.size):
            return np.asarray(image)
        square = _centred_square(image.convert("L"))
        return np.asarray(square.resize((self.size, self.size), Image.Resampling.BILINEAR))

    def scale(self, gray: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Network input in [0, 1], float32 [B, 1, size, size], of gray squares uint8 [B, size, size]."""
        return gray[:, None].astype(np.float32) / np.float32(255)

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values, for a model file."""
        return asdict(self)


def _centred_square(image: Image.Image) -> Image.Image:
    """The largest square around the middle."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))

"""The one path from any image to the network's input."""

import io

import numpy as np
import pytest
from PIL import Image

from mien.errors import DataError
from mien.preprocess import Preprocess

PREPROCESS = Preprocess()


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def gradient(size: int = 48) -> Image.Image:
    return Image.fromarray(np.linspace(0, 255, size * size).reshape(size, size).astype(np.uint8))


def test_a_gray_square_of_the_right_size_passes_unchanged() -> None:
    assert (PREPROCESS.decode(encode(gradient()), "x") == np.asarray(gradient())).all()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "CMYK", "1", "I;16", "I", "F", "YCbCr"])
def test_every_mode_becomes_48_by_48_gray(mode: str) -> None:
    gray = gradient(96)
    pixels = np.asarray(gray).astype(np.int32)
    image = {
        "I;16": lambda: Image.fromarray((pixels * 257).astype(np.uint16)),
        "I": lambda: Image.fromarray(pixels * 257),
        "F": lambda: Image.fromarray(pixels.astype(np.float32)),
    }.get(mode, lambda: gray.convert(mode))()
    out = PREPROCESS.gray(image)
    assert out.shape == (48, 48)
    assert out.dtype == np.uint8
    assert out[:8].mean() < 70 < 180 < out[-8:].mean()


def test_transparent_pictures_lie_on_white() -> None:
    clear = Image.new("RGBA", (60, 60), (0, 0, 0, 0))
    assert (PREPROCESS.gray(clear) == 255).all()


def test_exif_rotation_is_undone() -> None:
    upright = gradient(48)
    turned = upright.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera says: turn me 90 degrees clockwise
    decoded = PREPROCESS.decode(encode(turned, "PNG", exif=exif.tobytes()), "x")
    assert (decoded == np.asarray(upright)).all()


def test_oblong_pictures_are_cut_to_the_centred_square() -> None:
    wide = np.zeros((50, 150), np.uint8)
    wide[:, 50:100] = 200
    assert (PREPROCESS.gray(Image.fromarray(wide)) == 200).all()


def test_input_lies_between_zero_and_one() -> None:
    out = PREPROCESS.scale(np.array([[[0, 255], [51, 102]]], np.uint8))
    assert out.shape == (1, 1, 2, 2)
    assert out.ravel() == pytest.approx([0, 1, 0.2, 0.4])


@pytest.mark.parametrize("data", [b"", b"not an image", encode(gradient(), "JPEG")[:300], encode(gradient())[:60]])
def test_what_is_no_image_is_named(data: bytes) -> None:
    with pytest.raises(DataError, match=r"faces/x\.jpg: not a readable image"):
        PREPROCESS.decode(data, "faces/x.jpg")

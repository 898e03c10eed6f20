"""Shared material: small folders of faces, and the real archive where the environment names one."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests' batches are small: threads cost more than they give

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data.dataset import Dataset


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 160 drawn faces, `<class>/<file>`; read only."""
    from mien.data.drawn import write_drawn

    folder = tmp_path_factory.mktemp("drawn") / "faces"
    write_drawn(folder, count=160)
    return folder


@pytest.fixture(scope="session")
def archive() -> Path:
    """The real FER-2013 archive."""
    path = os.environ.get("FER2013_ARCHIVE")
    if not path:
        pytest.skip("FER2013_ARCHIVE names no archive")
    return Path(path)


@pytest.fixture
def make_image() -> Callable[..., Path]:
    """Writes a random gray image."""

    def make(path: Path, seed: int = 0, size: int = 48) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (size, size), np.uint8)
        Image.fromarray(pixels).save(path)
        return path

    return make


def random_faces(count: int, classes: tuple[str, ...], seed: int = 0) -> Dataset:
    """Noise with a bright band at a height that tells the class; the first class is twice as frequent.

    They are 24 x 24 to be cheap; only the classic network needs 48.
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % (len(classes) + 1) % len(classes)
    images = rng.integers(0, 60, (count, 24, 24))
    for image, label in zip(images, labels, strict=True):
        top = 2 + label * 21 // len(classes)
        image[top : top + 4, 4:20] += 180
    paths = tuple(f"{classes[label]}/{i}.png" for i, label in enumerate(labels))
    return Dataset(images.astype(np.uint8), labels.astype(np.int64), classes, paths)

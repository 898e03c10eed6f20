"""Shared material: small folders of faces, and the real archive where the environment names one."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the tests' batches are small: threads cost more than they give

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from mien.data.dataset import Dataset
from mien.emotions import EMOTIONS
from mien.models.architectures import ARCHITECTURES, Architecture

if TYPE_CHECKING:
    from mien.models.model import Model

# One of each kind that the files must hold; the large ones small.
NETWORKS: dict[str, str | Architecture] = {
    **{name: name for name in ARCHITECTURES if name not in ("pairs", "residual")},
    "small pairs": Architecture(((8, 8), (16, 16)), dropout=0.2, dense=32, stage_dropout=0.1),
    "small residual": Architecture(((8, 16), (16,), (24,)), dropout=0.1, block="residual"),
    "small squeezed": Architecture(((8,), (16, 16), (32,)), dropout=0.1, dense=16, block="residual", squeeze=4),
}

PATCHES = np.random.default_rng(0).integers(0, 256, (24, 6, 6), np.uint8)
FACES = PATCHES.repeat(8, axis=1).repeat(8, axis=2)  # large spots: answers differ more than on noise


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


@pytest.fixture(scope="session")
def axe(pytestconfig: pytest.Config) -> str:
    """axe-core's source."""
    from browsing import axe_core

    return axe_core(Path(pytestconfig.cache.mkdir("axe")))


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


def lively(classes: tuple[str, ...] = EMOTIONS, architecture: str = "classic", temperature: float = 1.0) -> "Model":
    """A network of `NETWORKS` with nothing at its start, whose answers differ from face to face."""
    import torch

    from mien.models.model import Model, predict_proba
    from mien.models.networks import build

    torch.manual_seed(0)
    described = NETWORKS.get(architecture, architecture)
    network = build(described, len(classes)).eval()
    model = Model(network, described, classes, notes={"recipe": "none"}, temperature=temperature)
    state = network.state_dict()
    for name, values in state.items():
        if name.endswith(("running_var", ".1.weight")):
            values.uniform_(0.5, 2)
        elif values.is_floating_point() and values.ndim == 1:
            values.normal_(0, 0.3)
    state["head.weight"].normal_(0, 0.3)
    spread = spreading(predict_proba(replace(model, temperature=1.0), FACES))
    state["head.weight"].mul_(spread[0])
    state["head.bias"].sub_(torch.from_numpy(spread[1])).mul_(spread[0])
    return model


def spreading(answers: np.ndarray) -> tuple[float, np.ndarray]:
    """Factor and offsets of the logits with which every class is named at times."""
    logits = np.log(answers)
    offsets = logits.mean(0)
    return float(1 / (logits - offsets).std()), offsets

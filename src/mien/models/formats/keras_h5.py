"""The classic network as Keras' `.h5`; class names and the rest of Mien's header travel in an attribute."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import mien.models.formats.keras_classic as classic
from mien.errors import ModelError
from mien.models.formats.hdf5 import read_hdf5
from mien.models.formats.keras_classic import AGAIN, Layer
from mien.models.model import Model

_DESCRIPTION, _HEADER = "model_config", "mien"  # attributes of the file's root


def read(path: Path) -> Model:
    """The classic network in a Keras `.h5` file; raises ModelError unless it is one, whole and without tricks."""
    contents = read_hdf5(path.read_bytes())
    if _DESCRIPTION not in contents.texts:
        raise ModelError(f"no Keras model, or its weights without the network they belong to; {AGAIN}")
    for name, text in contents.texts.items():
        if text is None:
            raise ModelError(f"its '{name}' is no text; {AGAIN}")
    layers = classic.described(json.loads(contents.texts[_DESCRIPTION] or ""))
    stored = [_by_role(contents.below(f"model_weights/{layer['name']}")) for layer in layers]
    return classic.assemble(layers, stored, contents.texts.get(_HEADER))


def write(model: Model, path: Path) -> None:
    """Write a classic network so that Keras can open it."""
    import h5py

    twin = classic.twin(model, path)
    advice = logging.getLogger("absl")  # where Keras says to prefer its newer format; but a .h5 was asked for
    advice.disabled = True
    try:
        twin.save(path)
    finally:
        advice.disabled = False
    with h5py.File(path, "r+") as file:
        file.pop("optimizer_weights", None)  # of an optimiser that has not begun: Keras 3 would load it as spent
        file.attrs[_HEADER] = json.dumps(model.header())


def _by_role(arrays: Layer) -> Layer:
    """A layer's arrays by role: `kernel` of `.../kernel:0`."""
    return {path.split("/")[-1].split(":")[0]: array for path, array in arrays.items()}

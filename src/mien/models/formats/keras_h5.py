"""Keras' `.h5` and `.hdf5`; Mien's header of the classic network travels in an attribute."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import mien.models.formats.keras_classic as classic
from mien.errors import ModelError
from mien.models.formats.hdf5 import Contents, read_hdf5
from mien.models.formats.keras_classic import AGAIN, Arrays
from mien.models.formats.keras_stack import Layer
from mien.models.model import Model

_DESCRIPTION, _HEADER = "model_config", "mien"  # attributes of the file's root


def read(path: Path, classes: Sequence[str] | None = None, network: str | None = None) -> Model:
    """The model in a Keras `.h5` file; raises ModelError unless it is a plain stack of layers, whole, without tricks.

    classes: their names in order, where the file has none. network: "classic" for weights saved without the network.
    """
    contents = read_hdf5(path.read_bytes())
    if _DESCRIPTION not in contents.texts:
        if network == "classic":
            return classic.classic_weights(_groups(contents), classes)
        raise ModelError(
            f"no Keras model, or its weights without the network they belong to; {AGAIN}, or, if that is the classic "
            "network, give --network classic"
        )
    for name, text in contents.texts.items():
        if text is None:
            raise ModelError(f"its '{name}' is no text; {AGAIN}")
    described = classic.layers_of(json.loads(contents.texts[_DESCRIPTION] or ""))
    layers = []
    for kind, config in described:
        arrays = contents.below(f"model_weights/{config['name']}")  # by role: `kernel` of `.../kernel:0`
        roles = {path.split("/")[-1].split(":")[0]: array for path, array in arrays.items()}
        layers.append(Layer(kind, config, roles))
    return classic.model_of(layers, contents.texts.get(_HEADER), classes)


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


def _groups(contents: Contents) -> dict[str, Arrays]:
    """Arrays by layer and role, where only weights were saved, under names or (Keras 3) under numbers."""
    groups: dict[str, Arrays] = defaultdict(dict)
    for path, array in contents.arrays.items():
        layer, _, role = path.rpartition("/")
        groups[layer][role.split(":")[0]] = array
    kinds = {layer: "BatchNormalization" if len(arrays) == 4 else "Dense" for layer, arrays in groups.items()}
    return {layer: classic.by_role(arrays, kinds[layer], {}) for layer, arrays in groups.items()}

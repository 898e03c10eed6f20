"""Keras' `.keras`: a zip of JSON and HDF5. Mien's header of the classic network lies beside them as `mien.json`.

Members are read by name and never unpacked, and only as Keras stores them, uncompressed: so none is larger than the
file, and each is guarded from damage by its checksum in the zip.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import mien.models.formats.keras_classic as classic
from mien.errors import ModelError
from mien.models.formats.hdf5 import read_hdf5
from mien.models.formats.keras_classic import AGAIN
from mien.models.formats.keras_stack import Layer
from mien.models.model import Model

_DESCRIPTION, _WEIGHTS, _HEADER = "config.json", "model.weights.h5", "mien.json"


def read(path: Path, classes: Sequence[str] | None = None, network: str | None = None) -> Model:
    """The model in a `.keras` file; raises ModelError unless it is a plain stack of layers, whole, without tricks.

    classes: their names in order, where the file has none. network: of no use, as the file describes it.
    """
    try:
        with ZipFile(path) as archive:
            described = [*classic.layers_of(json.loads(_member(archive, _DESCRIPTION).decode()))]
            weights = _member(archive, _WEIGHTS)
            header = _member(archive, _HEADER).decode() if _HEADER in archive.namelist() else None
    except (BadZipFile, NotImplementedError) as error:
        raise ValueError(str(error)) from None
    contents = read_hdf5(weights)
    layers, counts = [], Counter[str]()
    for kind, config in described:  # arrays lie under the layer's class, counted: conv2d, conv2d_1 ...
        name = _snake_case(kind)
        number, counts[name] = counts[name], counts[name] + 1
        arrays = contents.below(f"layers/{name}{f'_{number}' if number else ''}/vars")
        layers.append(Layer(kind, config, classic.by_role(arrays, kind, config)))
    return classic.model_of(layers, header, classes)


def write(model: Model, path: Path) -> None:
    """Write a classic network so that Keras can open it."""
    twin = classic.twin(model, path)
    twin.optimizer.build(twin.trainable_variables)  # or Keras warns, on loading, that its state is not there
    twin.save(path)
    with ZipFile(path, "a") as archive:
        archive.writestr(_HEADER, json.dumps(model.header()))


def _member(archive: ZipFile, name: str) -> bytes:
    if name not in archive.namelist():
        raise ModelError(f"no Keras model: it holds no {name}; {AGAIN}")
    if archive.getinfo(name).compress_type != ZIP_STORED:
        raise ModelError(f"its {name} is compressed, as Keras stores none; {AGAIN}")
    return archive.read(name)


def _snake_case(kind: str) -> str:
    """A class' name as Keras writes it in the file: `batch_normalization` of `BatchNormalization`."""
    words = re.sub(r"\W+", "", kind)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", words)).lower()

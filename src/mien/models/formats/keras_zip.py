"""The classic network as Keras' `.keras`: a zip of JSON and HDF5. Mien's header lies beside them as `mien.json`.

Members are read by name and never unpacked, and only as Keras stores them, uncompressed: so none is larger than the
file, and each is guarded from damage by its checksum in the zip.
"""

from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import mien.models.formats.keras_classic as classic
from mien.errors import ModelError
from mien.models.formats.hdf5 import read_hdf5
from mien.models.formats.keras_classic import AGAIN, Layer
from mien.models.model import Model

_DESCRIPTION, _WEIGHTS, _HEADER = "config.json", "model.weights.h5", "mien.json"
_CONVOLUTION = ("kernel", "bias")
_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
_ROLES = {  # of the arrays 0, 1 ... of each layer, in the order the data flows; Keras counts layers of a kind
    "conv2d": _CONVOLUTION,
    "batch_normalization": _NORM,
    "conv2d_1": _CONVOLUTION,
    "batch_normalization_1": _NORM,
    "conv2d_2": _CONVOLUTION,
    "batch_normalization_2": _NORM,
    "dense": _CONVOLUTION,
    "dense_1": _CONVOLUTION,
}


def read(path: Path) -> Model:
    """The classic network in a `.keras` file; raises ModelError unless it is one, whole and without tricks."""
    try:
        with ZipFile(path) as archive:
            layers = classic.described(json.loads(_member(archive, _DESCRIPTION).decode()))
            weights = _member(archive, _WEIGHTS)
            header = _member(archive, _HEADER).decode() if _HEADER in archive.namelist() else None
    except (BadZipFile, NotImplementedError) as error:
        raise ValueError(str(error)) from None
    contents = read_hdf5(weights)
    return classic.assemble(layers, [_by_role(contents.below(f"layers/{name}/vars"), name) for name in _ROLES], header)


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


def _by_role(arrays: Layer, layer: str) -> Layer:
    """A layer's arrays by role, instead of by number; any more than the roles keep their numbers."""
    roles = dict(enumerate(_ROLES[layer]))
    return {roles.get(int(number), number): array for number, array in arrays.items()}

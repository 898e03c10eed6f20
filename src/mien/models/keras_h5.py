"""The classic network as Keras' `.h5`: written through Keras, read as plain arrays.

Reading deserialises no layer and runs no code from the file: it takes the arrays, and checks their shapes
against the classic network, and the file's description of its layers as plain JSON. So a student's own
`emotion_model.h5` works too; such a file carries no class names, and they are taken to be FER-2013's seven in
alphabetical order. A file that computes something else is refused: it would load, and answer wrongly.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from mien.emotions import EMOTIONS
from mien.errors import ModelError, UsageError
from mien.models.model import Model
from mien.models.networks import Classic, build
from mien.preprocess import Preprocess

if TYPE_CHECKING:
    import h5py
    from numpy.typing import NDArray

    Layer = dict[str, NDArray[np.float32]]  # one layer's arrays by role, in Keras' layout

_ATTRIBUTE = "mien"  # on the file's root: JSON of Model.header()
_INSTALL = "pip install 'mien[keras]'"
_AGAIN = "save it again with model.save('emotion_model.h5')"
_ONLY = "; only the classic network can be read from .h5"
_UNNAMED = "not in the file: taken to be the seven of FER-2013 in alphabetical order"
_UNDESCRIBED = "not in the file: taken to be the classic network, by the shapes of its weights"
_AFFINE, _NORM = ("kernel", "bias"), ("gamma", "beta", "moving_mean", "moving_variance")
_EPSILON = 1e-3  # Keras' own
_MOST_BYTES, _MOST_NAMES, _MOST_CLASSES = 64 << 20, 256, 1000  # the classic network with Adam's state: 7.5 MB
_DAMAGED = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, ArithmeticError, MemoryError)

_LAYERS: dict[str, tuple[str, dict[str, tuple[Any, ...]]]] = {  # what a Keras layer does, and under which settings
    "InputLayer": ("", {"batch_shape": ([None, 48, 48, 1],), "batch_input_shape": ([None, 48, 48, 1],)}),
    "Conv2D": ("convolution", {"padding": ("same",), "strides": ([1, 1],), "dilation_rate": ([1, 1],)}),
    "BatchNormalization": ("batch norm", {"axis": (-1, 3, [-1], [3])}),
    "ReLU": ("relu", {"max_value": (None,), "negative_slope": (0, None), "threshold": (0, None)}),
    "MaxPooling2D": ("pooling", {"pool_size": ([2, 2],), "strides": ([2, 2], None)}),
    "Flatten": ("flattening", {}),
    "Dense": ("dense layer", {}),
    "Softmax": ("softmax", {"axis": (-1, 1)}),
    "Activation": ("", {}),
    "Dropout": ("", {}),  # at rest when a network is used, wherever it stands
    "SpatialDropout2D": ("", {}),
}
_CLASSIC = ["convolution", "batch norm", "relu", "pooling"] * 3 + ["flattening", "dense layer", "relu"]
_CLASSIC += ["dense layer", "softmax"]


def read_h5(path: Path) -> Model:
    """The classic network in a Keras `.h5` file; raises ModelError unless it is one, whole and without tricks."""
    if path.stat().st_size > _MOST_BYTES:
        raise ModelError(f"{path}: larger than the classic network's file can be{_ONLY}")
    try:
        import h5py

        with h5py.File(path, "r") as file:
            return _model(file)
    except ImportError:
        raise UsageError(f"{path}: reading .h5 needs h5py: {_INSTALL}") from None
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None
    except _DAMAGED as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ModelError(f"{path}: not a Keras .h5 file, or a damaged one ({reason}); {_AGAIN}") from None


def write_h5(model: Model, path: Path) -> None:
    """Write a classic network so that Keras can open it; class names and preprocessing travel in an attribute."""
    if model.architecture != "classic":
        raise ModelError(f"{path}: .h5 holds the network 'classic', not '{model.architecture}'; use .safetensors")
    network = cast("Classic", model.network)
    _save_quietly(_keras_twin(network, path), path)
    import h5py

    with h5py.File(path, "r+") as file:
        file.attrs[_ATTRIBUTE] = json.dumps(model.header())


def _model(file: h5py.File) -> Model:
    described = "model_config" in file.attrs
    epsilons = _check_description(json.loads(file.attrs["model_config"])) if described else [_EPSILON] * 3
    layers = [layer for layer in _layers(file) if layer]
    network = _network_for(layers)
    _fill(network, [_read_like(expected, layers) for expected in _to_keras(network)], epsilons)
    names, notes = _names_and_notes(file, network.head.out_features)
    return Model(
        network.eval(), "classic", names, Preprocess(), notes if described else {**notes, "network": _UNDESCRIBED}
    )


def _names_and_notes(file: h5py.File, classes: int) -> tuple[tuple[str, ...], dict[str, str]]:
    """Class names and notes: as Mien wrote them, or what a file of plain Keras must mean."""
    if _ATTRIBUTE not in file.attrs:
        if classes != len(EMOTIONS):
            raise ModelError(f"does not name its {classes} classes; export it from Mien, whose files name them")
        return EMOTIONS, {"classes": _UNNAMED}
    fields = json.loads(file.attrs[_ATTRIBUTE])
    names = fields["classes"]
    if fields["architecture"] != "classic" or Preprocess(**fields["preprocess"]) != Preprocess():
        raise ModelError("made by another version of Mien; export it again")
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise ModelError("its class names are no list of words; export it again")
    if not len(names) == len(set(names)) == classes:
        raise ModelError(f"names {len(set(names))} different classes, but tells {classes} apart; export it again")
    return tuple(names), {str(key): str(note) for key, note in fields["notes"].items()}


def _layers(file: h5py.File) -> Iterator[dict[str, h5py.Dataset]]:
    """Each layer's datasets by role; nothing is read yet."""
    if file.get("layers", getlink=True) is not None:  # Keras 3, save_weights
        for name in (layers := _open(file, "layers")):
            weights = _open(layers, f"{name}/vars")
            roles = _NORM if len(weights) == len(_NORM) else _AFFINE
            yield {role: _open(weights, key) for role, key in zip(roles, weights, strict=False)}
        return
    top = file if "layer_names" in file.attrs else _open(file, "model_weights")  # Keras 2, save_weights; any, save
    for name in _words(top, "layer_names"):
        layer = _open(top, name)
        yield {key.split("/")[-1].split(":")[0]: _open(layer, key) for key in _words(layer, "weight_names")}


def _words(group: h5py.Group, attribute: str) -> list[str]:
    if group.attrs.get_id(attribute).shape[0] > _MOST_NAMES:
        raise ModelError(f"more {attribute} than the classic network has{_ONLY}")
    return [word.decode() if isinstance(word, bytes) else str(word) for word in group.attrs[attribute]]


def _open(group: h5py.Group, path: str) -> Any:
    """What lies at `path`, reached by hard links alone: the other kinds may lead into other files."""
    import h5py

    for name in path.split("/"):
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ModelError(f"'{path}' is missing, or a link to elsewhere; {_AGAIN}")
        group = group[name]
    return group


def _network_for(layers: list[dict[str, h5py.Dataset]]) -> Classic:
    """A classic network with as many classes as the dense layer with 128 inputs has outputs."""
    kernels = [layer["kernel"].shape for layer in layers if "kernel" in layer]
    heads = [shape for shape in kernels if len(shape) == 2 and shape[0] == 128]
    if len(heads) != 1 or len(layers) != 8 or not 2 <= heads[0][1] <= _MOST_CLASSES:
        raise ModelError(f"not 3 convolutions, 3 batch norms, a dense 128 and a head: kernels {kernels}{_ONLY}")
    return cast("Classic", build("classic", heads[0][1]))


def _read_like(expected: Layer, layers: list[dict[str, h5py.Dataset]]) -> Layer:
    """The arrays of the one layer that has the expected roles and shapes, which no two layers share."""
    shapes = {role: array.shape for role, array in expected.items()}
    for layer in layers:
        if {role: dataset.shape for role, dataset in layer.items()} == shapes:
            return {role: _array(layer[role], role) for role in shapes}
    raise ModelError(f"no layer has {', '.join(f'{role} {shape}' for role, shape in shapes.items())}{_ONLY}")


def _array(dataset: h5py.Dataset, role: str) -> NDArray[np.float32]:
    if dataset.dtype.kind != "f" or dataset.external or dataset.is_virtual or dataset.chunks:
        raise ModelError(f"'{dataset.name}' is not stored as Keras stores weights; {_AGAIN}")
    array = np.asarray(dataset[()], dtype=np.float32)
    if not np.isfinite(array).all() or (role == "moving_variance" and array.min() < 0):
        raise ModelError(f"'{dataset.name}' holds numbers that no training leaves; train it again")
    return array


def _check_description(description: dict[str, Any]) -> list[float]:
    """The batch norms' epsilons, once Keras' description is known to be that of the classic network."""
    layers = description["config"]["layers"]
    if description["class_name"] != "Sequential":
        _check_chain(layers, description["config"]["output_layers"])
    steps = [(step, layer["config"]["name"]) for layer in layers for step in _steps(layer)]
    for i, pair in enumerate(zip(steps, steps[1:], strict=False)):
        if [step for step, _ in pair] == ["pooling", "relu"]:  # the same function as the other way round
            steps[i : i + 2] = reversed(pair)
    for (step, name), wanted in zip_longest(steps, _CLASSIC, fillvalue=("nothing", "the end")):
        if step != wanted:
            raise ModelError(f"'{name}' brings {step} where the classic network has {wanted}{_ONLY}")
    epsilons = [layer["config"].get("epsilon", _EPSILON) for layer in layers]
    return [e for e, layer in zip(epsilons, layers, strict=True) if layer["class_name"] == "BatchNormalization"]

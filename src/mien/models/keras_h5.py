"""The classic network as Keras' `.h5`: written through Keras, read as plain arrays.

Reading deserialises no layer and runs no code from the file: it takes arrays of the classic network's shapes, and
checks the description of the layers as plain JSON, for another order of the same layers would answer wrongly.
A student's own `emotion_model.h5` names no classes; they are taken to be FER-2013's seven in alphabetical order.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from mien.emotions import EMOTIONS
from mien.errors import ModelError, UsageError
from mien.models.model import Model
from mien.models.networks import Classic, build
from mien.preprocess import Preprocess

try:
    import h5py
except ImportError:
    raise UsageError(".h5 files need h5py and Keras: pip install 'mien[keras]'") from None

Layer = dict[str, np.ndarray]  # one layer's arrays by role, float32, in Keras' layout
Stored = dict[str, h5py.Dataset]  # the same, not read yet

_ATTRIBUTE = "mien"  # on the file's root: JSON of Model.header()
_AGAIN = "save it again with model.save('emotion_model.h5')"
_ONLY = "; only the classic network can be read from .h5"
_UNNAMED = "not in the file: taken to be the seven of FER-2013 in alphabetical order"
_MOST_BYTES, _MOST_CLASSES = 64 << 20, 1000  # the classic network with Adam's state: 7.5 MB
_EPSILON = 1e-3  # of Keras' batch norm and of ours; what is stored as a variance may be smaller by it (see `_model`)
_DAMAGED = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, ArithmeticError, MemoryError)

_LAYERS: dict[str, tuple[str, dict[str, tuple[Any, ...]]]] = {  # what a Keras layer does, and under which settings
    "InputLayer": ("", {}),
    "Conv2D": ("convolution", {"padding": ("same",), "strides": ([1, 1],), "dilation_rate": ([1, 1],)}),
    "BatchNormalization": ("batch norm", {"axis": (-1, 3, [-1], [3])}),
    "ReLU": ("relu", {"max_value": (None,), "negative_slope": (0, None), "threshold": (0, None)}),
    "MaxPooling2D": ("pooling", {"pool_size": ([2, 2],), "strides": ([2, 2], None)}),
    "Flatten": ("flatten", {}),
    "Dense": ("dense", {}),
    "Activation": ("", {}),
    "Dropout": ("", {}),  # at rest when a network is used, wherever it stands
}
_CLASSIC = ["convolution", "batch norm", "relu", "pooling"] * 3 + ["flatten", "dense", "relu", "dense", "softmax"]


def read_h5(path: Path) -> Model:
    """The classic network in a Keras `.h5` file; raises ModelError unless it is one, whole and without tricks."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ModelError(f"larger than the classic network's file can be{_ONLY}")
        with h5py.File(path, "r") as file:
            return _model(file)
    except ModelError as error:
        raise ModelError(f"{path}: {_line(error)}") from None
    except _DAMAGED as error:
        raise ModelError(f"{path}: not a Keras .h5 file, or a damaged one ({_line(error)}); {_AGAIN}") from None


def write_h5(model: Model, path: Path) -> None:
    """Write a classic network so that Keras can open it; class names and preprocessing travel in an attribute."""
    if model.architecture != "classic":
        raise ModelError(f"{path}: .h5 holds the network 'classic', not '{model.architecture}'; use .safetensors")
    twin = _keras_twin(cast("Classic", model.network), path)
    advice = logging.getLogger("absl")  # where Keras says to prefer its newer format; but a .h5 was asked for
    advice.disabled = True
    try:
        twin.save(path)
    finally:
        advice.disabled = False
    with h5py.File(path, "r+") as file:
        file.pop("optimizer_weights", None)  # of an optimiser that has not begun: Keras 3 would load it as spent
        file.attrs[_ATTRIBUTE] = json.dumps(model.header())


def _line(error: Exception) -> str:
    """One printable line, whatever names from the file an error quotes."""
    return "".join(c if c.isprintable() else "?" for c in str(error) or type(error).__name__)[:400]


def _model(file: h5py.File) -> Model:
    if "model_config" not in file.attrs:
        raise ModelError(f"no Keras model, or its weights without the network they belong to; {_AGAIN}")
    described = _described(json.loads(_text(file, "model_config")))
    names = [layer["name"] for layer in described]
    stored = [_stored(file, name) for name in names]
    classes = stored[-1]["bias"].shape[0]
    if not 2 <= classes <= _MOST_CLASSES:
        raise ModelError(f"tells {classes} classes apart, not 2 to {_MOST_CLASSES}{_ONLY}")
    network = cast("Classic", build("classic", classes))
    _fill(network, [_read_like(*layer) for layer in zip(_to_keras(network), stored, names, strict=True)])
    for (_, norm), layer in zip(_pairs(network), described[1:6:2], strict=True):
        # only variance + epsilon counts, so another epsilon goes into the variance and every model file can hold it
        cast("Tensor", norm.running_var).add_(float(layer.get("epsilon", norm.eps)) - norm.eps)
    return Model(network.eval(), "classic", *_beside_the_weights(file, classes))


def _text(file: h5py.File, attribute: str) -> str | bytes:
    """A text on the file's root, once its kind is known: HDF5 can crash on others in damaged files."""
    stored = file.attrs.get_id(attribute)
    if stored.shape != () or not h5py.check_string_dtype(stored.dtype):
        raise ModelError(f"its '{attribute}' is no text; {_AGAIN}")
    return file.attrs[attribute]


def _beside_the_weights(file: h5py.File, classes: int) -> tuple[tuple[str, ...], Preprocess, dict[str, str]]:
    """Class names, preprocessing and notes: as Mien wrote them, or what a file of plain Keras must mean."""
    if _ATTRIBUTE not in file.attrs:
        if classes != len(EMOTIONS):
            raise ModelError(f"does not name its {classes} classes; export it from Mien, whose files name them")
        return EMOTIONS, Preprocess(), {"classes": _UNNAMED}
    fields = json.loads(_text(file, _ATTRIBUTE))
    names, preprocess = fields["classes"], Preprocess(**fields["preprocess"])
    if fields["architecture"] != "classic" or preprocess.size != 48:
        raise ModelError("made by another version of Mien; export it again")
    words = [name for name in names if isinstance(name, str) and name and name.isprintable()]
    if not isinstance(names, list) or not len(names) == len(words) == len(set(words)) == classes:
        raise ModelError(f"tells {classes} classes apart, but does not name as many different ones; export it again")
    return tuple(names), preprocess, {str(key): str(note) for key, note in fields["notes"].items()}


def _stored(group: h5py.Group, layer: str) -> Stored:
    """A layer's datasets by role (`kernel` of `.../kernel:0`), by hard links alone: others may lead to other files."""
    for name in ("model_weights", *layer.split("/")):
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ModelError(f"'{name}' is missing, or a link to elsewhere; {_AGAIN}")
        group = group[name]
    found: Stored = {}
    group.visititems(lambda path, item: found.update({path.split("/")[-1].split(":")[0]: item}))
    return {role: item for role, item in found.items() if isinstance(item, h5py.Dataset)}


def _read_like(expected: Layer, stored: Stored, name: str) -> Layer:
    """A layer's arrays, once their roles and shapes are known to be the expected ones."""
    wanted, found = ({role: array.shape for role, array in layer.items()} for layer in (expected, stored))
    if found != wanted:
        raise ModelError(f"'{name}' has {found} where the classic network has {wanted}{_ONLY}")
    return {role: _array(stored[role], role) for role in wanted}


def _array(dataset: h5py.Dataset, role: str) -> np.ndarray:
    if dataset.dtype.kind != "f" or dataset.external or dataset.is_virtual or dataset.chunks:
        raise ModelError(f"'{dataset.name}' is not stored as Keras stores weights; {_AGAIN}")
    array = np.asarray(dataset[()], dtype=np.float32)
    if not np.isfinite(array).all() or (role == "moving_variance" and array.min() < -_EPSILON):
        raise ModelError(f"'{dataset.name}' holds numbers that no training leaves; train it again")
    return array


def _described(model: dict[str, Any]) -> list[dict[str, Any]]:
    """Settings of the layers with weights, once Keras' description is known to be that of the classic network."""
    layers = model["config"]["layers"]
    if model["class_name"] != "Sequential":
        _check_chain(model["class_name"], layers, model["config"]["output_layers"])
    steps = [(step, layer["config"]["name"]) for layer in layers for step in _steps(layer)] + [("an end", "it")]
    for (step, name), wanted in zip(steps, [*_CLASSIC, "an end"], strict=False):
        if step != wanted:
            raise ModelError(f"{name} brings {step} where the classic network has {wanted}{_ONLY}")
    return [layer["config"] for layer in layers if layer["class_name"] in ("Conv2D", "BatchNormalization", "Dense")]


def _steps(layer: dict[str, Any]) -> list[str]:
    """What a layer does to a face in use, in the words of `_CLASSIC`: one or two steps, or none."""
    kind, config = layer["class_name"], layer["config"]
    if kind not in _LAYERS:
        raise ModelError(f"'{config['name']}' is a layer {kind}, which the classic network has not{_ONLY}")
    step, settings = _LAYERS[kind]
    if not 0 < config.get("epsilon", 1e-3) <= 1:
        raise ModelError(f"'{config['name']}' has epsilon {config['epsilon']}; train it again")
    shape = config.get("batch_shape") or config.get("batch_input_shape") or [None, 48, 48, 1]
    if shape[1:] != [48, 48, 1]:
        raise ModelError(f"takes images {shape[1:]}, not [48, 48, 1]{_ONLY}")
    for setting, allowed in {**settings, "data_format": ("channels_last",)}.items():
        if config.get(setting, allowed[0]) not in allowed:
            raise ModelError(f"'{config['name']}' has {setting} {config[setting]}, not {allowed[0]}{_ONLY}")
    activation = config.get("activation", "linear")
    return [word for word in (step, str(activation)) if word not in ("", "linear")]


def _check_chain(kind: str, layers: list[dict[str, Any]], outputs: Any) -> None:
    """Raise ModelError unless each layer of a functional model feeds on the one before it, and the last is the end."""
    feeds = [json.dumps(feed, ensure_ascii=False) for feed in (*(layer["inbound_nodes"] for layer in layers), outputs)]
    sources = [re.findall(r'\["([^"]*)", \d+, \d+', feed) for feed in feeds]  # written [name, number, number, ...]
    chained = sources == [[], *([layer["name"]] for layer in layers)]
    if kind not in ("Functional", "Model") or not chained or '"training": true' in "".join(feeds):
        raise ModelError(f"its layers are not one plain chain{_ONLY}")


def _pairs(network: Classic) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    return [(block[0], block[1]) for block in cast("list[Any]", network.blocks)]


def _views(network: Classic) -> list[dict[str, Tensor]]:
    """The network's own tensors in Keras' layout, layer by layer; the flattened kernel as [6, 6, 128, 128]."""
    layers: list[dict[str, Any]] = []
    for convolution, norm in _pairs(network):
        layers.append({"kernel": convolution.weight.permute(2, 3, 1, 0), "bias": convolution.bias})
        layers.append({"gamma": norm.weight, "beta": norm.bias})
        layers[-1] |= {"moving_mean": norm.running_mean, "moving_variance": norm.running_var}
    flat = network.dense.weight.unflatten(1, (128, 6, 6)).permute(2, 3, 1, 0)  # torch: channels first
    layers.append({"kernel": flat, "bias": network.dense.bias})
    layers.append({"kernel": network.head.weight.T, "bias": network.head.bias})
    return [{role: tensor.detach() for role, tensor in layer.items()} for layer in layers]


def _to_keras(network: Classic) -> list[Layer]:
    """The network's arrays as Keras stores them, in the order the data flows."""
    layers = [{role: view.cpu().float().numpy() for role, view in layer.items()} for layer in _views(network)]
    layers[-2]["kernel"] = layers[-2]["kernel"].reshape(-1, network.dense.out_features)
    return layers


def _fill(network: Classic, layers: list[Layer]) -> None:
    """Put arrays such as `_to_keras` gives into the network."""
    for views, arrays in zip(_views(network), layers, strict=True):
        for role, view in views.items():
            view.copy_(torch.from_numpy(arrays[role]).reshape(view.shape))


def _keras_twin(network: Classic, path: Path) -> Any:
    """The same network in Keras, compiled as the tutorial's is."""
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError as error:
        raise UsageError(f"{path}: writing .h5 needs Keras ({error}): pip install 'mien[keras]'") from None
    layers, decay = keras.layers, keras.regularizers.L2(1e-4)
    twin = keras.Sequential([layers.Input((48, 48, 1))])
    for convolution, norm in _pairs(network):
        twin.add(layers.Conv2D(convolution.out_channels, 3, padding="same", kernel_regularizer=decay))
        twin.add(layers.BatchNormalization(epsilon=norm.eps))
        twin.add(layers.Activation("relu"))
        twin.add(layers.MaxPooling2D(2))
    twin.add(layers.Flatten())
    twin.add(layers.Dense(network.dense.out_features, "relu", kernel_regularizer=decay))
    twin.add(layers.Dropout(network.dropout.p))
    twin.add(layers.Dense(network.head.out_features, "softmax"))
    twin.set_weights([array for layer in _to_keras(network) for array in layer.values()])
    twin.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return twin

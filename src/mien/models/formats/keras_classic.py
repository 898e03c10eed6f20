"""The classic network in Keras' words: written through Keras, read as plain arrays.

Reading deserialises no layer and runs no code from the file: it takes arrays of the classic network's shapes, and
checks the description of the layers as plain JSON, for another order of the same layers would answer wrongly.
A student's own `emotion_model.h5` names no classes; they are taken to be FER-2013's seven in alphabetical order.
Keras' softmax knows no temperature: Mien's header holds it, and Mien applies it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np

from mien.emotions import EMOTIONS
from mien.errors import ModelError, UsageError
from mien.models.model import Model, check_numbers, parse_header

try:
    import h5py  # noqa: F401 - here, so that whoever lacks it is told the remedy
    import torch
    from torch import Tensor, nn

    from mien.models.networks import Network, build, convolutions, torch_network
except ImportError as error:
    raise UsageError(f"Keras files need torch, h5py and Keras ({error}): pip install 'mien[train,keras]'") from None

Layer = dict[str, np.ndarray]  # one layer's arrays by role, float32, in Keras' layout

AGAIN = "save it again with model.save(...)"
ONLY = "; only the classic network can be read from Keras files"
_UNNAMED = "not in the file: taken to be the seven of FER-2013 in alphabetical order"
_EPSILON = 1e-3  # of Keras' batch norm and of ours; what is stored as a variance may be smaller by it (see `assemble`)

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


def described(model: dict[str, Any]) -> list[dict[str, Any]]:
    """Settings of the layers with weights, once Keras' description is known to be that of the classic network."""
    layers = model["config"]["layers"]
    if model["class_name"] != "Sequential":
        _check_chain(model["class_name"], layers, model["config"]["output_layers"])
    steps = [(step, layer["config"]["name"]) for layer in layers for step in _steps(layer)] + [("an end", "it")]
    for (step, name), wanted in zip(steps, [*_CLASSIC, "an end"], strict=False):
        if step != wanted:
            raise ModelError(f"{name} brings {step} where the classic network has {wanted}{ONLY}")
    return [layer["config"] for layer in layers if layer["class_name"] in ("Conv2D", "BatchNormalization", "Dense")]


def assemble(layers: list[dict[str, Any]], found: list[Layer], header: str | None) -> Model:
    """The model of described layers and their arrays; `header` is what Mien wrote beside them, if it did."""
    classes = found[-1]["bias"].shape[0]
    fields = _student(classes) if header is None else parse_header(header)
    if fields["architecture"] != "classic" or len(fields["classes"]) != classes:
        told = f"network '{fields['architecture']}', {len(fields['classes'])} classes"
        raise ModelError(f"its header ({told}) does not fit its weights ({classes} classes); export it again")
    network = build("classic", classes)
    names = [layer["name"] for layer in layers]
    _fill(network, [_checked(*layer) for layer in zip(_to_keras(network), found, names, strict=True)])
    for (_, norm), layer in zip(convolutions(network), layers[1:6:2], strict=True):
        # only variance + epsilon counts, so another epsilon goes into the variance and every model file can hold it
        cast("Tensor", norm.running_var).add_(float(layer.get("epsilon", norm.eps)) - norm.eps)
    return Model(network.eval(), **fields)


def twin(model: Model, path: Path) -> Any:
    """The model in Keras, to be saved at `path`; raises ModelError unless it is the classic network."""
    if model.architecture != "classic":
        raise ModelError(
            f"{path.suffix} holds the network 'classic', not '{model.architecture}'; use .safetensors or .onnx"
        )
    return _in_keras(torch_network(model))


def _student(classes: int) -> dict[str, Any]:
    """What a file of plain Keras must mean: it names no classes."""
    if classes != len(EMOTIONS):
        raise ModelError(f"does not name its {classes} classes; export it from Mien, whose files name them")
    return {"architecture": "classic", "classes": EMOTIONS, "notes": {"classes": _UNNAMED}}


def _checked(expected: Layer, found: Layer, name: str) -> Layer:
    """A layer's arrays, once roles, shapes and numbers are known to be such as the classic network has."""
    wanted, stored = ({role: array.shape for role, array in layer.items()} for layer in (expected, found))
    if not found:
        raise ModelError(f"'{name}' is missing, a link to elsewhere, or not stored as Keras stores weights; {AGAIN}")
    if wanted != stored:
        raise ModelError(f"'{name}' has {stored} where the classic network has {wanted}{ONLY}")
    for role, array in found.items():
        check_numbers(array, f"{name}/{role}")
        if role == "moving_variance" and array.min() < -_EPSILON:
            raise ModelError(f"'{name}' has a variance below zero; train it again")
    return found


def _steps(layer: dict[str, Any]) -> list[str]:
    """What a layer does to a face in use, in the words of `_CLASSIC`: one or two steps, or none."""
    kind, config = layer["class_name"], layer["config"]
    if kind not in _LAYERS:
        raise ModelError(f"'{config['name']}' is a layer {kind}, which the classic network has not{ONLY}")
    step, settings = _LAYERS[kind]
    if not 0 < config.get("epsilon", 1e-3) <= 1:
        raise ModelError(f"'{config['name']}' has epsilon {config['epsilon']}; train it again")
    shape = config.get("batch_shape") or config.get("batch_input_shape") or [None, 48, 48, 1]
    if shape[1:] != [48, 48, 1]:
        raise ModelError(f"takes images {shape[1:]}, not [48, 48, 1]{ONLY}")
    for setting, allowed in {**settings, "data_format": ("channels_last",)}.items():
        if config.get(setting, allowed[0]) not in allowed:
            raise ModelError(f"'{config['name']}' has {setting} {config[setting]}, not {allowed[0]}{ONLY}")
    activation = config.get("activation", "linear")
    return [word for word in (step, str(activation)) if word not in ("", "linear")]


def _check_chain(kind: str, layers: list[dict[str, Any]], outputs: Any) -> None:
    """Raise ModelError unless each layer of a functional model feeds on the one before it, and the last is the end."""
    feeds = [json.dumps(feed, ensure_ascii=False) for feed in (*(layer["inbound_nodes"] for layer in layers), outputs)]
    sources = [re.findall(r'\["([^"]*)", \d+, \d+', feed) for feed in feeds]  # written [name, number, number, ...]
    chained = sources == [[], *([layer["name"]] for layer in layers)]
    if kind not in ("Functional", "Model") or not chained or '"training": true' in "".join(feeds):
        raise ModelError(f"its layers are not one plain chain{ONLY}")


def _views(network: Network) -> list[dict[str, Tensor]]:
    """The network's own tensors in Keras' layout, layer by layer; the flattened kernel as [6, 6, 128, 128]."""
    layers: list[dict[str, Any]] = []
    for convolution, norm in convolutions(network):
        layers.append({"kernel": convolution.weight.permute(2, 3, 1, 0), "bias": convolution.bias})
        layers.append({"gamma": norm.weight, "beta": norm.bias})
        layers[-1] |= {"moving_mean": norm.running_mean, "moving_variance": norm.running_var}
    dense = cast("nn.Linear", network.dense)
    flat = dense.weight.unflatten(1, (128, 6, 6)).permute(2, 3, 1, 0)  # torch: channels first
    layers.append({"kernel": flat, "bias": dense.bias})
    layers.append({"kernel": network.head.weight.T, "bias": network.head.bias})
    return [{role: tensor.detach() for role, tensor in layer.items()} for layer in layers]


def _to_keras(network: Network) -> list[Layer]:
    """The network's arrays as Keras stores them, in the order the data flows."""
    layers = [{role: view.cpu().float().numpy() for role, view in layer.items()} for layer in _views(network)]
    layers[-2]["kernel"] = layers[-2]["kernel"].reshape(-1, network.head.in_features)
    return layers


def _fill(network: Network, layers: list[Layer]) -> None:
    """Put arrays such as `_to_keras` gives into the network."""
    for views, arrays in zip(_views(network), layers, strict=True):
        for role, view in views.items():
            view.copy_(torch.from_numpy(arrays[role]).reshape(view.shape))


def _in_keras(network: Network) -> Any:
    """The same network in Keras, compiled as the tutorial's is."""
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError as error:
        raise UsageError(f"writing Keras files needs Keras ({error}): pip install 'mien[keras]'") from None
    layers, decay = keras.layers, keras.regularizers.L2(1e-4)
    twin = keras.Sequential([layers.Input((48, 48, 1))])
    for convolution, norm in convolutions(network):
        twin.add(layers.Conv2D(convolution.out_channels, 3, padding="same", kernel_regularizer=decay))
        twin.add(layers.BatchNormalization(epsilon=norm.eps))
        twin.add(layers.Activation("relu"))
        twin.add(layers.MaxPooling2D(2))
    twin.add(layers.Flatten())
    twin.add(layers.Dense(network.head.in_features, "relu", kernel_regularizer=decay))
    twin.add(layers.Dropout(network.dropout.p))
    twin.add(layers.Dense(network.head.out_features, "softmax"))
    twin.set_weights([array for layer in _to_keras(network) for array in layer.values()])
    twin.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return twin

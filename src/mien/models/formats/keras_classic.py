"""Keras files: the classic network both ways, any other plain stack of layers for prediction.

Reading deserialises no layer and runs no code from the file: it takes plain arrays, and the description of the layers
as plain JSON. A student's own `emotion_model.h5` names no classes; they are given, or taken to be FER-2013's seven in
alphabetical order. Keras' softmax knows no temperature: Mien's header holds it, and Mien applies it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mien.emotions import EMOTIONS
from mien.errors import ModelError, UsageError
from mien.models.architectures import network_name
from mien.models.model import Model, check_numbers, parse_header

try:
    import h5py  # noqa: F401 - here, so that whoever lacks it is told the remedy
    import torch
    from torch import Tensor, nn

    from mien.models.formats.keras_stack import WAY_OUT, Layer, build_stack, is_inert
    from mien.models.networks import Network, build, convolutions, torch_network
except ImportError as error:
    raise UsageError(f"Keras files need torch, h5py and Keras ({error}): pip install '.[train,keras]'") from None


Arrays = dict[str, "NDArray[np.float32]"]  # one layer's, by role, in Keras' layout

AGAIN = "save it again with model.save(...)"
_UNNAMED = "not in the file: taken to be the seven of FER-2013 in alphabetical order"
_GIVEN = "not in the file: as given"
_EPSILON = 1e-3  # of Keras' batch norm and of ours; what is stored as a variance may be smaller by it (see `_filled`)
_DEEPEST = 8  # models within models

_LAYERS: dict[str, tuple[str, dict[str, tuple[Any, ...]]]] = {  # what a Keras layer does, and under which settings
    "Conv2D": ("convolution", {"padding": ("same",), "strides": ([1, 1],), "dilation_rate": ([1, 1],)}),
    "BatchNormalization": ("batch norm", {"axis": (-1, 3, [-1], [3])}),
    "ReLU": ("relu", {"max_value": (None,), "negative_slope": (0, None), "threshold": (0, None)}),
    "MaxPooling2D": ("pooling", {"pool_size": ([2, 2],), "strides": ([2, 2], None)}),
    "Flatten": ("flatten", {}),
    "Dense": ("dense", {}),
    "Activation": ("", {}),
}
_CLASSIC = ["convolution", "batch norm", "relu", "pooling"] * 3 + ["flatten", "dense", "relu", "dense", "softmax"]


def layers_of(model: Mapping[str, Any], depth: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """Class and settings of each layer in the order the data flows; raises ModelError unless it is one plain chain.

    Layers of a model within the model are given in its place, if they do nothing in use.
    """
    layers = model["config"]["layers"]
    if model["class_name"] != "Sequential":
        _check_chain(model["class_name"], layers, model["config"]["output_layers"])
    for layer in layers:
        kind, config = layer["class_name"], layer["config"]
        if kind in ("Sequential", "Functional", "Model") and depth < _DEEPEST:
            inner = [*layers_of(layer, depth + 1)]
            if not all(is_inert(kind) for kind, _ in inner):
                raise ModelError(f"'{config['name']}' is a model of its own within the model{WAY_OUT}")
        yield kind, config


def by_role(arrays: Arrays, kind: str, config: Mapping[str, Any]) -> Arrays:
    """A layer's arrays by role, where Keras 3 numbers them; any more than the roles keep their numbers.

    >>> [*by_role({"0": np.zeros(1), "1": np.zeros(1)}, "BatchNormalization", {"scale": False, "center": False})]
    ['moving_mean', 'moving_variance']
    """
    if kind == "BatchNormalization":
        optional = [role for role, key in (("gamma", "scale"), ("beta", "center")) if config.get(key, True)]
        roles = [*optional, "moving_mean", "moving_variance"]
    else:
        roles = ["alpha"] if kind == "PReLU" else ["kernel", "bias"]
    names = {str(number): role for number, role in enumerate(roles)}
    return {names.get(name, name): array for name, array in arrays.items()}


def model_of(layers: Sequence[Layer], header: str | None, classes: Sequence[str] | None) -> Model:
    """The model of these layers; `header` is what Mien wrote beside them, if it did, `classes` what the user says."""
    layers = [layer for layer in layers if layer.kind not in ("Sequential", "Functional", "Model")]
    stack = build_stack(layers)  # all that is there is known, and fits
    count = stack.steps[-1].shape[0]
    fitting = build("classic", count)
    if not _is_classic(layers, _to_keras(fitting)):
        if header is not None:
            raise ModelError("its header is of another network than its layers; export it again")
        return Model(stack, "keras", **_named(count, classes))
    return _filled(fitting, [layer for layer in layers if layer.arrays], header, classes)


def classic_weights(groups: Mapping[str, Arrays], classes: Sequence[str] | None) -> Model:
    """The classic network of weights saved without it, by the names of their layers; shapes tell which is which."""
    shapes = [arrays["kernel"].shape for arrays in groups.values() if "kernel" in arrays]
    heads = [shape[1] for shape in shapes if len(shape) == 2 and shape[0] == 128]
    if len(heads) != 1:
        raise ModelError(f"holds no weights of the classic network{WAY_OUT}")
    network = build("classic", heads[0])
    layers = []
    for wanted in _to_keras(network):
        shapes = {role: array.shape for role, array in wanted.items()}
        found = [name for name, arrays in groups.items() if {r: a.shape for r, a in arrays.items()} == shapes]
        if len(found) != 1:
            raise ModelError(f"holds {len(found)} layers with {shapes}, where the classic network has one{WAY_OUT}")
        layers.append(Layer("", {"name": found[0]}, groups[found[0]]))
    return _filled(network, layers, None, classes)


def _filled(network: Network, layers: Sequence[Layer], header: str | None, classes: Sequence[str] | None) -> Model:
    """The classic network with these layers' arrays."""
    count = network.head.out_features
    fields = _named(count, classes) if header is None else parse_header(header)
    sound = fields.setdefault("architecture", "classic") == "classic" and not fields.get("others")
    if not sound or len(fields["classes"]) != count:
        stated = f"network '{fields['architecture']}', {len(fields['classes'])} classes"
        raise ModelError(f"its header ({stated}) does not fit its weights ({count} classes); export it again")
    for views, layer in zip(_views(network), layers, strict=True):
        for role, view in views.items():
            array = layer.arrays[role]
            check_numbers(array, f"{layer.config['name']}/{role}")
            if role == "moving_variance" and array.min() < -_EPSILON:
                raise ModelError(f"'{layer.config['name']}' has a variance below zero; train it again")
            view.copy_(torch.from_numpy(array).reshape(view.shape))
    for (_, norm), layer in zip(convolutions(network), layers[1:6:2], strict=True):
        # only variance + epsilon counts, so another epsilon goes into the variance and every model file can hold it
        cast("Tensor", norm.running_var).add_(float(layer.config.get("epsilon", norm.eps)) - norm.eps)
    return Model(network.eval(), **fields)


def twin(model: Model, path: Path) -> Any:
    """The model in Keras, compiled as the tutorial's, to be saved at `path`; raises ModelError unless it is classic."""
    if model.architecture != "classic" or model.others:
        heads = " of two heads" if model.others else ""
        raise ModelError(
            f"{path.suffix} holds the network 'classic', not '{network_name(model.architecture)}'{heads}; "
            "use .safetensors or .onnx"
        )
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        import keras
    except ImportError as error:
        raise UsageError(f"writing Keras files needs Keras ({error}): pip install '.[keras]'") from None
    network, layers, decay = torch_network(model), keras.layers, keras.regularizers.L2(1e-4)
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


def _named(count: int, classes: Sequence[str] | None) -> dict[str, Any]:
    """What a file of plain Keras must mean: it names no classes."""
    if classes:
        if len(classes) != count:
            raise ModelError(f"answers with {count} classes, but --classes names {len(classes)}")
        return {"classes": tuple(classes), "notes": {"classes": _GIVEN}}
    if count != len(EMOTIONS):
        raise ModelError(f"does not name its {count} classes; name them in its order: --classes a,b,c")
    return {"classes": EMOTIONS, "notes": {"classes": _UNNAMED}}


def _is_classic(layers: Sequence[Layer], expected: list[Arrays]) -> bool:
    """Whether these layers, of arrays that are not checked for numbers, are the classic network."""
    words = [word for layer in layers if not is_inert(layer.kind) for word in _words(layer)]
    shapes = [{role: array.shape for role, array in layer.arrays.items()} for layer in layers if layer.arrays]
    return words == _CLASSIC and shapes == [{role: a.shape for role, a in arrays.items()} for arrays in expected]


def _words(layer: Layer) -> list[str]:
    """What a layer does to a face in use, in the words of `_CLASSIC`: one or two, or none."""
    word, settings = _LAYERS.get(layer.kind, ("another", {}))
    if any(layer.config.get(setting, allowed[0]) not in allowed for setting, allowed in settings.items()):
        return ["another"]
    activation = layer.config.get("activation", "linear")
    return [word for word in (word, str(activation)) if word not in ("", "linear")]


def _check_chain(kind: str, layers: list[dict[str, Any]], outputs: Any) -> None:
    """Raise ModelError unless each layer of a functional model feeds on the one before it, and the last is the end."""
    feeds = [json.dumps(feed, ensure_ascii=False) for feed in (*(layer["inbound_nodes"] for layer in layers), outputs)]
    sources = [re.findall(r'\["([^"]*)", \d+, \d+', feed) for feed in feeds]  # written [name, number, number, ...]
    chained = sources == [[], *([layer["name"]] for layer in layers)]
    # augmentation is marked so unasked; of any other layer it means that it answers as in training
    trains = [feed for feed, layer in zip(feeds, layers, strict=False) if not layer["class_name"].startswith("Random")]
    if kind not in ("Functional", "Model") or not chained or '"training": true' in "".join(trains):
        raise ModelError(f"its layers are not one plain chain{WAY_OUT}")


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


def _to_keras(network: Network) -> list[Arrays]:
    """The network's arrays as Keras stores them, in the order the data flows."""
    layers = [{role: view.cpu().float().numpy() for role, view in layer.items()} for layer in _views(network)]
    layers[-2]["kernel"] = layers[-2]["kernel"].reshape(-1, network.head.in_features)
    return layers

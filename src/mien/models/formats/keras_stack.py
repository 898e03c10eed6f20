"""A plain stack of Keras' layers, read as arrays and run by torch.

Nothing of the file is run: its description is JSON, of which known layers with known settings are taken, and their
arrays must have the shapes that these settings mean. Layers that do nothing in use (dropout, noise, random
augmentation) are left out. Maps are NHWC in Keras, NCHW here; a flattening puts them in Keras' order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mien.errors import ModelError
from mien.models.architectures import SIDE
from mien.models.model import check_numbers
from mien.models.networks import pick_device

WAY_OUT = "; let Keras predict, write its predictions.csv, and give that to mien compare"

Shape = tuple[int, ...]  # of one face: C, H, W of maps, or the number of units
Arrays = Mapping[str, "NDArray[np.float32]"]

_MOST_LAYERS = 300
_MOST_NUMBERS = 1 << 22  # of one face's maps; 150,000 where 64 of them are 48 x 48
_MOST_PRODUCTS = 1 << 34  # for one face, in a layer
_INERT = {"InputLayer", "Dropout", "SpatialDropout2D", "GaussianDropout", "GaussianNoise", "AlphaDropout"}
_INERT |= {"ActivityRegularization"}  # and whatever begins with Random: augmentation

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda x: x,
    "relu": F.relu,
    "relu6": F.relu6,
    "elu": F.elu,
    "selu": F.selu,
    "gelu": F.gelu,
    "silu": F.silu,
    "swish": F.silu,
    "mish": F.mish,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "hard_sigmoid": F.hardsigmoid,
}


_ROLES = {"kernel", "bias", "gamma", "beta", "moving_mean", "moving_variance", "alpha"}


class Layer(NamedTuple):
    """One of Keras' layers: its class, its settings, and its arrays by role (`kernel`, `moving_mean` ...)."""

    kind: str
    config: Mapping[str, Any]
    arrays: Arrays


class Step(NamedTuple):
    """A function of maps and some arrays, and the shape of what it gives for a face."""

    run: Callable[..., Tensor]
    arrays: tuple[Tensor, ...]
    shape: Shape


@dataclass(frozen=True)
class KerasStack:
    """Steps from faces to logits. channels: 1, or 3 for gray in all three; scale: what 1 stands for, 1 or 255."""

    steps: tuple[Step, ...]
    channels: int
    scale: float

    def logits(self, faces: NDArray[np.float32], device: str) -> NDArray[np.float32]:
        """Logits, float32 [B, K], of faces float32 [B, 1, 48, 48] in [0, 1]."""
        target = pick_device(device)
        with torch.inference_mode():
            x = torch.from_numpy(faces).to(target).expand(-1, self.channels, -1, -1) * self.scale
            for step in self.steps:
                x = step.run(x, *(array.to(target) for array in step.arrays))
            return x.cpu().numpy()


def is_inert(kind: str) -> bool:
    """Whether a layer does nothing in use."""
    return kind in _INERT or kind.startswith("Random")


def build_stack(layers: Sequence[Layer]) -> KerasStack:
    """The network of these layers; raises ModelError where one is unknown, or does not fit."""
    if len(layers) > _MOST_LAYERS:
        raise ModelError(f"has {len(layers):,} layers, more than {_MOST_LAYERS}{WAY_OUT}")
    for layer in layers:
        if layer.kind not in _LAYERS and not is_inert(layer.kind):
            raise ModelError(f"{_name(layer)} is a layer {layer.kind}, which Mien does not know{WAY_OUT}")
    channels = _channels(layers)
    shape: Shape = (channels, SIDE, SIDE)
    steps: list[Step] = []
    scale = 1.0
    for layer in _without_softmax(layers):
        if is_inert(layer.kind):
            continue
        if layer.kind == "Rescaling" and not steps and abs(_number(layer, "scale", 1)) < 0.1:
            scale = 255.0  # the network takes gray values from 0 to 255
        steps.append(_LAYERS[layer.kind](layer, shape))
        if unknown := layer.arrays.keys() - _ROLES:
            raise ModelError(f"{_name(layer)} has {', '.join(sorted(unknown))}, which Mien does not know{WAY_OUT}")
        for role, array in layer.arrays.items():
            check_numbers(array, f"{layer.config.get('name')}/{role}")
        shape = steps[-1].shape
        if "activation" in layer.config and layer.kind != "Activation":
            steps.append(_activation(layer, shape))
        if math.prod(shape) > _MOST_NUMBERS or min(shape) < 1:
            raise ModelError(f"{_name(layer)} gives {shape} numbers a face, more or fewer than can be{WAY_OUT}")
    if len(shape) != 1 or shape[0] < 2:
        raise ModelError(f"gives {list(shape)} a face, not one number a class{WAY_OUT}")
    return KerasStack(tuple(steps), channels, scale)


def _without_softmax(layers: Sequence[Layer]) -> list[Layer]:
    """The layers less the softmax at their end, inside the last one or after it: logits are what is wanted."""
    used = [layer for layer in layers if not is_inert(layer.kind)]
    if not used:
        raise ModelError(f"has no layers{WAY_OUT}")
    last = used[-1]
    if last.kind == "Softmax" or (last.kind == "Activation" and last.config.get("activation") == "softmax"):
        return used[:-1]
    if last.config.get("activation") == "softmax":
        used[-1] = last._replace(config={**last.config, "activation": "linear"})
    elif last.config.get("activation", "linear") != "linear":
        raise ModelError(f"{_name(last)} ends with {last.config['activation']}, not with softmax or logits{WAY_OUT}")
    return used


def _channels(layers: Sequence[Layer]) -> int:
    """1 or 3, by the size of images that the description gives, or by the first convolution's kernel."""
    for layer in layers:
        shape = layer.config.get("batch_shape") or layer.config.get("batch_input_shape")
        if shape:
            if [*shape[1:3]] != [SIDE, SIDE] or len(shape) != 4 or shape[3] not in (1, 3):
                raise ModelError(f"takes images {shape[1:]}, not [{SIDE}, {SIDE}, 1] or [{SIDE}, {SIDE}, 3]{WAY_OUT}")
            return int(shape[3])
        kernel = layer.arrays.get("kernel")
        if kernel is not None and kernel.ndim == 4:
            return 3 if kernel.shape[2] == 3 else 1
    return 1


# One function a kind of layer: of the layer and of the shape of its input, a step.


def _convolution(layer: Layer, shape: Shape) -> Step:
    channels, height, width = _maps(layer, shape)
    units, groups = _whole(layer, "filters", 1 << 16), _whole(layer, "groups", channels, 1)
    size, stride, dilation = (_pair(layer, key) for key in ("kernel_size", "strides", "dilation_rate"))
    if channels % groups or units % groups:
        raise ModelError(f"{_name(layer)} has {groups} groups of {channels} maps{WAY_OUT}")
    kernel = _array(layer, "kernel", (*size, channels // groups, units))
    arrays = [torch.from_numpy(kernel).permute(3, 2, 0, 1).contiguous(), *_bias(layer, units)]
    span = tuple((k - 1) * d + 1 for k, d in zip(size, dilation, strict=True))
    padding, out = _padding(layer, (height, width), span, stride)
    if kernel.size * math.prod(out) > _MOST_PRODUCTS:
        raise ModelError(f"{_name(layer)} multiplies more than {_MOST_PRODUCTS:,} numbers a face{WAY_OUT}")

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.conv2d(F.pad(x, padding), weight, bias, stride, 0, dilation, groups)

    return Step(run, tuple(arrays), (units, *out))


def _dense(layer: Layer, shape: Shape) -> Step:
    if len(shape) != 1:
        raise ModelError(f"{_name(layer)} follows maps that nothing flattened{WAY_OUT}")
    units = _whole(layer, "units", 1 << 16)
    kernel = _array(layer, "kernel", (*shape, units))
    return Step(F.linear, (torch.from_numpy(kernel).T.contiguous(), *_bias(layer, units)), (units,))


def _batch_norm(layer: Layer, shape: Shape) -> Step:
    if layer.config.get("axis", -1) not in (-1, len(shape), [-1], [len(shape)]):
        raise ModelError(f"{_name(layer)} has axis {layer.config['axis']}, not the last{WAY_OUT}")
    epsilon = _number(layer, "epsilon", 1e-3)
    mean, variance = (_array(layer, role, shape[:1]) for role in ("moving_mean", "moving_variance"))
    if not 0 < epsilon <= 1 or (variance + epsilon).min() <= 0:
        raise ModelError(f"{_name(layer)} has a variance below zero, or epsilon {epsilon}; train it again")
    scale = _array(layer, "gamma", shape[:1]) if layer.config.get("scale", True) else np.ones(shape[0], np.float32)
    shift = _array(layer, "beta", shape[:1]) if layer.config.get("center", True) else np.zeros(shape[0], np.float32)

    def run(x: Tensor, *arrays: Tensor) -> Tensor:
        mean, variance, scale, shift = arrays
        return F.batch_norm(x, mean, variance, scale, shift, eps=epsilon)

    return Step(run, tuple(torch.from_numpy(array) for array in (mean, variance, scale, shift)), shape)


def _pooling(layer: Layer, shape: Shape) -> Step:
    channels, *sides = _maps(layer, shape)
    size = _pair(layer, "pool_size", 2)
    stride = _pair(layer, "strides", 1) if layer.config.get("strides") else size
    padding, out = _padding(layer, sides, size, stride)
    if layer.kind == "MaxPooling2D":

        def run(x: Tensor) -> Tensor:
            return F.max_pool2d(F.pad(x, padding, value=-math.inf), size, stride)
    else:

        def run(x: Tensor) -> Tensor:  # the mean of what is there without the border, as TensorFlow has it
            inside = F.avg_pool2d(F.pad(torch.ones_like(x), padding), size, stride)
            return F.avg_pool2d(F.pad(x, padding), size, stride) / inside

    return Step(run, (), (channels, *out))


def _global_pooling(layer: Layer, shape: Shape) -> Step:
    channels, *_ = _maps(layer, shape)
    if layer.config.get("keepdims"):
        raise ModelError(f"{_name(layer)} has keepdims{WAY_OUT}")
    largest = layer.kind == "GlobalMaxPooling2D"
    return Step(lambda x: x.amax((2, 3)) if largest else x.mean((2, 3)), (), (channels,))


def _flatten(layer: Layer, shape: Shape) -> Step:
    return Step(lambda x: x.permute(0, 2, 3, 1).flatten(1) if x.ndim == 4 else x, (), (math.prod(shape),))


def _zero_padding(layer: Layer, shape: Shape) -> Step:
    channels, height, width = _maps(layer, shape)
    rows, columns = layer.config.get("padding", ((1, 1), (1, 1)))
    top, bottom, left, right = (int(side) for side in (*rows, *columns))
    if not all(0 <= side <= SIDE for side in (top, bottom, left, right)):
        raise ModelError(f"{_name(layer)} has padding {layer.config['padding']}{WAY_OUT}")
    out = (channels, height + top + bottom, width + left + right)
    return Step(lambda x: F.pad(x, (left, right, top, bottom)), (), out)


def _rescaling(layer: Layer, shape: Shape) -> Step:
    scale, offset = _number(layer, "scale", 1), _number(layer, "offset", 0)
    return Step(lambda x: x * scale + offset, (), shape)


def _activation(layer: Layer, shape: Shape) -> Step:
    name = "softmax" if layer.kind == "Softmax" else layer.config.get("activation", "linear")
    if not isinstance(name, str) or name not in _ACTIVATIONS:
        raise ModelError(f"{_name(layer)} has the activation {name} where Mien does not know it{WAY_OUT}")
    return Step(_ACTIVATIONS[name], (), shape)


def _relu(layer: Layer, shape: Shape) -> Step:
    config = layer.config
    highest, slope = config.get("max_value"), config.get("negative_slope") or config.get("alpha") or 0
    if layer.kind == "LeakyReLU":
        slope = slope or 0.3
    if config.get("threshold") or not all(isinstance(value, int | float) for value in (highest or 0, slope)):
        raise ModelError(f"{_name(layer)} has a threshold{WAY_OUT}")
    return Step(lambda x: F.leaky_relu(x, slope).clamp(max=math.inf if highest is None else highest), (), shape)


def _elu(layer: Layer, shape: Shape) -> Step:
    alpha = _number(layer, "alpha", 1)
    return Step(lambda x: F.elu(x, alpha), (), shape)


def _prelu(layer: Layer, shape: Shape) -> Step:
    array = layer.arrays.get("alpha", np.zeros(()))
    wanted = (shape[1], shape[2], shape[0]) if len(shape) == 3 else shape
    if array.ndim != len(wanted) or any(size not in (1, full) for size, full in zip(array.shape, wanted, strict=True)):
        raise ModelError(f"{_name(layer)} has {array.shape} where {wanted} or 1s are wanted{WAY_OUT}")
    slopes = torch.from_numpy(array)
    slopes = slopes.permute(2, 0, 1) if len(shape) == 3 else slopes
    return Step(lambda x, slopes: x.clamp(min=0) + slopes * x.clamp(max=0), (slopes,), shape)


_LAYERS: dict[str, Callable[[Layer, Shape], Step]] = {
    "Conv2D": _convolution,
    "Dense": _dense,
    "BatchNormalization": _batch_norm,
    "MaxPooling2D": _pooling,
    "AveragePooling2D": _pooling,
    "GlobalAveragePooling2D": _global_pooling,
    "GlobalMaxPooling2D": _global_pooling,
    "Flatten": _flatten,
    "ZeroPadding2D": _zero_padding,
    "Rescaling": _rescaling,
    "Activation": _activation,
    "ReLU": _relu,
    "LeakyReLU": _relu,
    "PReLU": _prelu,
    "ELU": _elu,
    "Softmax": _activation,  # refused anywhere but at the end
}


def _name(layer: Layer) -> str:
    return f"'{layer.config.get('name')}'"


def _maps(layer: Layer, shape: Shape) -> tuple[int, int, int]:
    """The channels, height and width of a layer's input; raises ModelError where that is no map."""
    if layer.config.get("data_format") not in (None, "channels_last"):
        raise ModelError(f"{_name(layer)} has data_format {layer.config['data_format']}, not channels_last{WAY_OUT}")
    if len(shape) != 3:
        raise ModelError(f"{_name(layer)} takes maps, but follows {shape[0]} flat numbers{WAY_OUT}")
    return shape[0], shape[1], shape[2]


def _array(layer: Layer, role: str, shape: Shape) -> NDArray[np.float32]:
    found = layer.arrays.get(role)
    if found is None or found.shape != shape:
        stored = {name: array.shape for name, array in layer.arrays.items()}
        raise ModelError(
            f"{_name(layer)} has {stored} where {role} {shape} is wanted: missing, a link to elsewhere, or not stored "
            "as Keras stores weights; save it again with model.save(...)"
        )
    return found


def _bias(layer: Layer, units: int) -> list[Tensor]:
    return [torch.from_numpy(_array(layer, "bias", (units,)))] if layer.config.get("use_bias", True) else []


def _number(layer: Layer, key: str, default: float) -> float:
    value = layer.config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ModelError(f"{_name(layer)} has {key} {value}{WAY_OUT}")
    return float(value)


def _whole(layer: Layer, key: str, most: int, default: int = 0) -> int:
    value = layer.config.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise ModelError(f"{_name(layer)} has {key} {value}{WAY_OUT}")
    return value


def _pair(layer: Layer, key: str, default: int = 1) -> tuple[int, int]:
    """A setting of two whole numbers, rows and columns."""
    value = layer.config.get(key, default)
    pair = [value, value] if isinstance(value, int) else value
    sound = isinstance(pair, list | tuple) and len(pair) == 2
    if not sound or not all(isinstance(side, int) and side is not True and 1 <= side <= SIDE for side in pair):
        raise ModelError(f"{_name(layer)} has {key} {value}{WAY_OUT}")
    return pair[0], pair[1]


def _padding(
    layer: Layer, sides: Sequence[int], span: Sequence[int], stride: Sequence[int]
) -> tuple[list[int], tuple[int, int]]:
    """Zeros left, right, above and below, and the size of what a window of that span gives.

    "same": as many windows as strides begin on the map; of an odd number of zeros, Keras puts the larger half behind.
    """
    if layer.config.get("padding", "valid") not in ("same", "valid"):
        raise ModelError(f"{_name(layer)} has padding {layer.config['padding']}{WAY_OUT}")
    if layer.config.get("padding", "valid") == "valid":
        height, width = ((side - reach) // step + 1 for side, reach, step in zip(sides, span, stride, strict=True))
        return [0, 0, 0, 0], (max(height, 0), max(width, 0))
    height, width = (-(-side // step) for side, step in zip(sides, stride, strict=True))
    zeros = [
        max((count - 1) * step + reach - side, 0)
        for side, count, reach, step in zip(sides, (height, width), span, stride, strict=True)
    ]
    (above, left), (below, right) = [z // 2 for z in zeros], [z - z // 2 for z in zeros]
    return [left, right, above, below], (height, width)

"""A network in whole numbers of 8 bits: a quarter of the file, and several times the speed.

A uint8 number q between two layers stands for q * scale, an int8 weight for q * its output channel's scale, an int32
bias for q * the product of the two. Source: Jacob et al. 2018, arXiv:1712.05877.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import torch
from torch.nn.functional import conv2d, max_pool2d, pixel_unshuffle, unfold

from mien.errors import ModelError
from mien.models.architectures import Architecture, Layer
from mien.models.model import check_numbers
from mien.models.networks import AnyOfOurs, MeanNetwork, eval_copy, folded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from mien.models.networks import Network

_LEVELS = 255  # above zero, of the numbers between two layers ...
_LEVELS_OF_EITHER_SIGN = 127  # ... and above and below, of those that a residual block adds up
# Processors without VNNI add two products at a time in 16 bits: 2 * 255 * 64 still fits, 2 * 255 * 127 would not.
_LARGEST_WEIGHT = 64
_LARGEST_BIAS = 2**30  # leaves room for the products, which are added to it
_SMALLEST_SCALE = np.float32(1e-12)
_BATCH = 64
_BINS = 4096
_MOST_VALUES = 1 << 24  # of a layer's results, for its range


class Met(NamedTuple):
    """A layer of a network, its arrays in float32, and what it met on some faces.

    mean_input [in]: the mean of what each weight is multiplied with. range: of the results, of their size where they
    may be below zero.
    """

    layer: Layer
    arrays: list[NDArray[np.float32]]
    mean_input: NDArray[np.float32]
    range: float


def quantized(network: AnyOfOurs, faces: NDArray[np.float32]) -> list[NDArray[Any]]:
    """The arrays of the network's int8 file, in the file's order; heads and gates stay in float32.

    Ranges and biases suit `faces`, float32 [N, 1, 48, 48] in [0, 1]. Raises ModelError where there are none, or where
    a weight is no number.
    """
    if not len(faces):
        raise ModelError("int8 takes its ranges from training faces, but there are none; give --data with some")
    if isinstance(network, MeanNetwork):
        views = np.concatenate([faces, faces[..., ::-1]]) if network.mean.mirror else faces
        return [array for member in network.members for array in quantized(cast("Network", member), views)]
    weights = folded(eval_copy(network, torch.device("cpu")))
    for number, array in enumerate(weights):
        check_numbers(array, f"weight {number}")
    plan = network.architecture.plan()
    scales = [np.float32(1 / _LEVELS)]  # of the face and of each layer's results
    arrays: list[NDArray[Any]] = [np.array(scales[0])]
    for met in _met(plan, weights, faces):
        scale = max(np.float32(met.range / (_LEVELS if met.layer.relu else _LEVELS_OF_EITHER_SIGN)), _SMALLEST_SCALE)
        if met.layer.kind == "gate":
            arrays += met.arrays
        elif met.layer.kind == "sum":
            arrays.append(np.array(scale))
        else:
            weight, weight_scales, bias = _quantized_layer(met, scales[met.layer.sources[0] + 1])
            arrays += [weight, weight_scales, np.array(scale), bias]
        scales.append(scale)
    return [*arrays, *weights[-2 * network.head_count :]]


def dequantized(architecture: Architecture, arrays: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
    """Weights and biases in float32, as `folded` gives them, of arrays such as `quantized` gives for one network.

    >>> conv = [np.full((4, 4, 3, 3), 2, np.int8), np.full(4, 0.5), np.array(0.1), np.full(4, 20, np.int32)]
    >>> arrays = [np.array(0.01), *conv, np.ones((2, 1)), np.ones(2)]
    >>> weight, bias, *head = dequantized(Architecture(((1,),), dropout=0.0), arrays)
    >>> weight.shape, float(weight.max()), round(float(bias[0]), 3)
    ((1, 1, 3, 3), 1.0, 0.1)
    """
    left, weights = iter(arrays), []
    scales = [next(left)]  # of the face and of each layer's results
    for number, layer in enumerate(architecture.plan()):
        if layer.kind == "gate":
            weights += [next(left) for _ in range(4)]
            scales.append(np.array(0))
        elif layer.kind == "sum":
            scales.append(next(left))
        else:
            weight, weight_scales, scale, bias = (next(left) for _ in range(4))
            weight, bias = (weight.T * weight_scales).T, bias * weight_scales * scales[layer.sources[0] + 1]
            weights += [weight, bias] if number or not layer.pool else [_over_pixels(weight), bias[: len(bias) // 4]]
            scales.append(scale)
    return [array.astype(np.float32) for array in (*weights, *left)]


def _over_pixels(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    """The convolution [C, 1, 3, 3] over pixels of which `_over_blocks` gave this."""
    blocks = blocks.reshape(2, 2, -1, 2, 2, 3, 3)
    weight = np.zeros((blocks.shape[2], 1, 3, 3))
    for row, column in np.ndindex(3, 3):
        (block_row, inner_y), (block_column, inner_x) = divmod(row - 1, 2), divmod(column - 1, 2)
        weight[:, 0, row, column] = blocks[0, 0, :, inner_y, inner_x, block_row + 1, block_column + 1]
    return weight


@torch.inference_mode()
def _met(plan: Sequence[Layer], weights: Sequence[NDArray[np.float32]], faces: NDArray[np.float32]) -> Iterator[Met]:
    """Each layer on some faces; a first one that pools over blocks of pixels."""
    left = iter(weights)
    given = {-1: torch.from_numpy(faces)}  # by the face and by each layer, as long as a layer needs it
    for number, layer in enumerate(plan):
        own = [next(left).reshape(shape) for shape in _shapes(layer)]
        taken = [given[source] for source in layer.sources]
        tensors = [torch.from_numpy(array) for array in own]
        batches = zip(*(maps.split(_BATCH) for maps in taken), strict=True)
        given[number] = torch.cat([_apply(layer, tensors, batch) for batch in batches])
        if not number and layer.pool:
            own = [_over_blocks(own[0]), np.tile(own[1], 4)]
        mean_input = (
            _mean_input(taken[0], own[0]) if layer.kind in ("convolution", "dense") else np.zeros(0, np.float32)
        )
        values = given[number].flatten()[:: max(1, given[number].numel() // _MOST_VALUES)]
        yield Met(layer, own, mean_input, _best_range(values.numpy() if layer.relu else values.abs().numpy()))
        for source in layer.sources:
            if not any(source in later.sources for later in plan[number + 1 :]):
                given.pop(source, None)


def _shapes(layer: Layer) -> list[tuple[int, ...]]:
    """Shapes of the arrays of a layer in float32."""
    if layer.kind == "sum":
        return []
    shapes = [layer.shape, layer.shape[:1]]
    units, channels = layer.shape[:2]
    return [*shapes, (channels, units, 1, 1), (channels,)] if layer.kind == "gate" else shapes


def _apply(layer: Layer, arrays: Sequence[Tensor], taken: Sequence[Tensor]) -> Tensor:
    """What a layer gives for a batch."""
    maps = taken[0]
    if layer.kind == "sum":
        maps = maps + taken[1]
    elif layer.kind == "gate":
        weight, bias, back, back_bias = arrays
        units = conv2d(maps.mean((2, 3), keepdim=True), weight, bias).relu()
        maps = maps * conv2d(units, back, back_bias).sigmoid()
    else:
        padding = layer.shape[2] // 2 if layer.kind == "convolution" else 0
        maps = conv2d(maps, arrays[0], arrays[1], padding=padding)
    maps = max_pool2d(maps, 2) if layer.pool else maps
    return maps.relu() if layer.relu else maps


def _over_blocks(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """A convolution [C, 1, 3, 3] over pixels as one [4 C, 4, 3, 3] over blocks of 2x2 pixels.

    Pixel (y, x) is channel 2 (y % 2) + x % 2 of block (y // 2, x // 2); the results likewise, in groups of C channels.
    """
    blocks = np.zeros((2, 2, len(weight), 2, 2, 3, 3), np.float32)
    for y, x, row, column in np.ndindex(2, 2, 3, 3):
        (block_row, inner_y), (block_column, inner_x) = divmod(y + row - 1, 2), divmod(x + column - 1, 2)
        blocks[y, x, :, inner_y, inner_x, block_row + 1, block_column + 1] = weight[:, 0, row, column]
    return blocks.reshape(4 * len(weight), 4, 3, 3)


def _mean_input(maps: Tensor, weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean over faces and positions of what each weight of a layer is multiplied with, float32 [in]."""
    mean = maps.mean(0, keepdim=True)
    blocks = mean if mean.shape[1] == weight.shape[1] else pixel_unshuffle(mean, 2)
    side = weight.shape[2]
    padding = 0 if side == blocks.shape[2] else side // 2  # a dense layer's kernel covers the map
    return unfold(blocks, side, padding=padding).mean((0, 2)).numpy()


def _quantized_layer(met: Met, scale: np.float32) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.int32]]:
    """Weights, their scales [out] and biases [out] of a layer whose input is in multiples of `scale`.

    A channel whose weights are next to nothing gets the scale with which its bias still fits. What rounding the weights
    adds to a channel on average, the bias takes away again.
    """
    flat, bias = met.arrays[0].reshape(len(met.arrays[0]), -1), met.arrays[1]
    scales = np.maximum(np.abs(flat).max(1) / _LARGEST_WEIGHT, np.abs(bias) / (scale * _LARGEST_BIAS))
    scales = np.maximum(scales, _SMALLEST_SCALE)
    weight = np.rint(flat / scales[:, None])
    bias = bias + (flat - weight * scales[:, None]) @ met.mean_input
    weight = weight.astype(np.int8).reshape(met.arrays[0].shape)
    return weight, scales, np.rint(bias / (scales.astype(np.float64) * scale)).astype(np.int32)


def _best_range(values: NDArray[np.float32]) -> float:
    """The r with the least squared error when values above zero are rounded to 255ths of r, and clipped at r.

    Rounding to a step s costs s^2 / 12 a value. Next to 0 where no value is above zero.
    """
    highest = max(float(values.max()), float(_SMALLEST_SCALE))
    counts, edges = np.histogram(values[values > 0], _BINS, (0, highest))
    middles, ends = (edges[:-1] + edges[1:]) / 2, edges[1:]
    above, sums, squares = (part.sum() - np.cumsum(part) for part in (counts * middles**power for power in range(3)))
    clipping = squares - 2 * ends * sums + ends**2 * above
    rounding = (ends / _LEVELS) ** 2 / 12 * np.cumsum(counts)
    return float(ends[np.argmin(clipping + rounding)])

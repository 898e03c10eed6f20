"""A network in whole numbers of 8 bits: a quarter of the file, and several times the speed.

A uint8 number q between two layers stands for q * scale, an int8 weight for q * its output channel's scale, an int32
bias for q * the product of the two. Source: Jacob et al. 2018, arXiv:1712.05877.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.nn.functional import pixel_unshuffle, unfold

from mien.errors import ModelError
from mien.models.model import check_numbers
from mien.models.networks import Network, eval_copy, folded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

_LEVELS = 255  # above zero, of the numbers between two layers
# Processors without VNNI add two products at a time in 16 bits: 2 * 255 * 64 still fits, 2 * 255 * 127 would not.
_LARGEST_WEIGHT = 64
_LARGEST_BIAS = 2**30  # leaves room for the products, which are added to it
_SMALLEST_SCALE = np.float32(1e-12)
_BATCH = 64
_BINS = 4096


class Layer(NamedTuple):
    """A layer and its ReLU in float32, and what they meet on some faces.

    weight [out, in]; bias [out]; mean_input [in]: the mean of what each weight is multiplied with; range: of the
    results.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    mean_input: NDArray[np.float32]
    range: float


def quantized(network: Network, faces: NDArray[np.float32]) -> list[NDArray[Any]]:
    """The arrays of the network's int8 file, in the file's order; the head stays in float32.

    Ranges and biases suit `faces`, float32 [N, 1, 48, 48] in [0, 1]. Raises ModelError where there are none, or where
    a weight is no number.
    """
    if not len(faces):
        raise ModelError("int8 takes its ranges from training faces, but there are none; give --data with some")
    network = eval_copy(network, torch.device("cpu"))
    weights = folded(network)
    for number, array in enumerate(weights):
        check_numbers(array, f"weight {number}")
    scale = np.float32(1 / _LEVELS)
    arrays: list[NDArray[Any]] = [np.array(scale)]
    for layer in _layers(network, weights[:-2], faces):
        weight, scales, bias = _quantized_layer(layer, scale)
        scale = max(np.float32(layer.range / _LEVELS), _SMALLEST_SCALE)
        arrays += [weight, scales, np.array(scale), bias]
    return [*arrays, *weights[-2:]]


def dequantized(arrays: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
    """Weights and biases in float32, as `folded` gives them, of arrays such as `quantized` gives.

    >>> conv = [np.full((4, 4, 3, 3), 2, np.int8), np.full(4, 0.5), np.array(0.1), np.full(4, 20, np.int32)]
    >>> weight, bias, *head = dequantized([np.array(0.01), *conv, np.ones((2, 1)), np.ones(2)])
    >>> weight.shape, float(weight.max()), round(float(bias[0]), 3)
    ((1, 1, 3, 3), 1.0, 0.1)
    """
    scale, weights = arrays[0], []
    for weight, scales, following, bias in zip(*(arrays[start:-2:4] for start in range(1, 5)), strict=True):
        weights += [(weight.T * scales).T, bias * scales * scale]
        scale = following
    weights[0], weights[1] = _over_pixels(weights[0]), weights[1][: len(weights[1]) // 4]
    return [array.astype(np.float32) for array in (*weights, *arrays[-2:])]


def _over_pixels(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    """The convolution [C, 1, 3, 3] over pixels of which `_over_blocks` gave this."""
    blocks = blocks.reshape(2, 2, -1, 2, 2, 3, 3)
    weight = np.zeros((blocks.shape[2], 1, 3, 3))
    for row, column in np.ndindex(3, 3):
        (block_row, inner_y), (block_column, inner_x) = divmod(row - 1, 2), divmod(column - 1, 2)
        weight[:, 0, row, column] = blocks[0, 0, :, inner_y, inner_x, block_row + 1, block_column + 1]
    return weight


@torch.inference_mode()
def _layers(network: Network, weights: list[NDArray[np.float32]], faces: NDArray[np.float32]) -> list[Layer]:
    """All layers but the head, whose folded weights and biases are given; the first one over blocks of pixels."""
    first, first_bias, *others = weights
    weights = [_over_blocks(first), np.tile(first_bias, 4), *others]
    inputs = [torch.from_numpy(faces)]
    for block in network.blocks:
        inputs.append(torch.cat([block(some) for some in inputs[-1].split(_BATCH)]))
    if network.dense:
        inputs.append(torch.relu(network.dense(inputs[-1].flatten(1))))
    return [
        Layer(weight.reshape(len(weight), -1), bias, _mean_input(taken, weight), _best_range(given.numpy()))
        for weight, bias, taken, given in zip(weights[::2], weights[1::2], inputs, inputs[1:], strict=False)
    ]


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
    if weight.ndim == 2:
        return mean.flatten().numpy()
    blocks = mean if mean.shape[1] == weight.shape[1] else pixel_unshuffle(mean, 2)
    return unfold(blocks, 3, padding=1).mean((0, 2)).numpy()


def _quantized_layer(
    layer: Layer, scale: np.float32
) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.int32]]:
    """Weights [out, in], their scales [out] and biases [out] of a layer whose input is in multiples of `scale`.

    A channel whose weights are next to nothing gets the scale with which its bias still fits. What rounding the weights
    adds to a channel on average, the bias takes away again.
    """
    scales = np.maximum(np.abs(layer.weight).max(1) / _LARGEST_WEIGHT, np.abs(layer.bias) / (scale * _LARGEST_BIAS))
    scales = np.maximum(scales, _SMALLEST_SCALE)
    weight = np.rint(layer.weight / scales[:, None])
    bias = layer.bias + (layer.weight - weight * scales[:, None]) @ layer.mean_input
    return weight.astype(np.int8), scales, np.rint(bias / (scales.astype(np.float64) * scale)).astype(np.int32)


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

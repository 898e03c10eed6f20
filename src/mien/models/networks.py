"""The networks. Each takes float [B, 1, 48, 48] in [0, 1] and gives logits, float [B, K].

`build(name, classes)` makes one with random weights; `NETWORKS` lists the names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from mien.errors import UsageError
from mien.models import kernels

if TYPE_CHECKING:
    from torch import Tensor

_VECTOR = 32  # bfloat16 numbers in the widest register
_KERAS_EPSILON = 1e-3  # batch norm as Keras has it, so that weights can travel both ways


class Block(nn.Sequential):
    """3x3 convolution, batch norm, 2x2 max pool, ReLU.

    Pooling before the ReLU gives the same values as after it (both are monotone), on a quarter of the numbers.
    """

    def __init__(self, channels_in: int, channels_out: int, *, pool: bool = True) -> None:
        super().__init__(
            nn.Conv2d(channels_in, channels_out, 3, padding=1),
            nn.BatchNorm2d(channels_out, eps=_KERAS_EPSILON),
            nn.MaxPool2d(2) if pool else nn.Identity(),
            nn.ReLU(),
        )
        self.width = channels_out
        self.window = 2 if pool else 1
        self.fused: bool = False

    def forward(self, input: Tensor) -> Tensor:
        """Maps [B, out, H / 2, W / 2] of maps [B, in, H, W]; of full size where the block does not pool."""
        if self.fused and self.training:
            return kernels.norm_pool_relu(self[0](input), cast("nn.BatchNorm2d", self[1]), self.window)
        return super().forward(input)


class Network(nn.Module):
    """What all networks have: a last layer that gives the logits."""

    head: nn.Linear


class Classic(Network):
    """The tutorial's network: three blocks of 32, 64, 128 filters, flatten, dense 128, dropout, K logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block(1, 32), Block(32, 64), Block(64, 128))
        self.dense = nn.Linear(128 * 6 * 6, 128)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(128, classes)
        _start(self, self.head)

    def forward(self, faces: Tensor) -> Tensor:
        """Logits [B, K] of faces [B, 1, 48, 48]."""
        flat = self.blocks(faces).flatten(1)
        return self.head(self.dropout(torch.relu(self.dense(flat))))


class Pooled(Network):
    """Blocks of the given widths, then the mean over all places instead of a flattened dense layer.

    `widths` is one tuple a stage; each stage ends in a 2x2 max pool, the last one in the global mean.
    """

    def __init__(self, classes: int, widths: tuple[tuple[int, ...], ...], dropout: float) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels = 1
        for stage in widths:
            for i, width in enumerate(stage):
                blocks.append(Block(channels, width, pool=i == len(stage) - 1))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, classes)
        _start(self, self.head)

    def forward(self, faces: Tensor) -> Tensor:
        """Logits [B, K] of faces [B, 1, 48, 48]."""
        return self.head(self.dropout(self.blocks(faces).mean((2, 3))))


NETWORKS: dict[str, Callable[[int], Network]] = {
    "classic": Classic,
    "pooled": lambda classes: Pooled(classes, ((32,), (64,), (128,)), dropout=0.5),
    "deep": lambda classes: Pooled(classes, ((24,), (48, 48), (96, 96), (192, 192)), dropout=0.2),
}


def build(name: str, classes: int) -> Network:
    """The network called `name` for K = `classes`, with weights drawn from torch's generator."""
    if name not in NETWORKS:
        raise UsageError(f"unknown network '{name}'; there are {', '.join(NETWORKS)}")
    return NETWORKS[name](classes).to(memory_format=torch.channels_last)  # pyrefly: ignore[no-matching-overload]


def fuse(network: Network) -> None:
    """Let the blocks train with compiled kernels, where there is a compiler.

    Blocks whose width fills no whole vector stay as they are: there PyTorch's own operations are faster.
    """
    for block in network.modules():
        if isinstance(block, Block):
            block.fused = kernels.available() and block.width % _VECTOR == 0


def last_convolution(network: nn.Module) -> nn.Module:
    """The last block of convolutions, whose maps Grad-CAM weighs (before its pooling)."""
    return [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)][-1]


def _start(network: nn.Module, head: nn.Linear) -> None:
    """Keras' defaults, glorot-uniform kernels and zero biases; but the head starts at zero.

    Keras' head starts with logits of size 2 that mean nothing. Their loss is large, most of all under class
    weights, and the quickest way to lower it is to switch the flattened layer's units off: the network then
    answers the same for every face, for good. A head at zero says ln K and has nothing to unlearn.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    nn.init.zeros_(head.weight)

"""The weights that training begins with: random ones, or another model's."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch

from mien.errors import ModelError, UsageError
from mien.models.model import Model
from mien.models.networks import Block, Network, build, torch_network

if TYPE_CHECKING:
    from torch import Tensor, nn


def check_init(network: str, init: Model | None) -> None:
    """Raise ModelError unless training of `network` ("" for that of `init`) can begin with the weights of `init`."""
    if init is None:
        if not network:
            raise UsageError("this recipe trains a model further; give --init, a model such as base")
        return
    torch_network(init)
    if network and init.architecture != network:
        raise ModelError(
            f"--init is a network '{init.architecture}', but the recipe trains '{network}'; give a model of "
            "that network, or --recipe finetune"
        )


def initial_network(architecture: str, classes: tuple[str, ...], init: Model | None, faces: Tensor) -> Network:
    """A network with random weights, or with those of `init`; its last layer only for the same classes.

    faces: some of the training faces, float32 [N, 1, S, S] in [0, 1], for the batch norms of an `init` without any.
    """
    network = build(architecture, len(classes))
    if init is None:
        return network
    source = torch_network(init)
    weights = source.state_dict()
    if init.classes != classes:
        weights = {name: weight for name, weight in weights.items() if not name.startswith("head.")}
    network.load_state_dict(weights, strict=False)
    if source is not init.network:  # an .onnx model: its batch norms are folded into the convolutions
        unfold_norms(network, faces)
    return network


@torch.no_grad()
def unfold_norms(network: Network, faces: Tensor) -> None:
    """Give each batch norm the statistics of `faces`; in eval mode the answers stay the same but for rounding."""
    network.eval()
    maps = faces
    for block in cast("list[Block]", list(network.blocks)):
        following = block(maps)
        convolution, norm = cast("tuple[nn.Conv2d, nn.BatchNorm2d]", (block[0], block[1]))
        old_mean, old_variance, _ = norm.buffers()
        scale = norm.weight * (old_variance + norm.eps).rsqrt()
        variance, mean = torch.var_mean(convolution(maps), (0, 2, 3), correction=0)
        norm.bias.add_(scale * (mean - old_mean))
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        old_mean.copy_(mean)
        old_variance.copy_(variance)
        maps = following


def freeze(network: Network, count: int) -> None:
    """Keep the first `count` blocks of convolutions as they are: no gradient reaches them."""
    if count >= len(network.blocks) + 1 or count < 0:
        raise UsageError(f"--freeze {count}: the network has {len(network.blocks)} blocks of convolutions")
    for block in list(network.blocks)[:count]:
        block.requires_grad_(False)


def train_mode(network: Network) -> None:
    """Train mode, but for frozen blocks, whose batch norms keep their statistics."""
    network.train()
    for block in network.blocks:
        if not next(block.parameters()).requires_grad:
            block.eval()

"""The weights that training begins with: random ones, or another model's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from mien.errors import ModelError, UsageError
from mien.models.architectures import Architecture, Mean, from_plain, network_name, to_plain
from mien.models.model import Model
from mien.models.networks import Network, build, convolutions, torch_network

if TYPE_CHECKING:
    from torch import Tensor, nn


def check_init(network: str | Mapping[str, Any], init: Model | None) -> None:
    """Raise ModelError unless training of `network` ("" for that of `init`) can begin with the weights of `init`."""
    if init is None:
        if not network:
            raise UsageError("this recipe trains a model further; give --init, a model such as base")
        return
    torch_network(init)
    if network and to_plain(init.architecture) != network:
        raise ModelError(
            f"--init is a network '{network_name(init.architecture)}', but the recipe trains '{network}'; give a model "
            "of that network, or --recipe finetune"
        )


def initial_network(
    network: str | Mapping[str, Any], classes: tuple[str, ...], init: Model | None, faces: Tensor, heads: int = 1
) -> Network:
    """A network with random weights, or with those of `init`; its last layer only for the same classes and heads.

    faces: some of the training faces, float32 [N, 1, S, S] in [0, 1], for the batch norms of an `init` without any.
    """
    built = build(described(network), len(classes), heads)
    if init is None:
        return built
    source = torch_network(init)
    weights = source.state_dict()
    kept = init.classes == classes and heads in (1, source.head_count)
    for name in ("head.weight", "head.bias"):
        head = weights.pop(name)
        if kept:
            weights[name] = head if heads > 1 else head.chunk(source.head_count)[source.answers]
    built.load_state_dict(weights, strict=False)
    if source is not init.network:  # an .onnx model: its batch norms are folded into the convolutions
        unfold_norms(built, faces)
    return built


def described(network: str | Mapping[str, Any]) -> str | Architecture:
    """A recipe's network: the name of one, or what one is made of; raises ModelError for the mean of several."""
    found = network if isinstance(network, str) else from_plain(network)
    if isinstance(found, Mean):
        raise ModelError("a mean of networks is not trained; train its members")
    return found


@torch.no_grad()
def unfold_norms(network: Network, faces: Tensor) -> None:
    """Give each batch norm the statistics of `faces`; in eval mode the answers stay the same but for rounding."""
    pairs = convolutions(network)
    found: dict[nn.Module, tuple[Tensor, Tensor]] = {}

    def look(convolution: nn.Module, _: object, maps: Tensor) -> None:
        found[convolution] = torch.var_mean(maps, (0, 2, 3), correction=0)

    handles = [convolution.register_forward_hook(look) for convolution, _ in pairs]
    network.eval()(faces)
    for handle in handles:
        handle.remove()
    for convolution, norm in pairs:
        variance, mean = found[convolution]
        old_mean, old_variance, _ = norm.buffers()
        scale = norm.weight * (old_variance + norm.eps).rsqrt()
        norm.bias.add_(scale * (mean - old_mean))
        norm.weight.copy_(scale * (variance + norm.eps).sqrt())
        old_mean.copy_(mean)
        old_variance.copy_(variance)


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

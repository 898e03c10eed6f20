"""The networks. Each takes float [B, 1, 48, 48] in [0, 1] and gives logits, float [B, H K]: K for each of its H heads.

`build(network, classes)` makes one with random weights, of a name in `ARCHITECTURES` or of what it is made of.
"""

from __future__ import annotations

import itertools
from copy import copy, deepcopy
from typing import TYPE_CHECKING, TypeVar, cast

import torch
from torch import nn

from mien.errors import ModelError, UsageError
from mien.models.architectures import (
    ARCHITECTURES,
    LEAST_PROBABILITY,
    SIDE,
    Architecture,
    Described,
    Mean,
    architecture_of,
    squeezed,
)
from mien.models.kernels import fused as kernels
from mien.models.model import Model

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

AnyNetwork = TypeVar("AnyNetwork", bound=nn.Module)

_VECTOR = 32  # bfloat16 numbers in the widest register
_KERAS_EPSILON = 1e-3  # batch norm as Keras has it, so that weights can travel both ways


class Block(nn.Sequential):
    """3x3 convolution, batch norm, 2x2 max pool, ReLU, dropout.

    Pooling before the ReLU gives the same values as after it (both are monotone), on a quarter of the numbers.
    """

    def __init__(self, channels_in: int, channels_out: int, *, pool: bool = True, dropout: float = 0.0) -> None:
        super().__init__(
            *_normalised(channels_in, channels_out, 3),
            nn.MaxPool2d(2) if pool else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(dropout) if dropout else nn.Identity(),
        )
        self.width = channels_out
        self.window = 2 if pool else 1
        self.fused: bool = False
        self.fused_first: bool = False  # together with the convolution, of faces alone

    def forward(self, input: Tensor) -> Tensor:
        """Maps [B, out, H / 2, W / 2] of maps [B, in, H, W]; of full size where the block does not pool."""
        gradient = torch.is_grad_enabled() and (input.requires_grad or self[0].weight.requires_grad)
        eval_gradient = gradient and not self.training  # which the kernels do not compute
        if not (self.fused or self.fused_first) or eval_gradient or not kernels.usable(input):
            return super().forward(input)
        convolution, norm = cast("tuple[nn.Conv2d, nn.BatchNorm2d]", (self[0], self[1]))
        if self.fused_first:
            return self[4](kernels.first_block(input, convolution, norm))
        return self[4](kernels.norm_pool_relu(kernels.convolve(input, convolution), norm, self.window))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, the weights of their maps if there is a `squeeze`, and a way around them; see Architecture.

    The way around is a 1x1 convolution where the block widens. Each convolution has its batch norm.
    """

    def __init__(
        self, channels_in: int, channels_out: int, *, pool: bool = True, dropout: float = 0.0, squeeze: int = 0
    ) -> None:
        super().__init__()
        first, second = _normalised(channels_in, channels_out, 3), _normalised(channels_out, channels_out, 3)
        self.body = nn.Sequential(*first, nn.ReLU(), *second)
        self.gate = Gate(channels_out, squeezed(channels_out, squeeze)) if squeeze else nn.Identity()
        widens = channels_in != channels_out
        self.around = nn.Sequential(*_normalised(channels_in, channels_out, 1)) if widens else nn.Identity()
        self.end = nn.Sequential(
            nn.MaxPool2d(2) if pool else nn.Identity(),
            nn.ReLU(),
            nn.Dropout(dropout) if dropout else nn.Identity(),
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Maps [B, out, H / 2, W / 2] of maps [B, in, H, W]; of full size where the block does not pool."""
        return self.end(self.gate(self.body(maps)) + self.around(maps))


class Gate(nn.Sequential):
    """Squeeze-excitation: each map times a number from 0 to 1 that depends on the means of all of them."""

    def __init__(self, channels: int, units: int) -> None:
        super().__init__(nn.Conv2d(channels, units, 1), nn.ReLU(), nn.Conv2d(units, channels, 1), nn.Sigmoid())

    def forward(self, input: Tensor) -> Tensor:
        """Maps [B, C, H, W] of maps [B, C, H, W]."""
        return input * super().forward(input.mean((2, 3), keepdim=True))


class _Answering(nn.Module):
    """A module whose logits are those of one of its heads."""

    head_count: int
    answers: int = 0  # which head does

    def logits(self, faces: NDArray[np.float32], device: str) -> NDArray[np.float32]:
        """Logits, float32 [B, K], of faces float32 [B, 1, 48, 48], in eval mode; the network stays as it is."""
        target = pick_device(device)
        ready = not self.training and next(self.parameters()).device == target
        network = self if ready else eval_copy(self, target)
        with torch.inference_mode():
            return self.of_head(network(torch.from_numpy(faces).to(target))).cpu().numpy()

    def of_head(self, logits: Tensor) -> Tensor:
        """The logits [B, K] of the head that answers, among those of all, [B, H K]."""
        return logits.chunk(self.head_count, 1)[self.answers]

    def answering(self: AnyNetwork, head: int) -> AnyNetwork:
        """The same weights, answering by another head."""
        view = copy(self)
        view.__dict__["answers"] = head
        return view


class Network(_Answering):
    """Blocks of convolutions; the mean of each map, or a flattened dense layer; dropout; K logits a head."""

    def __init__(self, architecture: Architecture, classes: int, heads: int = 1) -> None:
        super().__init__()
        self.architecture, self.head_count = architecture, heads
        self.blocks = nn.Sequential(*_blocks(architecture))
        features = architecture.features()
        self.dense = nn.Linear(features, architecture.dense) if architecture.dense else None
        self.dropout = nn.Dropout(architecture.dropout)
        self.head = nn.Linear(architecture.dense or features, heads * classes)
        _start(self, self.head)

    def forward(self, faces: Tensor) -> Tensor:
        """Logits [B, H K] of faces [B, 1, 48, 48]."""
        maps = self.blocks(faces)
        features = maps.mean((2, 3)) if self.dense is None else torch.relu(self.dense(maps.flatten(1)))
        return self.head(self.dropout(features))


class MeanNetwork(_Answering):
    """Several networks that answer together; see `Mean`. Its logits are logarithms of mean probabilities."""

    def __init__(self, mean: Mean, classes: int) -> None:
        super().__init__()
        self.mean, self.head_count = mean, len(mean.heads())
        networks = (Network(architecture_of(each), classes, len(heads)) for each, heads in mean.members)
        self.members = nn.ModuleList(networks)

    def forward(self, faces: Tensor) -> Tensor:
        """Logits [B, H K] of faces [B, 1, 48, 48]."""
        views = (faces, faces.flip(3)) if self.mean.mirror else (faces,)
        found: dict[str, list[Tensor]] = {head: [] for head in self.mean.heads()}
        for network, (_, heads) in zip(self.members, self.mean.members, strict=True):
            for view in views:
                for head, logits in zip(heads, network(view).chunk(len(heads), 1), strict=True):
                    found[head].append(logits.softmax(1))
        means = [torch.stack(each).mean(0).clamp(min=LEAST_PROBABILITY).log() for each in found.values()]
        return torch.cat(means, 1)


AnyOfOurs = Network | MeanNetwork


def build(network: str | Architecture, classes: int, heads: int = 1) -> Network:
    """A network for K = `classes`, with weights drawn from torch's generator."""
    if isinstance(network, str) and network not in ARCHITECTURES:
        raise UsageError(f"unknown network '{network}'; there are {', '.join(ARCHITECTURES)}")
    return _channels_last(Network(architecture_of(network), classes, heads))


def empty_network(network: Described, classes: int, heads: int) -> AnyOfOurs:
    """The network of a model, or the mean of several, for its weights to be put in."""
    if isinstance(network, Mean):
        return _channels_last(MeanNetwork(network, classes))
    return build(network, classes, heads)


def _channels_last(network: AnyNetwork) -> AnyNetwork:
    return network.to(memory_format=torch.channels_last)  # pyrefly: ignore[no-matching-overload]


def _normalised(channels_in: int, channels_out: int, side: int) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """A convolution with its batch norm."""
    convolution = nn.Conv2d(channels_in, channels_out, side, padding=side // 2)
    return convolution, nn.BatchNorm2d(channels_out, eps=_KERAS_EPSILON)


def _blocks(architecture: Architecture) -> list[Block | ResidualBlock]:
    blocks: list[Block | ResidualBlock] = []
    for channels_in, width, pool in architecture.convolutions():
        dropout = architecture.stage_dropout if pool else 0.0
        if architecture.block == "plain" or not blocks:
            blocks.append(Block(channels_in, width, pool=pool, dropout=dropout))
        else:
            squeeze = architecture.squeeze
            blocks.append(ResidualBlock(channels_in, width, pool=pool, dropout=dropout, squeeze=squeeze))
    return blocks


def pick_device(name: str) -> torch.device:
    """The device called `name`, "auto" for a GPU where there is one; raises UsageError where it cannot be used."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError):
        raise UsageError(f"device '{name}' cannot be used here; try --device cpu") from None


def eval_copy(network: AnyNetwork, device: torch.device) -> AnyNetwork:
    """A copy on `device`, in eval mode; `network` itself is neither moved nor switched."""
    return deepcopy(network).to(device).eval()


def torch_network(model: Model) -> Network:
    """The model's network, for what only torch can do; of an .onnx model, one of the same weights in float32.

    Raises ModelError where it is no network of Mien's, or the mean of several.
    """
    network = torch_module(model)
    if isinstance(network, MeanNetwork):
        raise ModelError(
            "a mean of networks only predicts: it cannot be trained further or explained by Grad-CAM (occlusion can); "
            "take one of its members"
        )
    return network


def torch_module(model: Model) -> AnyOfOurs:
    """The model's network, or the mean of several, as `torch_network` gives it."""
    if isinstance(model.network, Network | MeanNetwork):
        return model.network
    if not hasattr(model.network, "to_torch"):
        raise ModelError(
            "a network of Keras' own layers only predicts: it cannot be exported, trained further or explained by "
            "Grad-CAM (occlusion can)"
        )
    return model.network.to_torch()


def layer_shapes(network: nn.Module) -> list[tuple[nn.Module, tuple[int, ...]]]:
    """The layers in the order the data flows, each with the shape of its output for one face."""
    layers: list[tuple[nn.Module, tuple[int, ...]]] = []
    handles = [
        module.register_forward_hook(lambda layer, args, output: layers.append((layer, tuple(output.shape[1:]))))
        for module in network.modules()
        if not list(module.children()) and not isinstance(module, nn.Identity)
    ]
    weight, was_training = next(network.parameters()), network.training
    try:
        network.eval()(torch.zeros(1, 1, SIDE, SIDE, device=weight.device))  # with gradients: no kernel hides a layer
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    return layers


def parameters(network: nn.Module) -> int:
    """Number of trained weights."""
    return sum(weight.numel() for weight in network.parameters())


def convolutions(network: nn.Module) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution that has a batch norm, with it, in the order of `Architecture.plan`."""
    modules = list(network.modules())
    return [
        (module, norm)
        for module, norm in itertools.pairwise(modules)
        if isinstance(module, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    ]


@torch.no_grad()
def load_folded(network: Network, arrays: Sequence[NDArray[np.float32]]) -> None:
    """Put weights and biases such as `folded` gives into the network, whose batch norms then change nothing."""
    left = iter(arrays)
    for layer, _ in _weighted(network):
        for tensor in (layer.weight, cast("Tensor", layer.bias)):
            tensor.copy_(torch.from_numpy(next(left).copy()).reshape(tensor.shape))
    heads = [torch.from_numpy(array.copy()) for array in left]
    network.head.weight.copy_(torch.cat(heads[::2]))
    network.head.bias.copy_(torch.cat(heads[1::2]))
    for _, norm in convolutions(network):
        norm.reset_parameters()
        cast("Tensor", norm.running_var).fill_(1 - norm.eps)


def folded(network: Network) -> list[NDArray[np.float32]]:
    """Weights and biases of the layers of `Architecture.plan`, each batch norm merged into the convolution before it,
    and of each head.
    """
    arrays: list[Tensor] = []
    for layer, norm in _weighted(network):
        weight, bias = layer.weight, cast("Tensor", layer.bias)
        if norm:
            scale = norm.weight.double() / (cast("Tensor", norm.running_var).double() + norm.eps).sqrt()
            shift = bias - cast("Tensor", norm.running_mean)
            weight, bias = weight * scale[:, None, None, None], shift * scale + norm.bias
        arrays += [weight, bias]
    weights, biases = (tensor.chunk(network.head_count) for tensor in (network.head.weight, network.head.bias))
    arrays += [tensor for head in zip(weights, biases, strict=True) for tensor in head]
    return [array.detach().cpu().float().contiguous().numpy() for array in arrays]


def _weighted(network: Network) -> list[tuple[nn.Conv2d | nn.Linear, nn.BatchNorm2d | None]]:
    """The layers with weights but the head, in the order of `Architecture.plan`, each with the batch norm after it."""
    norms: dict[nn.Module, nn.BatchNorm2d] = dict(convolutions(network))
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    return [(layer, norms.get(layer)) for layer in layers if layer is not network.head]


def fuse(network: Network) -> None:
    """Let the blocks run by compiled kernels, where there is a compiler.

    The first block's kernel is faster at any width, the others' where the width fills whole vectors.
    """
    if not kernels.available():
        return
    blocks = [block for block in network.blocks if isinstance(block, Block)]
    for block in blocks:
        block.fused = block.width % _VECTOR == 0
    blocks[0].fused_first = blocks[0].window == 2


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

"""The networks. Each takes float [B, 1, 48, 48] in [0, 1] and gives logits, float [B, K].

`build(name, classes)` makes one of `ARCHITECTURES` with random weights.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from torch import nn

from mien.errors import ModelError, UsageError
from mien.models.architectures import ARCHITECTURES, SIDE, Architecture
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
        self.fused_first: bool = False  # together with the convolution, of faces alone

    def forward(self, input: Tensor) -> Tensor:
        """Maps [B, out, H / 2, W / 2] of maps [B, in, H, W]; of full size where the block does not pool."""
        gradient = torch.is_grad_enabled() and (input.requires_grad or self[0].weight.requires_grad)
        eval_gradient = gradient and not self.training  # which the kernels do not compute
        if not (self.fused or self.fused_first) or eval_gradient or not kernels.usable(input):
            return super().forward(input)
        convolution, norm = cast("tuple[nn.Conv2d, nn.BatchNorm2d]", (self[0], self[1]))
        if self.fused_first:
            return kernels.first_block(input, convolution, norm)
        return kernels.norm_pool_relu(kernels.convolve(input, convolution), norm, self.window)


class Network(nn.Module):
    """Blocks of convolutions; the mean of each map, or a flattened dense layer; dropout; K logits."""

    def __init__(self, architecture: Architecture, classes: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(Block(*sizes, pool=pool) for *sizes, pool in architecture.convolutions()))
        features = architecture.features()
        self.dense = nn.Linear(features, architecture.dense) if architecture.dense else None
        self.dropout = nn.Dropout(architecture.dropout)
        self.head = nn.Linear(architecture.dense or features, classes)
        _start(self, self.head)

    def forward(self, faces: Tensor) -> Tensor:
        """Logits [B, K] of faces [B, 1, 48, 48]."""
        maps = self.blocks(faces)
        features = maps.mean((2, 3)) if self.dense is None else torch.relu(self.dense(maps.flatten(1)))
        return self.head(self.dropout(features))

    def logits(self, faces: NDArray[np.float32], device: str) -> NDArray[np.float32]:
        """Logits, float32 [B, K], of faces float32 [B, 1, 48, 48], in eval mode; the network stays as it is."""
        target = pick_device(device)
        ready = not self.training and self.head.weight.device == target
        network = self if ready else eval_copy(self, target)
        with torch.inference_mode():
            return network(torch.from_numpy(faces).to(target)).cpu().numpy()


def build(name: str, classes: int) -> Network:
    """The network called `name` for K = `classes`, with weights drawn from torch's generator."""
    if name not in ARCHITECTURES:
        raise UsageError(f"unknown network '{name}'; there are {', '.join(ARCHITECTURES)}")
    network = Network(ARCHITECTURES[name], classes)
    return network.to(memory_format=torch.channels_last)  # pyrefly: ignore[no-matching-overload]


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

    Raises ModelError where it is no network of Mien's.
    """
    if isinstance(model.network, Network):
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


def convolutions(network: Network) -> list[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    """Each convolution with its batch norm, in the order the data flows."""
    return [(block[0], block[1]) for block in cast("list[Any]", network.blocks)]


@torch.no_grad()
def load_folded(network: Network, arrays: Sequence[NDArray[np.float32]]) -> None:
    """Put weights and biases such as `folded` gives into the network, whose batch norms then change nothing."""
    targets = [tensor for convolution, _ in convolutions(network) for tensor in convolution.parameters()]
    targets += [tensor for dense in (network.dense, network.head) if dense for tensor in dense.parameters()]
    for target, array in zip(targets, arrays, strict=True):
        target.copy_(torch.from_numpy(array.copy()).reshape(target.shape))
    for _, norm in convolutions(network):
        norm.reset_parameters()
        cast("Tensor", norm.running_var).fill_(1 - norm.eps)


def folded(network: Network) -> list[NDArray[np.float32]]:
    """Weights and biases in the order the data flows, each batch norm merged into the convolution before it."""
    arrays: list[Tensor] = []
    for convolution, norm in convolutions(network):
        scale = norm.weight.double() / (cast("Tensor", norm.running_var).double() + norm.eps).sqrt()
        shift = cast("Tensor", convolution.bias) - cast("Tensor", norm.running_mean)
        arrays += [convolution.weight * scale[:, None, None, None], shift * scale + norm.bias]
    for dense in (network.dense, network.head):
        arrays += [dense.weight, dense.bias] if dense else []
    return [array.detach().cpu().float().contiguous().numpy() for array in arrays]


def fuse(network: Network) -> None:
    """Let the blocks run by compiled kernels, where there is a compiler.

    The first block's kernel is faster at any width, the others' where the width fills whole vectors.
    """
    if not kernels.available():
        return
    blocks = cast("list[Block]", list(network.blocks))
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

"""Batch norm, max pool and ReLU as one operation, with the first convolution too, for networks on a CPU.

Between two convolutions there is no arithmetic to speak of, only memory to go through, and PyTorch goes through it
seven times forwards and back. One look at the largest of each window is enough: batch norm is a line `a x + b` in each
channel, so the largest of `a x` can be found first, and norm and ReLU then meet a quarter of the numbers. Backwards,
only the chosen positions carry a gradient, and the rest of batch norm's gradient is again a line in x. It is the same
function, computed in another order (exact but for rounding).

Matrix units (AMX) multiply tiles of 32 numbers along a row, and a row of a late map has 6. For the gradients of such a
convolution's weights, four faces are laid side by side with a column of zeros between them, which changes nothing but
the length of the row.

The C code is compiled when first used, in about a second, into a folder that is deleted at once. Where there is no
compiler, PyTorch's own operations do the work.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch.nn.functional import conv2d, pad

if TYPE_CHECKING:
    from torch import Tensor, nn

_SOURCE = Path(__file__).with_name("fused.c")
_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")
_TAPS = 9
_NARROW = 8  # maps up to this wide are laid side by side ...
_ABREAST = 4  # ... so many of them
_TYPES = {torch.bfloat16: ("-DBFLOAT16",), torch.float32: ()}


class _Shape(ctypes.Structure):
    _fields_ = (
        ("batch", ctypes.c_long),
        ("height", ctypes.c_int),
        ("width", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("window", ctypes.c_int),
    )


def usable(x: Tensor) -> bool:
    """Whether the kernels take `x`, and what they would give for it."""
    result = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
    return x.device.type == "cpu" and x.dtype in _TYPES and result in _TYPES


@cache
def available() -> bool:
    """Whether the kernels can be compiled and loaded here."""
    with ThreadPoolExecutor() as pool:  # the compiler runs for one type beside the other
        return None not in pool.map(_library, _TYPES)


def convolve(x: Tensor, convolution: nn.Conv2d) -> Tensor:
    """convolution(x), 3x3 with a border of zeros, of maps [B, in, H, W], for what batch norm follows.

    Its bias gets no gradient: batch norm takes the bias out again.
    """
    autocast = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    narrow = x.shape[3] <= _NARROW and len(x) % _ABREAST == 0
    if not (autocast and narrow and torch.is_grad_enabled() and torch.cpu._is_amx_tile_supported()):
        return convolution(x)
    return _NarrowConvolution.apply(x, convolution.weight, convolution.bias)


def norm_pool_relu(x: Tensor, norm: nn.BatchNorm2d, window: int) -> Tensor:
    """relu(max_pool(batch_norm(x))); in training mode, the running statistics are moved on.

    x: float32 or bfloat16 [B, C, H, W] on the CPU. window: 2, or 1 for no pooling; it divides H and W.
    Gives [B, C, H / window, W / window] of the same type. Going backwards, x is overwritten by its gradient, which
    saves fresh memory; so x must be used by nothing else, and one can go backwards only once. In eval mode there is
    no gradient.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    if not norm.training:
        return _pooled(x, *_line(norm), window)[0]
    mean, variance = _statistics(x, window)
    positions = x.numel() // x.shape[1]
    _move(norm, mean, variance, positions)
    return _NormPoolRelu.apply(x, norm.weight, norm.bias, mean, (variance + norm.eps).rsqrt(), window)


def first_block(faces: Tensor, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    """relu(max_pool(batch_norm(convolution(faces)))); in training mode, the running statistics are moved on.

    faces: float32 or bfloat16 [B, 1, H, W] on the CPU, which get no gradient. Gives [B, C, H / 2, W / 2], in
    bfloat16 under autocast.

    The convolution's result is never written down. Each of its numbers is a sum of nine products with a patch of the
    face, so mean, variance and batch norm's gradient all follow from the patches' sums of products, 10 by 10 numbers.
    """
    padded = pad(faces.detach().float(), (1, 1, 1, 1)).contiguous()
    batch, _, height, width = faces.shape
    shape = _Shape(batch, height, width, convolution.out_channels, 2)
    number = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
    if not norm.training:
        scale, shift = _line(norm)
        shift = shift + scale * cast("Tensor", convolution.bias)
        return _first_pooled(padded, convolution.weight, scale, shift, shape, number)[0]
    products = torch.empty(_TAPS + 1, _TAPS + 1, dtype=torch.float64)
    _call("patch_products", padded, shape, products)
    mean, variance = _patch_statistics(convolution.weight.detach(), products)
    _move(norm, mean + cast("Tensor", convolution.bias).detach(), variance, batch * height * width)
    over_deviation = (variance + norm.eps).rsqrt()
    weights = convolution.weight, convolution.bias, norm.weight, norm.bias
    return _FirstBlock.apply(*weights, padded, products, mean, over_deviation, shape, number)


def _patch_statistics(kernels: Tensor, products: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance, float64 [C], of the convolution with kernels [C, 1, 3, 3], but for its bias."""
    kernels = kernels.flatten(1).double()
    mean, square = kernels @ products[:-1, -1], ((kernels @ products[:-1, :-1]) * kernels).sum(1)
    mean, square = mean / products[-1, -1], square / products[-1, -1]
    return mean, (square - mean**2).clamp_(min=0)


class _NarrowConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kernels: Tensor, bias: Tensor) -> Tensor:
        x, low = x.bfloat16(), kernels.bfloat16()
        ctx.save_for_backward(x, low)
        return conv2d(x, low, bias.bfloat16(), padding=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        (dy,) = gradients
        x, kernels = ctx.saved_tensors
        d_x, _, _ = _convolution_gradients(dy, x, kernels, (True, False, False))
        _, d_kernels, _ = _convolution_gradients(_abreast(dy), _abreast(x), kernels, (False, True, False))
        return d_x, d_kernels.float(), torch.zeros(len(kernels))


def _convolution_gradients(dy: Tensor, x: Tensor, kernels: Tensor, wanted: tuple[bool, bool, bool]) -> Any:
    """Gradients of the input, the kernels and the bias of a 3x3 convolution, as far as they are wanted."""
    one = [1, 1]
    return torch.ops.aten.convolution_backward(dy, x, kernels, [len(kernels)], one, one, one, False, [0, 0], 1, wanted)


def _abreast(maps: Tensor) -> Tensor:
    """Maps [B, C, H, W] side by side, a column of zeros after each: [B / 4, C, H, 4 (W + 1)]."""
    batch, channels, height, width = maps.shape
    rows = maps.new_zeros(batch // _ABREAST, height, _ABREAST, width + 1, channels)
    rows[:, :, :, :width] = maps.permute(0, 2, 3, 1).view(-1, _ABREAST, height, width, channels).transpose(1, 2)
    return rows.flatten(2, 3).permute(0, 3, 1, 2)


class _FirstBlock(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        kernels: Tensor,
        _: Tensor,  # the convolution's bias, which batch norm takes out again
        weight: Tensor,
        bias: Tensor,
        faces: Tensor,
        products: Tensor,
        mean: Tensor,
        over_deviation: Tensor,
        shape: _Shape,
        number: torch.dtype,
    ) -> Tensor:
        scale = weight.double() * over_deviation
        y, chosen = _first_pooled(faces, kernels, scale, bias.double() - scale * mean, shape, number)
        ctx.save_for_backward(kernels, faces, products, chosen, mean, over_deviation, scale)
        ctx.shape = shape
        ctx.number = number
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (dy,) = gradients
        kernels, faces, products, chosen, mean, over_deviation, scale = ctx.saved_tensors
        dy = dy.to(ctx.number).contiguous(memory_format=torch.channels_last)
        sums = torch.empty(_TAPS + 1, len(kernels), dtype=torch.float64)
        _call("first_gradients", faces, ctx.shape, dy, chosen, sums, number=ctx.number)
        flat = kernels.flatten(1).double()
        chosen_patches, d_bias = sums[:-1].T, sums[-1]
        d_weight = ((chosen_patches * flat).sum(1) - mean * d_bias) * over_deviation
        along, offset = _spread(scale, mean, over_deviation, d_weight, d_bias, products[-1, -1])
        d_kernels = scale[:, None] * chosen_patches
        d_kernels += along[:, None] * (flat @ products[:-1, :-1]) + offset[:, None] * products[:-1, -1]
        none = (None,) * 6
        return d_kernels.float().view_as(kernels), torch.zeros(len(kernels)), d_weight.float(), d_bias.float(), *none


class _NormPoolRelu(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, over_deviation: Tensor, window: int
    ) -> Tensor:
        scale = weight.double() * over_deviation
        y, chosen = _pooled(x, scale, bias.double() - scale * mean, window)
        ctx.save_for_backward(x, chosen, mean, over_deviation, scale.float())
        ctx.window = window
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (dy,) = gradients
        x, chosen, mean, over_deviation, scale = ctx.saved_tensors
        shape = _shape(x, ctx.window)
        dy = dy.to(x.dtype).contiguous(memory_format=torch.channels_last)
        sums = torch.empty(2, x.shape[1], dtype=torch.float64)
        _call("gradients", x, dy, chosen, shape, sums)
        d_bias, d_weight = sums[0], (sums[1] - mean * sums[0]) * over_deviation
        along, offset = _spread(scale, mean, over_deviation, d_weight, d_bias, x.numel() / x.shape[1])
        _call("backward", x, dy, chosen, shape, scale, along.float(), offset.float(), x)
        return x, d_weight.float(), d_bias.float(), None, None, None


def _pooled(x: Tensor, scale: Tensor, shift: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """relu(max_pool(scale x + shift)), and which of each window's positions was the largest."""
    shape = _shape(x, window)
    y, chosen = _empty(shape, x.dtype)
    _call("forward", x, shape, scale.float(), shift.float(), y, chosen)
    return y, chosen


def _first_pooled(
    faces: Tensor, kernels: Tensor, scale: Tensor, shift: Tensor, shape: _Shape, number: torch.dtype
) -> tuple[Tensor, Tensor]:
    """The same of the convolution of padded faces with kernels [C, 1, 3, 3]."""
    scaled = (kernels.flatten(1) * scale[:, None]).T.float().contiguous()
    y, chosen = _empty(shape, number)
    _call("first_forward", faces, shape, scaled, shift.float(), y, chosen, number=number)
    return y, chosen


def _empty(shape: _Shape, number: torch.dtype) -> tuple[Tensor, Tensor]:
    size = (shape.batch, shape.channels, shape.height // shape.window, shape.width // shape.window)
    y, chosen = (torch.empty(size, dtype=kind, memory_format=torch.channels_last) for kind in (number, torch.uint8))
    return y, chosen


def _line(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Batch norm in eval mode as scale * x + shift, float64 [C] each."""
    mean, variance, _ = norm.buffers()
    scale = norm.weight.detach().double() * (variance.double() + norm.eps).rsqrt()
    return scale, norm.bias.detach().double() - scale * mean


def _spread(
    scale: Tensor, mean: Tensor, over_deviation: Tensor, d_weight: Tensor, d_bias: Tensor, positions: float | Tensor
) -> tuple[Tensor, Tensor]:
    """What mean and deviation add to the gradient of each of batch norm's numbers x: along * x + offset."""
    along = -scale * d_weight * over_deviation / positions
    return along, -scale * d_bias / positions - along * mean


def _move(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, positions: int) -> None:
    """Move the running statistics towards those of a batch."""
    running_mean, running_var, batches = norm.buffers()
    running_mean.lerp_(mean.float(), norm.momentum or 0)
    running_var.lerp_((variance * positions / max(positions - 1, 1)).float(), norm.momentum or 0)
    batches += 1


def _statistics(x: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel, float64 [C]."""
    x = x.detach()
    sums = torch.empty(2, x.shape[1], dtype=torch.float64)
    _call("moments", x, _shape(x, window), sums)
    mean, square = sums * (x.shape[1] / x.numel())
    return mean, (square - mean**2).clamp_(min=0)


def _shape(x: Tensor, window: int) -> _Shape:
    batch, channels, height, width = x.shape
    return _Shape(batch, height, width, channels, window)


def _call(name: str, x: Tensor, *arguments: Tensor | _Shape, number: torch.dtype | None = None) -> None:
    """Call a kernel, that for `number`, or for numbers such as x holds."""
    function = getattr(_library(number or x.dtype), name)
    function(*(ctypes.c_void_p(a.data_ptr()) if isinstance(a, torch.Tensor) else a for a in (x, *arguments)))


@cache
def _library(number: torch.dtype) -> ctypes.CDLL | None:
    """The compiled kernels for one type of number, None where they cannot be compiled or loaded."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "kernels.so"
        command = [compiler, *_FLAGS, *_TYPES[number], str(_SOURCE), "-o", str(built)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        try:
            return ctypes.CDLL(str(built))
        except OSError:  # nothing may be run from the folder for temporary files, or it is no library
            return None

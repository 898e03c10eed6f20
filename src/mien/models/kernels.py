"""Batch norm, max pool and ReLU as one operation, for training on a CPU.

Between two convolutions there is no arithmetic to speak of, only memory to go through, and PyTorch goes through it
seven times forwards and back. One look at the largest of each window is enough: batch norm is a line `a x + b` in each
channel, so the largest of `a x` can be found first, and norm and ReLU then meet a quarter of the numbers. Backwards,
only the chosen places carry a slope, and the rest of batch norm's gradient is again a line in x. It is the same
function, computed in another order (exact but for rounding).

The C code is compiled when first used, in about a second, into a folder that is deleted at once. Where there is no
compiler, training goes on with PyTorch's own operations.
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
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor, nn

_SOURCE = Path(__file__).with_name("kernels.c")
_FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")
_TYPES = {torch.bfloat16: ("-DBFLOAT16",), torch.float32: ()}


class _Shape(ctypes.Structure):
    _fields_ = (
        ("batch", ctypes.c_long),
        ("height", ctypes.c_int),
        ("width", ctypes.c_int),
        ("channels", ctypes.c_int),
        ("window", ctypes.c_int),
    )


@cache
def available() -> bool:
    """Whether the kernels can be compiled and loaded here."""
    with ThreadPoolExecutor() as pool:  # the compiler runs for one type beside the other
        return None not in pool.map(_library, _TYPES)


def norm_pool_relu(x: Tensor, norm: nn.BatchNorm2d, window: int) -> Tensor:
    """relu(max_pool(batch_norm(x))) in training mode, and the running statistics moved on.

    x: float32 or bfloat16 [B, C, H, W] on the CPU. window: 2, or 1 for no pooling; it divides H and W.
    Gives [B, C, H / window, W / window] of the same type. Going backwards, x is overwritten by its gradient, which
    saves fresh memory; so x must be used by nothing else, and one can go backwards only once.
    """
    mean, variance = _statistics(x, window)
    places = x.numel() // x.shape[1]
    running_mean, running_var, batches = norm.buffers()
    running_mean.lerp_(mean.float(), norm.momentum or 0)
    running_var.lerp_((variance * places / max(places - 1, 1)).float(), norm.momentum or 0)
    batches += 1
    return _NormPoolRelu.apply(x, norm.weight, norm.bias, mean, (variance + norm.eps).rsqrt(), window)


class _NormPoolRelu(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, over_deviation: Tensor, window: int
    ) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        scale = weight.double() * over_deviation
        shift = (bias.double() - scale * mean).float()
        scale = scale.float()
        size = (x.shape[0], x.shape[1], x.shape[2] // window, x.shape[3] // window)
        y = torch.empty(size, dtype=x.dtype, memory_format=torch.channels_last)
        chosen = torch.empty(size, dtype=torch.uint8, memory_format=torch.channels_last)
        _call("forward", x, _shape(x, window), scale, shift, y, chosen)
        ctx.save_for_backward(x, chosen, mean, over_deviation, scale)
        ctx.window = window
        return y

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        (dy,) = slopes
        x, chosen, mean, over_deviation, scale = ctx.saved_tensors
        shape = _shape(x, ctx.window)
        dy = dy.to(x.dtype).contiguous(memory_format=torch.channels_last)
        sums = torch.empty(2, x.shape[1], dtype=torch.float64)
        _call("slopes", x, dy, chosen, shape, sums)
        d_bias, d_weight = sums[0], (sums[1] - mean * sums[0]) * over_deviation
        over_places = x.shape[1] / x.numel()
        along = -scale * d_weight * over_deviation * over_places
        offset = -scale * d_bias * over_places - along * mean
        _call("backward", x, dy, chosen, shape, scale, along.float(), offset.float(), x)
        return x, d_weight.float(), d_bias.float(), None, None, None


def _statistics(x: Tensor, window: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of each channel, float64 [C]."""
    x = x.detach().contiguous(memory_format=torch.channels_last)
    sums = torch.empty(2, x.shape[1], dtype=torch.float64)
    _call("moments", x, _shape(x, window), sums)
    mean, square = sums * (x.shape[1] / x.numel())
    return mean, (square - mean**2).clamp_(min=0)


def _shape(x: Tensor, window: int) -> _Shape:
    batch, channels, height, width = x.shape
    return _Shape(batch, height, width, channels, window)


def _call(name: str, x: Tensor, *arguments: Tensor | _Shape) -> None:
    function = getattr(_library(x.dtype), name)
    function(*(ctypes.c_void_p(a.data_ptr()) if isinstance(a, torch.Tensor) else a for a in (x, *arguments)))


@cache
def _library(number: torch.dtype) -> ctypes.CDLL | None:
    """The compiled kernels for one type of number, None where they cannot be compiled."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "kernels.so"
        command = [compiler, *_FLAGS, *_TYPES[number], str(_SOURCE), "-o", str(built)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            return None
        return ctypes.CDLL(str(built))

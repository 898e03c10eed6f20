"""Training by several processes, as `torchrun --nproc-per-node N -m mien train ...` starts them.

Each process, a rank, holds all faces and the same weights. It draws order, augmentation and dropout for the *global*
batch, from (seed, epoch) as one process would, and computes its share of the rows. Three things are then summed over
the ranks: the statistics of the batch norms, the gradients, and the loss that is reported. So any number of processes
trains the same network but for rounding. Rank 0 alone validates, decides, writes and speaks.

CPUs talk by gloo, GPUs by nccl. Without torchrun there is one process, rank 0 of 1, and nothing here does anything.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import batch_norm, dropout

from mien.errors import MienError, TrainingError, UsageError

Value = TypeVar("Value")

_REASON = "reason"
_PATIENCE = 60  # seconds in which rank 0 comes to hear, and say, why another rank has failed


class RankLostError(TrainingError):
    """Another process of the training has ended."""


def rank() -> int:
    """The number of this process, counted from 0.

    >>> rank()
    0
    """
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


@contextmanager
def joined() -> Iterator[None]:
    """Inside, the processes that torchrun started train together.

    An error that any of them raises ends all; rank 0 raises it, the others leave with exit code 2.

    >>> with joined():
    ...     size()
    1
    """
    if not (dist.is_available() and dist.is_torchelastic_launched() and int(os.environ["WORLD_SIZE"]) > 1):
        yield
        return
    store, number, count = next(dist.rendezvous("env://"))
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl" if dist.is_nccl_available() else backend
        if (index := int(os.environ["LOCAL_RANK"])) < torch.cuda.device_count():
            torch.cuda.set_device(index)  # before anything touches a GPU, or all would begin on the first
    with _reaching():
        dist.init_process_group(backend, store=dist.PrefixStore("ranks", store), rank=number, world_size=count)
    sum_over_ranks(torch.zeros(1))  # one that fails at once must not leave before all are connected
    _hear_ctrl_c_once()
    try:
        yield
    except RankLostError:
        if number:
            raise SystemExit(2) from None
        if store.check([_REASON]):
            raise TrainingError(store.get(_REASON).decode()) from None
        raise
    except MienError as error:
        if number:
            _leave(store, f"process {number} of {count}, counted from 0: {error}")
        raise
    dist.destroy_process_group()


def _hear_ctrl_c_once() -> None:
    """Ctrl-C reaches all processes, and once more through torchrun; rank 0 decides, and must be let finish."""

    def interrupt(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, signal.SIG_IGN if rank() else interrupt)


def _leave(store: dist.Store, reason: str) -> None:
    """End this process, which is not rank 0, so that rank 0 tells why; torchrun ends it once rank 0 has."""
    store.set(_REASON, reason)
    dist.destroy_process_group()
    time.sleep(_PATIENCE)
    print(f"mien: {reason}", file=sys.__stderr__)  # rank 0 has not told, or is on another machine
    raise SystemExit(2)


def own_device(device: torch.device) -> torch.device:
    """The device of this process: a GPU of its own. Raises UsageError where there are fewer GPUs than processes."""
    if size() == 1 or device.type != "cuda":
        return device
    index, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if index >= count:
        raise UsageError(
            f"this machine has fewer GPUs ({count}) than processes; give torchrun --nproc-per-node {count}, or mien "
            "train --device cpu"
        )
    return torch.device("cuda", index)


def share(batch: int) -> slice:
    """The rows of a global batch that are this rank's: contiguous, as many for each rank but for one.

    >>> share(64)
    slice(0, 64, None)
    """
    return slice(-(-batch * rank() // size()), -(-batch * (rank() + 1) // size()))


def from_first(function: Callable[[], Value]) -> Value:
    """What `function` gives, called in rank 0 alone."""
    if size() == 1:
        return function()
    values = [None if rank() else function()]
    with _reaching():
        dist.broadcast_object_list(values, src=0)
    return cast("Value", values[0])


def meet(value: str) -> None:
    """Wait until every rank has come here; raises TrainingError unless all bring the same value."""
    if from_first(lambda: value) != value:
        raise TrainingError("its data, models or settings are not those of process 0; start all of them with the same")
    sum_over_ranks(torch.zeros(1))


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """`tensor` itself, now holding the sum of all ranks'."""
    if size() > 1:
        with _reaching():
            dist.all_reduce(tensor)
    return tensor


def sum_gradients(network: nn.Module) -> None:
    """Give every weight the sum of the gradients that the ranks computed, in one exchange."""
    if size() == 1:
        return
    gradients = [weight.grad for weight in network.parameters() if weight.grad is not None]
    total = sum_over_ranks(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, summed in zip(gradients, total.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


@contextmanager
def _reaching() -> Iterator[None]:
    """Turns what a lost connection raises into a RankLostError."""
    try:
        yield
    except RuntimeError:
        raise RankLostError("another process of this training has ended") from None


def distribute(network: nn.Module) -> None:
    """Let batch norms and dropout see the global batch, and begin with rank 0's weights."""
    if size() == 1:
        return
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = GlobalBatchNorm
        elif type(module) is nn.Dropout:
            module.__class__ = GlobalDropout
    with _reaching():
        for tensor in network.state_dict().values():
            dist.broadcast(tensor, src=0)


def announce(network: nn.Module, batch: int) -> None:
    """Tell the layers how many faces the coming global batch has."""
    for module in network.modules():
        if isinstance(module, GlobalDropout):
            module.batch = batch


class GlobalDropout(nn.Dropout):
    """Dropout as one process would draw it for the global batch, of which it takes this rank's rows."""

    batch: int

    def forward(self, input: Tensor) -> Tensor:
        """Features [b, F] or maps [b, C, H, W] of this rank's rows."""
        if not self.training:
            return input
        size, strides = (self.batch, *input.shape[1:]), (math.prod(input.shape[1:]), *input.stride()[1:])
        ones = input.new_empty_strided(size, strides).fill_(1)  # drawn in the order in which the numbers lie in memory
        return input * dropout(ones, self.p)[share(self.batch)]


class GlobalBatchNorm(nn.BatchNorm2d):
    """Batch norm by the statistics of the global batch. (torch's SyncBatchNorm refuses CPUs.)"""

    def forward(self, input: Tensor) -> Tensor:
        """Maps [b, C, H, W] of this rank's rows."""
        if not self.training:
            return super().forward(input)
        with torch.no_grad():
            mean, variance, count = _statistics(input)
            running_mean, running_var, batches = self.buffers()
            running_mean.lerp_(mean, self.momentum or 0)
            running_var.lerp_(variance * (count / (count - 1).clamp(min=1)), self.momentum or 0)
            batches += 1
        return _Normalise.apply(input, self.weight, self.bias, mean, variance, count, self.eps)


def _statistics(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance of each channel over all ranks, float32 [C] each, and of how many numbers each is."""
    count = x.numel() // x.shape[1]
    sums = torch.zeros(2, x.shape[1], dtype=torch.float64, device=x.device)
    if count:
        spare = torch.zeros(2, x.shape[1], device=x.device)  # with float32 beside it, bfloat16 is summed in float32
        mean, variance = torch.batch_norm_update_stats(x, spare[0], spare[1], 0.0)
        sums[0], sums[1] = count * mean.double(), count * (variance.double() + mean.double() ** 2)
    *sums, counts = sum_over_ranks(torch.cat([sums, sums.new_full((1, x.shape[1]), count)]))
    mean, square = sums[0] / counts, sums[1] / counts
    return mean.float(), (square - mean**2).clamp_(min=0).float(), counts.float()


class _Normalise(torch.autograd.Function):
    """weight (x - mean) / deviation + bias, where mean and deviation depend on the x of all ranks."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, count: Tensor, eps: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.eps = eps
        return batch_norm(x, mean, variance, weight, bias, eps=eps)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (dy,) = gradients
        x, weight, mean, variance, count = ctx.saved_tensors
        over_deviation = (variance + ctx.eps).rsqrt()
        d_weight, d_bias = torch.zeros_like(weight), torch.zeros_like(weight)
        if len(x):
            _, d_weight, d_bias = torch.ops.aten.native_batch_norm_backward(
                dy, x, weight, None, None, mean, over_deviation, True, ctx.eps, [False, True, True]
            )
        all_d_weight, all_d_bias = sum_over_ranks(torch.stack([d_weight, d_bias]))
        # As for any batch norm: dx = scale (dy - mean of dy - normalised x * mean of dy * normalised x), a line in x.
        scale = weight * over_deviation
        along = -scale * over_deviation * all_d_weight / count
        d_x = _line(dy, scale, -scale * all_d_bias / count - along * mean) + _line(x, along, torch.zeros_like(along))
        return d_x, d_weight, d_bias, None, None, None, None


def _line(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """scale * x + shift in each channel, by the kernel for it that reads bfloat16 and writes no copy."""
    return batch_norm(x, torch.zeros_like(scale), torch.ones_like(scale), scale, shift, eps=0.0)

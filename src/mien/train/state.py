"""Where training stands: the figures of each epoch, and all that the rest of a run depends on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from mien.records.run import Epoch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from mien.models.model import Model


@dataclass(frozen=True)
class State:
    """Where a run stands after an epoch. With recipe, data and seed it decides all that follows, to the bit.

    history: every epoch so far. kept: the one whose model the recipe keeps, and model: that model.
    tensors: copies on the CPU of `network.*`, `average.*` (where the recipe keeps a running mean) and
    `optimizer.<weight>.*`. settings: those of the optimizer, a dictionary for each group of weights. schedule: as
    plain values. ended: "finished", "stopped early" or "collapsed"; "" while there are epochs to come.
    """

    history: tuple[Epoch, ...]
    kept: Epoch
    model: Model
    tensors: Mapping[str, Tensor]
    settings: list[dict[str, Any]]
    schedule: dict[str, Any]
    ended: str

    @property
    def last(self) -> Epoch:
        """The epoch just done."""
        return self.history[-1]


def copies(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of `tensors` on the CPU, named `<prefix>.<name>`."""
    return {f"{prefix}.{name}": value.detach().to("cpu", copy=True).contiguous() for name, value in tensors.items()}


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors called `<prefix>.<name>`, as `<name>`."""
    start = f"{prefix}."
    return {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """The optimizer's moments and counts, named `<index of the weight>.<name>`."""
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, values in state.items() for name, value in values.items()}


def restore_optimizer(optimizer: Optimizer, tensors: Mapping[str, Tensor], settings: list[dict[str, Any]]) -> None:
    """Put back what `optimizer_tensors` and `state_dict()["param_groups"]` gave."""
    state: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        index, name = key.split(".")
        state[int(index)][name] = value
    optimizer.load_state_dict({"state": state, "param_groups": settings})
    for weight, values in optimizer.state.items():
        for name, value in values.items():
            # A fused update walks weight and moments side by side in memory: they must be laid out alike.
            like = weight if value.shape == weight.shape else value
            values[name] = torch.empty_like(like, requires_grad=False).copy_(value)

"""How the learning rate moves, and when training ends early.

Of a schedule, `start_step` is called before each update and `end_epoch` after each epoch, where True ends training;
`restore` goes on from what `state` gave, plain values. The optimizer's rates are its own.
"""

from __future__ import annotations

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from mien.records.recipe import Recipe

_HALVE_AFTER = 3
_STOP_AFTER = 5
_LOWEST_RATE = 1e-6


class Plateau:
    """Halves the rate after 3 epochs without a new low, ends training after 5."""

    def __init__(self, optimizer: Optimizer) -> None:
        # torch counts the epochs it tolerates, Keras those it waits: one fewer
        self.halving = ReduceLROnPlateau(
            optimizer, factor=0.5, patience=_HALVE_AFTER - 1, threshold=0, min_lr=_LOWEST_RATE
        )
        self.lowest = float("inf")
        self.waited = 0

    def start_step(self) -> None:
        """The rate only moves between epochs."""

    def end_epoch(self, val_loss: float) -> bool:
        """Halve the rate where it is time; True after 5 epochs without a new low."""
        self.halving.step(val_loss)
        self.waited = 0 if val_loss < self.lowest else self.waited + 1
        self.lowest = min(self.lowest, val_loss)
        return self.waited >= _STOP_AFTER

    def state(self) -> dict[str, Any]:
        """Where the halving stands, the lowest loss, and the epochs since."""
        return {"halving": self.halving.state_dict(), "lowest": self.lowest, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        """Take these up again."""
        self.halving.load_state_dict(state["halving"])
        self.lowest, self.waited = state["lowest"], state["waited"]


class OneCycle:
    """Rises for the first quarter of all updates, falls to next to zero by cosine, never ends early (arXiv:1708.07120).

    The same rates as torch's `OneCycleLR`, which divides by zero where there are three updates in all.
    """

    def __init__(self, optimizer: Optimizer, peak: float, steps: int) -> None:
        self.optimizer, self.peak = optimizer, peak
        self.last = max(steps, 2)
        self.top = 0.25 * (self.last + 1) - 1
        self.step = 0

    def start_step(self) -> None:
        """Set the rate for the coming update."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        self.step += 1

    def rate(self, step: int) -> float:
        """The rate of an update, counted from 0."""
        first, last = self.peak / 25, self.peak / 25 / 1e3
        if 0 < self.top >= step:
            return _cosine(first, self.peak, step / self.top)
        top = max(self.top, 0)  # with three updates or fewer there is no rise
        return _cosine(self.peak, last, (step - top) / (self.last - top))

    def end_epoch(self, val_loss: float) -> bool:
        """Never ends early."""
        return False

    def state(self) -> dict[str, Any]:
        """Where the cycle stands."""
        return {"step": self.step}

    def restore(self, state: dict[str, Any]) -> None:
        """Take it up again."""
        self.step = state["step"]


def _cosine(start: float, end: float, share: float) -> float:
    """From start to end along half a cosine."""
    return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)


def make_schedule(recipe: Recipe, optimizer: Optimizer, steps_an_epoch: int) -> Plateau | OneCycle:
    """The recipe's schedule for epochs of `steps_an_epoch` updates."""
    if recipe.schedule == "onecycle":
        return OneCycle(optimizer, recipe.rate, recipe.epochs * steps_an_epoch)
    return Plateau(optimizer)

"""The exponential moving average (EMA) of a network's weights."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightEMA:
    """A second network: the EMA of the first one's weights and batch norm statistics, one step an update.

    The decay warms up, min(decay, (1 + n) / (10 + n)) after n updates, as timm's does: a fixed one would still hold
    a large part of the random start when there are few updates. torch's `AveragedModel` computes the same at a fixed
    decay, but waits for the device at every update.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = deepcopy(network)
        self.decay = decay
        self.updates = 0
        pairs = list(zip(_tensors(self.network), _tensors(network), strict=True))
        self._smooth = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]

    def update(self) -> None:
        """Take in the network as it is now; the first time, as the average itself."""
        for average, latest in self._counts if self.updates else [*self._counts, *self._smooth]:
            average.copy_(latest)
        if self.updates:
            decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
            averages, latest = map(list, zip(*self._smooth, strict=True))
            get_ema_multi_avg_fn(decay)(averages, latest, 0)
        self.updates += 1

    def restore(self, tensors: Mapping[str, Tensor], updates: int) -> None:
        """Go on from an average of so many updates."""
        self.network.load_state_dict(tensors)
        self.updates = updates


def _tensors(network: nn.Module) -> list[Tensor]:
    """All that a network learned or counted, in place."""
    return [tensor.detach() for tensor in (*network.parameters(), *network.buffers())]

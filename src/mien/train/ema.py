"""The exponential moving average (EMA) of a network's weights."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class WeightAverage:
    """A second network: the mean of the first one's weights and statistics over its updates, the latest counting most.

    torch's `AveragedModel` computes the same, but waits for the device at every update.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = deepcopy(network)
        pairs = list(zip(_numbers(self.network), _numbers(network), strict=True))
        self._smooth = [pair for pair in pairs if pair[0].is_floating_point()]
        self._counts = [pair for pair in pairs if not pair[0].is_floating_point()]
        self._move = get_ema_multi_avg_fn(decay)
        self._begun = False

    def update(self) -> None:
        """Take in the network as it is now; the first time, as the mean itself."""
        for mean, latest in self._counts if self._begun else [*self._counts, *self._smooth]:
            mean.copy_(latest)
        if self._begun:
            means, latest = map(list, zip(*self._smooth, strict=True))
            self._move(means, latest, 0)
        self._begun = True

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from a mean that was begun before."""
        self.network.load_state_dict(tensors)
        self._begun = True


def _numbers(network: nn.Module) -> list[Tensor]:
    """All that a network learned or counted, in place."""
    return [tensor.detach() for tensor in (*network.parameters(), *network.buffers())]

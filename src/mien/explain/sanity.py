"""A sanity check of the maps: they must change when what the network has learned is destroyed.

After Adebayo et al. 2018, arXiv:1810.03292: the layers lose their weights one after the other, from the output to the
input. Maps that do not change show edges of the picture, not what the network has learned.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import nn

from mien.csv_files import csv_text
from mien.explain.heat import heat_maps
from mien.models.model import Model
from mien.models.networks import Network, convolutions, torch_network
from mien.records.figures import Method


@dataclass(frozen=True)
class Stage:
    """The maps, float32 [N, S, S], when all layers from the output down to `layer` are shuffled.

    likeness: Spearman's rank correlation of each map with that of the trained network, float64 [N]; 0 for a constant
    map.
    """

    layer: str
    maps: NDArray[np.float32]
    likeness: NDArray[np.float64]


def cascade(
    model: Model, images: NDArray[np.uint8], targets: NDArray[np.int64], method: Method, seed: int = 0
) -> list[Stage]:
    """The stages of gray faces uint8 [N, S, S] for the classes `targets` [N]; the first is the trained network's.

    A layer's weights are shuffled rather than drawn anew, which keeps their distribution. Raises
    ModelError where torch does not run the model.
    """
    network = deepcopy(torch_network(model))
    shuffled = replace(model, network=network)
    generator = torch.Generator().manual_seed(seed)
    trained = heat_maps(model, images, targets, method)
    stages = [Stage("trained", trained, likeness(trained, trained))]
    for name, parts in _layers(network):
        for part in parts:
            _shuffle(part, generator)
        maps = heat_maps(shuffled, images, targets, method)
        stages.append(Stage(name, maps, likeness(maps, trained)))
    return stages


def likeness(maps: NDArray[np.floating], others: NDArray[np.floating]) -> NDArray[np.float64]:
    """Spearman's rank correlation of each map with its counterpart, float64 [N]; both are [N, S, S]."""
    one, other = (_standard_ranks(stack) for stack in (maps, others))
    return (one * other).mean(1)


def sanity_csv(stages: Sequence[Stage]) -> str:
    """A row a stage: mean rank correlation, the span of the middle 80 % of the faces, and the number of constant maps,
    which count as 0 and say nothing about the method.
    """
    rows = []
    for stage in stages:
        low, high = np.percentile(stage.likeness, (10, 90))
        empty = int((stage.maps == stage.maps[:, :1, :1]).all((1, 2)).sum())
        rows.append([stage.layer, *(f"{likeness:.4f}" for likeness in (stage.likeness.mean(), low, high)), empty])
    return csv_text(("shuffled_down_to", "rank_correlation", "low", "high", "empty_maps"), rows)


def _standard_ranks(maps: NDArray[np.floating]) -> NDArray[np.float64]:
    """The ranks of each map's values, of mean 0 and deviation 1 (0 where all are equal): float64 [N, S * S]."""
    ranks = rankdata(maps.reshape(len(maps), -1), axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    deviation = ranks.std(1, keepdims=True)
    return ranks / np.where(deviation > 0, deviation, 1)


def _layers(network: Network) -> list[tuple[str, Sequence[nn.Module]]]:
    """The layers that have weights, by name, from the output to the input."""
    layers: list[tuple[str, Sequence[nn.Module]]] = [("head", [network.head])]
    if network.dense:
        layers.append(("dense", [network.dense]))
    lower = [(f"conv {i}", pair) for i, pair in enumerate(convolutions(network), start=1)]
    return [*layers, *reversed(lower)]


def _shuffle(module: nn.Module, generator: torch.Generator) -> None:
    """Give each of the module's weights, running means and variances the position of another one, array by array."""
    with torch.no_grad():
        for values in module.state_dict().values():
            flat = values.flatten()
            values.copy_(flat[torch.randperm(len(flat), generator=generator)].view_as(values))

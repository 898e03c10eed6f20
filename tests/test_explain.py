"""Grad-CAM finds what the network was made to look at."""

import numpy as np
import pytest
import torch

from mien.explain.gradcam import grad_cam, mean_maps
from mien.models.architectures import ARCHITECTURES
from mien.models.model import Model
from mien.models.networks import build


def bright_spot_model() -> Model:
    """A classic network whose first logit grows with brightness anywhere."""
    network = build("classic", 2)
    assert network.dense is not None
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                module.weight.zero_()
                module.weight[0, 0, 1, 1] = 1
        network.dense.weight.zero_()
        network.dense.weight[0, :36] = 1
        network.head.weight[0, 0] = 1
    return Model(network.eval(), "classic", ("bright", "dark"))


def test_the_map_lies_where_the_evidence_is() -> None:
    faces = np.zeros((1, 48, 48), np.uint8)
    faces[0, 4:14, 30:40] = 255
    (heat,) = grad_cam(bright_spot_model(), faces, np.array([0]))
    y, x = np.unravel_index(heat.argmax(), heat.shape)
    assert 4 <= y < 14
    assert 30 <= x < 40
    assert heat[30:, :20].max() < 0.05


@pytest.mark.parametrize("name", list(ARCHITECTURES))
def test_maps_are_sound_for_every_network(name: str) -> None:
    torch.manual_seed(0)
    network = build(name, 3)
    torch.nn.init.normal_(network.head.weight)
    faces = np.random.default_rng(0).integers(0, 256, (5, 48, 48)).astype(np.uint8)
    maps = grad_cam(Model(network, name, ("a", "b", "c")), faces, np.array([0, 1, 2, 0, 1]))
    assert maps.shape == (5, 48, 48)
    assert maps.min() >= 0
    assert maps.max() <= 1 + 1e-6
    alone = grad_cam(Model(network, name, ("a", "b", "c")), faces[2:3], np.array([2]))
    assert np.allclose(alone[0], maps[2], atol=1e-4)


def test_mean_maps_are_means_by_class() -> None:
    maps = np.stack([np.full((4, 4), value, np.float32) for value in (0.2, 0.4, 1.0)])
    means = mean_maps(maps, np.array([0, 0, 2]), 3)
    assert means[:, 0, 0] == pytest.approx([0.3, 0, 1])

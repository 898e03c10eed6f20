"""Grad-CAM: where in a face the network found what speaks for a class (Selvaraju et al. 2017, arXiv:1610.02391)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from mien.models.model import Model
from mien.models.networks import eval_copy, last_convolution, torch_network

_BATCH = 128


def grad_cam(model: Model, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> NDArray[np.float32]:
    """Heat maps, float32 [N, S, S] in [0, 1], of gray faces uint8 [N, S, S] for the classes `targets` [N].

    The maps of the last convolution are weighed by the mean gradient of the class's logit, summed, cut at zero
    and scaled so that each map's maximum is 1 (a map that is zero throughout stays zero).

    >>> from mien.models.networks import build
    >>> model = Model(build("classic", 2), "classic", ("no", "yes"))
    >>> grad_cam(model, np.zeros((3, 48, 48), np.uint8), np.array([0, 1, 1])).shape
    (3, 48, 48)
    """
    maps = [
        _maps(model, images[start : start + _BATCH], targets[start : start + _BATCH])
        for start in range(0, len(images), _BATCH)
    ]
    return np.concatenate(maps) if maps else np.zeros(images.shape, np.float32)


def _maps(model: Model, images: NDArray[np.uint8], targets: NDArray[np.int64]) -> NDArray[np.float32]:
    network = eval_copy(torch_network(model), torch.device("cpu"))
    outputs: list[Tensor] = []
    layer = last_convolution(network)
    handle = layer.register_forward_hook(lambda module, args, output: outputs.append(output))
    try:
        faces = torch.from_numpy(model.preprocess.scale(images))
        with torch.enable_grad():
            logits = network.of_head(network(faces.requires_grad_()))
            chosen = logits.gather(1, torch.from_numpy(targets)[:, None]).sum()
            (gradient,) = torch.autograd.grad(chosen, outputs[0])
    finally:
        handle.remove()
    weights = gradient.mean((2, 3), keepdim=True)
    maps = (weights * outputs[0].relu()).sum(1, keepdim=True).relu()
    maps = interpolate(maps, size=images.shape[1:], mode="bilinear", align_corners=False)[:, 0]
    peak = maps.amax((1, 2), keepdim=True)
    return (maps / peak.where(peak > 0, 1)).detach().numpy()

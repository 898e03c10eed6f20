"""Other models that take part in training: teachers, and the one whose weights it begins with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from mien.errors import ModelError
from mien.models.files import check_classes
from mien.models.model import Model
from mien.models.networks import Network, build, fuse

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Teacher:
    """What gives a model's logits [B, K], and what is added to them for the frequency of the classes [K]."""

    ask: Callable[[Tensor], Tensor]
    temperature: float
    shift: Tensor

    @classmethod
    def of(cls, model: Model, frequency: np.ndarray, device: torch.device) -> Teacher:
        """The model as a teacher of classes that are this frequent, float64 [K], where the student learns."""
        shift = np.log(frequency) - np.log(model.prior) if model.prior and frequency.all() else np.zeros(len(frequency))
        return cls(_asked(model, device), model.temperature, torch.from_numpy(shift).float().to(device))

    def __call__(self, faces: Tensor) -> Tensor:
        """Probabilities [B, K] of faces [B, 1, S, S], for classes as frequent as where the student learns."""
        return (self.ask(faces).float() / self.temperature + self.shift).softmax(1)


def _asked(model: Model, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The model's network at rest: on the device, or on the CPU where it came from an .onnx file."""
    if not isinstance(model.network, Network):
        return lambda faces: torch.from_numpy(model.network.logits(faces.cpu().numpy(), "cpu")).to(device)
    network = deepcopy(model.network).to(device).eval()
    if device.type == "cpu":
        fuse(network)
    return network


def check_models(network: str, classes: tuple[str, ...], teachers: Sequence[Model], init: Model | None) -> None:
    """Raise ModelError where a teacher cannot teach these classes, or `init` is another kind of network."""
    for teacher in teachers:
        check_classes(teacher, classes, "a teacher", "the training data")
    if init is None:
        return
    _weights(init)
    if init.architecture != network:
        raise ModelError(
            f"--init is a network '{init.architecture}', but the recipe trains '{network}'; give a model of "
            "that network, or another --recipe"
        )


def begin(kind: str, classes: tuple[str, ...], init: Model | None) -> Network:
    """A network of this kind with random weights, or with those of `init`; its last layer only for the same classes."""
    network = build(kind, len(classes))
    if init is None:
        return network
    weights = _weights(init).state_dict()
    if init.classes != classes:
        weights = {name: weight for name, weight in weights.items() if not name.startswith("head.")}
    network.load_state_dict(weights, strict=False)
    return network


def _weights(model: Model) -> Network:
    """The network whose weights training can begin with; raises ModelError where it came from an .onnx file."""
    if not isinstance(model.network, Network):
        raise ModelError(
            "no .onnx model trains further, nor do those that come with Mien; give --init a run folder or .safetensors"
        )
    return model.network

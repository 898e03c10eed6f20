"""Knowledge distillation: teachers whose probabilities are half of what a network learns."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mien.data.dataset import Dataset
from mien.errors import ModelError
from mien.models.files import check_classes
from mien.models.model import Model
from mien.models.networks import Network, eval_copy, fuse
from mien.train.initial import check_init

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor


@dataclass(frozen=True)
class Teacher:
    """A model's logits [B, K] as a function of faces, its temperature, and the shift [K] from its prior to ours."""

    logits: Callable[[Tensor], Tensor]
    temperature: float
    shift: Tensor

    @classmethod
    def of(cls, model: Model, frequency: NDArray[np.float64], device: torch.device) -> Teacher:
        """The model as a teacher of classes that are this frequent [K] where the student learns."""
        known = bool(model.prior) and frequency.all()
        shift = np.log(frequency) - np.log(model.prior) if known else np.zeros(len(frequency))
        return cls(_logits_on(model, device), model.temperature, torch.from_numpy(shift).float().to(device))

    def __call__(self, faces: Tensor) -> Tensor:
        """Probabilities [B, K] of faces [B, 1, S, S], for classes as frequent as where the student learns."""
        return (self.logits(faces).float() / self.temperature + self.shift).softmax(1)


def check_models(
    network: str | Mapping[str, Any], faces: Dataset, teachers: Sequence[Model], init: Model | None
) -> None:
    """Raise ModelError where a teacher names other classes or no label source, or `init` is another kind of network."""
    for teacher in teachers:
        check_classes(teacher, faces.classes, "a teacher", "the training data")
        if faces.given is not None and not teacher.sources:
            raise ModelError(
                "a teacher's file does not say which labels it has learned; train on one kind of labels, not on both"
            )
    check_init(network, init)


def _logits_on(model: Model, device: torch.device) -> Callable[[Tensor], Tensor]:
    """The model's network in eval mode: on the device, or on the CPU where another library runs it."""
    if not isinstance(model.network, Network):
        return lambda faces: torch.from_numpy(model.network.logits(faces.cpu().numpy(), "cpu")).to(device)
    network = eval_copy(model.network, device)
    if device.type == "cpu":
        fuse(network)
    return network

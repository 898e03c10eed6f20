"""What a network learns: an objective a head, each with a label source of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mien.data.dataset import Dataset
from mien.models.architectures import LABEL_SOURCES
from mien.models.model import Model
from mien.records.recipe import Recipe
from mien.train.losses import adjusted_prior, as_shares, class_frequency, class_weights, log_prior
from mien.train.teachers import Teacher

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


@dataclass(frozen=True)
class Labels:
    """What one source says of N faces, on the device.

    labels: int64 [N]. targets: the shares of votes, float32 [N, K], where annotators voted; else the labels.
    """

    labels: Tensor
    targets: Tensor

    def of(self, indices: Tensor) -> Labels:
        """What it says of the faces at these indices."""
        return Labels(self.labels[indices], self.targets[indices])


@dataclass(frozen=True)
class Objective:
    """The loss of one head.

    source: the label source it learns, "" where that is the only one. weights, log_prior: float32 [K], of the classes.
    prior: as in `Model`. smoothing: label smoothing. teachers: whose mean is half of the targets.
    """

    source: str
    weights: Tensor
    log_prior: Tensor
    prior: tuple[float, ...]
    smoothing: float
    teachers: Sequence[Teacher]

    def losses(self, logits: Tensor, known: Labels, faces: Tensor, precision: AbstractContextManager[object]) -> Tensor:
        """The loss of each face, float32 [B], given the logits [B, K] of this head for the faces [B, 1, S, S]."""
        targets = known.targets
        if self.teachers:
            with torch.no_grad(), precision:
                taught = torch.stack([teacher(faces) for teacher in self.teachers]).mean(0)
            targets = (as_shares(targets, len(self.weights)) + taught) / 2
        # What the loss adds for the frequency of the classes, the logits need not hold.
        losses = cross_entropy(logits + self.log_prior, targets, reduction="none", label_smoothing=self.smoothing)
        return losses * self.weights[known.labels]


def by_source(faces: Dataset) -> dict[str, Dataset]:
    """The same faces with one kind of labels each, by label source; "" where they have only one kind."""
    if faces.given is None:
        return {"": faces}
    own = replace(faces, labels=faces.given, shares=None, given=None)
    return dict(zip(LABEL_SOURCES, (replace(faces, given=None), own), strict=True))


def labels_on(device: torch.device, faces: Dataset) -> list[Labels]:
    """What each label source says of the faces."""
    found = []
    for part in by_source(faces).values():
        labels = torch.from_numpy(part.labels).to(device)
        found.append(Labels(labels, labels if part.shares is None else torch.from_numpy(part.shares).to(device)))
    return found


def objectives(recipe: Recipe, faces: Dataset, teachers: Sequence[Model], device: torch.device) -> list[Objective]:
    """What the heads learn of the training faces, each from the teachers that know its labels.

    Of two heads, that of the votes takes them as they are: shares need no smoothing.
    """
    found = []
    for source, part in by_source(faces).items():
        weights = class_weights(part.counts(), recipe.balance)
        frequency = class_frequency(part, weights)
        found.append(
            Objective(
                source,
                torch.tensor(weights, dtype=torch.float32, device=device),
                torch.from_numpy(log_prior(frequency, recipe.adjust)).to(device),
                adjusted_prior(frequency, recipe.adjust),
                recipe.smoothing if part.shares is None or not source else 0.0,
                [
                    Teacher.of(model.answering(source) if source else model, frequency, device)
                    for model in teachers
                    if not source or source in model.sources
                ],
            )
        )
    return found

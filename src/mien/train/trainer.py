"""The training loop: plain PyTorch, the whole data set resident on the device as bytes.

`train` takes no test set, so choosing on the test set cannot be written down. Each epoch draws its order,
its augmentation and its dropout from (seed, epoch) alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mien.data.dataset import Dataset
from mien.errors import TrainingError, UsageError
from mien.models.model import Model
from mien.models.networks import build, fuse
from mien.preprocess import Preprocess
from mien.train.recipes import Balance, Recipe
from mien.train.schedule import make_schedule

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

_REPORT_EVERY = 0.2  # seconds between two calls of `on_step`: each makes the device wait for the loss
_SAME_ANSWER = 1e-3  # a network whose probabilities vary less than this over all faces has collapsed ...
_TRIED = 200  # ... if it has had that many updates to begin learning


@dataclass(frozen=True)
class Epoch:
    """One line of `history.csv`. `seconds` and `images_per_second` count training, not validation."""

    epoch: int
    loss: float
    accuracy: float
    val_loss: float
    val_accuracy: float
    lr: float
    seconds: float
    images_per_second: float


@dataclass(frozen=True)
class Progress:
    """Where a running epoch stands: faces seen and to see, mean loss and accuracy so far."""

    epoch: int
    epochs: int
    seen: int
    faces: int
    loss: float
    accuracy: float


@dataclass(frozen=True)
class TrainResult:
    """What training leaves: the model of the lowest validation loss, and every epoch's figures.

    ended: "finished", "stopped early" or "interrupted".
    """

    model: Model
    history: tuple[Epoch, ...]
    best: Epoch
    ended: str


@dataclass(frozen=True)
class Listener:
    """Who wants to hear: of steps (a few a second), of each epoch's end, of each new best model."""

    on_step: Callable[[Progress], None] = lambda progress: None
    on_epoch: Callable[[Epoch], None] = lambda epoch: None
    on_best: Callable[[Model], None] = lambda model: None


def train(
    recipe: Recipe,
    train: Dataset,
    val: Dataset,
    seed: int = 0,
    device: str = "auto",
    listener: Listener | None = None,
) -> TrainResult:
    """Train a network by `recipe` and return the model of the lowest validation loss.

    Ctrl-C ends training after the first epoch with the best model so far. Raises TrainingError where the network
    gives the same answer for every face, UsageError for an unknown device or network.
    """
    run = _Run(recipe, train, val, seed, pick_device(device), listener or Listener())
    return run.go()


def pick_device(name: str) -> torch.device:
    """The device called `name`; "auto" takes a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError):
        raise UsageError(f"device '{name}' cannot be used here; try --device cpu") from None


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware, so that it is faster than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def class_weights(counts: np.ndarray, balance: Balance) -> np.ndarray:
    """Loss weight of each class [K] given its number of faces [K]; their mean over the faces is 1."""
    if balance == "none":
        return np.ones(len(counts))
    weights = counts.sum() / (len(counts) * np.maximum(counts, 1))
    if balance == "sqrt":
        weights = np.sqrt(weights)
    return weights * counts.sum() / (weights * counts).sum()


class _Run:
    """The state of one training run."""

    def __init__(
        self, recipe: Recipe, train: Dataset, val: Dataset, seed: int, device: torch.device, listener: Listener
    ) -> None:
        torch.manual_seed(seed)
        self.recipe, self.seed, self.device, self.listener = recipe, seed, device, listener
        self.classes = train.classes
        self.network = build(recipe.network, len(train.classes)).to(device)
        if device.type == "cpu":
            fuse(self.network)
        self.average = _running_mean(self.network, recipe.average) if recipe.average else None
        self.optimizer = _optimizer(self.network, recipe, fused=device.type in ("cpu", "cuda"))
        steps = -(-len(train) // recipe.batch_size)
        self.schedule = make_schedule(recipe, self.optimizer, steps)
        self.faces, self.labels = _resident(train, device)
        self.val_faces, self.val_labels = _resident(val, device)
        self.weights = torch.tensor(class_weights(train.counts(), recipe.balance), dtype=torch.float32, device=device)
        self.bfloat16 = has_bfloat16(device)
        self.updates = 0

    def go(self) -> TrainResult:
        history: list[Epoch] = []
        best: tuple[Epoch, Model] | None = None
        ended = "finished"
        try:
            for number in range(1, self.recipe.epochs + 1):
                epoch, probabilities = self._epoch(number)
                history.append(epoch)
                if best is None or epoch.val_loss < best[0].val_loss:
                    best = epoch, self._snapshot()
                    self.listener.on_best(best[1])
                self.listener.on_epoch(epoch)
                if self.updates >= _TRIED and _same_for_all(probabilities):
                    raise TrainingError(self._collapse(epoch, probabilities))
                if self.schedule.end_epoch(epoch.val_loss):
                    ended = "stopped early"
                    break
        except KeyboardInterrupt:
            if best is None:
                raise
            ended = "interrupted"
        if best is None:
            raise UsageError("training takes at least one epoch; give --epochs 1 or more")
        return TrainResult(best[1], tuple(history), best[0], ended)

    def _epoch(self, number: int) -> tuple[Epoch, Tensor]:
        start = time.perf_counter()
        loss, accuracy = self._train_epoch(number)
        seconds = time.perf_counter() - start
        val_loss, val_accuracy, probabilities = self._validate()
        rate = self.optimizer.param_groups[0]["lr"]
        speed = len(self.labels) / seconds
        return Epoch(number, loss, accuracy, val_loss, val_accuracy, rate, seconds, speed), probabilities

    def _train_epoch(self, number: int) -> tuple[float, float]:
        """One pass over the faces; mean loss and accuracy, as trained on (augmented, with dropout)."""
        self.network.train()
        order, generator = self._draws(number)
        total = torch.zeros(2, device=self.device)
        seen, told = 0, time.perf_counter()
        for batch in order.split(self.recipe.batch_size):
            faces = self.recipe.augment(self.faces[batch].float() / 255, generator)
            total += self._step(faces, self.labels[batch])
            seen += len(batch)
            if time.perf_counter() - told > _REPORT_EVERY:
                self._tell(number, seen, total)
                told = time.perf_counter()
        self._tell(number, seen, total)
        loss, accuracy = (total / seen).tolist()
        return loss, accuracy

    def _step(self, faces: Tensor, labels: Tensor) -> Tensor:
        """One update; returns [sum of losses, number of right answers]."""
        self.schedule.start_step()
        with self._precision():
            logits = self.network(faces).float()
        losses = cross_entropy(logits, labels, reduction="none", label_smoothing=self.recipe.smoothing)
        losses = losses * self.weights[labels]
        self.optimizer.zero_grad()
        losses.mean().backward()
        self.optimizer.step()
        self.updates += 1
        if self.average is not None:
            self.average.update_parameters(self.network)
        return torch.stack([losses.detach().sum(), (logits.argmax(1) == labels).sum()])

    def _validate(self) -> tuple[float, float, Tensor]:
        network = self._kept().eval()
        with torch.inference_mode():
            logits = torch.cat([network(batch.float() / 255) for batch in self.val_faces.split(256)])
        loss = cross_entropy(logits, self.val_labels).item()
        accuracy = (logits.argmax(1) == self.val_labels).float().mean().item()
        return loss, accuracy, logits.softmax(1)

    def _draws(self, epoch: int) -> tuple[Tensor, torch.Generator]:
        """The order of the faces and the generator for augmentation; also seeds dropout."""
        for_order, for_faces, for_dropout = np.random.SeedSequence((self.seed, epoch)).generate_state(3).tolist()
        torch.manual_seed(for_dropout)
        order = torch.randperm(len(self.labels), generator=torch.Generator().manual_seed(for_order))
        return order.to(self.device), torch.Generator(self.device).manual_seed(for_faces)

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bfloat16 else nullcontext()

    def _kept(self) -> nn.Module:
        return self.network if self.average is None else self.average.module

    def _snapshot(self) -> Model:
        network = build(self.recipe.network, len(self.classes))
        network.load_state_dict(self._kept().state_dict())
        notes = {"recipe": self.recipe.name, "seed": str(self.seed)}
        return Model(network.eval(), self.recipe.network, self.classes, Preprocess(), notes)

    def _tell(self, epoch: int, seen: int, total: Tensor) -> None:
        loss, accuracy = (total / seen).tolist()
        self.listener.on_step(Progress(epoch, self.recipe.epochs, seen, len(self.labels), loss, accuracy))

    def _collapse(self, epoch: Epoch, probabilities: Tensor) -> str:
        answer = self.classes[int(probabilities[0].argmax())]
        return (
            f"after epoch {epoch.epoch} the network gives the same answer ('{answer}') for every face: it has "
            f"collapsed and will not recover; train with --balance none, or a smaller --rate than {self.recipe.rate:g}"
        )


def _same_for_all(probabilities: Tensor) -> bool:
    return probabilities.std(dim=0, correction=0).max().item() < _SAME_ANSWER


def with_notes(model: Model, **notes: str) -> Model:
    """`model` with more provenance."""
    return replace(model, notes={**model.notes, **notes})


def _resident(data: Dataset, device: torch.device) -> tuple[Tensor, Tensor]:
    """Faces uint8 [N, 1, S, S] and labels int64 [N] on the device."""
    faces = torch.from_numpy(np.ascontiguousarray(data.images))[:, None]
    return faces.to(device), torch.from_numpy(data.labels).to(device)


def _optimizer(network: nn.Module, recipe: Recipe, *, fused: bool) -> torch.optim.Optimizer:
    """Adam or SGD; kernels are decayed by 2 * l2, which is the gradient of `l2 * sum(w^2)`."""
    kernels = [weight for weight in network.parameters() if weight.ndim > 1]
    others = [weight for weight in network.parameters() if weight.ndim <= 1]
    groups = [{"params": kernels, "weight_decay": 2 * recipe.l2}, {"params": others, "weight_decay": 0.0}]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, recipe.rate, momentum=0.9, nesterov=True, fused=fused)
    return torch.optim.Adam(groups, recipe.rate, fused=fused)


def _running_mean(network: nn.Module, decay: float) -> AveragedModel:
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)

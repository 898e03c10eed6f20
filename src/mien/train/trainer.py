"""The training loop: plain PyTorch, the whole data set resident on the device as bytes.

`train` takes no test set, so choosing on the test set cannot be written down. Each epoch draws its order,
its augmentation and its dropout from (seed, epoch) alone, so that several processes can train together
(`mien.train.distributed`): in each, the loop goes over the global batches and computes its share of them.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mien.data.dataset import Dataset
from mien.errors import DataError, TrainingError, UsageError
from mien.models.architectures import to_plain
from mien.models.model import Head, Model
from mien.models.networks import build, fuse, pick_device
from mien.preprocess import Preprocess
from mien.records.recipe import Recipe
from mien.records.run import Epoch, selected_epoch
from mien.train import distributed
from mien.train.augment import apply, draw
from mien.train.ema import WeightEMA
from mien.train.initial import described, freeze, initial_network, train_mode
from mien.train.objectives import labels_on, objectives
from mien.train.progress import Listener, Progress, ProgressBar
from mien.train.schedule import make_schedule
from mien.train.state import State, copies, named, optimizer_tensors, restore_optimizer
from mien.train.teachers import check_models

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from numpy.typing import NDArray

_REPORT_EVERY = 0.2  # seconds between two calls of `on_step`: each makes the device wait for the loss
_COLLAPSED = "collapsed"
_SAME_ANSWER = 1e-3  # a network whose probabilities vary less than this over all faces has collapsed ...
_COLLAPSE_AFTER = 200  # ... if it has had that many updates to begin learning
_COMPILE_FROM = 5_000  # updates from which on compiling, half a minute or so, is worth it
_SAMPLE = 256  # validation faces that tell whether it has, and training faces for the statistics of batch norms


@dataclass(frozen=True)
class TrainResult:
    """What training leaves: the model of the selected epoch, `best`, and every epoch's figures.

    ended: "finished", "stopped early" or "interrupted".

    >>> epoch = Epoch(1, loss=1.9, accuracy=0.2, val_loss=1.8, val_accuracy=0.3, lr=0.1, seconds=2, images_per_second=9)
    >>> model = Model(build("classic", 2), "classic", ("no", "yes"))
    >>> TrainResult(model, (epoch,), epoch, "finished").best.val_accuracy
    0.3
    """

    model: Model
    history: tuple[Epoch, ...]
    best: Epoch
    ended: str


def train(
    recipe: Recipe,
    train: Dataset,
    val: Dataset,
    seed: int = 0,
    device: str = "auto",
    listener: Listener | None = None,
    start: State | None = None,
    teachers: Sequence[Model] = (),
    init: Model | None = None,
) -> TrainResult:
    """Train a network by `recipe` and return the model of the selected epoch.

    Faces with shares of votes are learned by these; with `given` labels beside them, by a network of two heads, whose
    loss is the mean of both, and whose accuracy is that on the votes. The `teachers` are asked about every face as the
    network sees it, augmented alike, and half of what a head learns is the mean of their probabilities
    (arXiv:1503.02531, arXiv:2106.05237), each at its temperature and as if expressions had been as frequent for it as
    they are here.
    `init` is a model whose weights the network begins with, except for the last layer where it names other classes.
    Losses and accuracies are of the network in train mode, in bfloat16 where the device multiplies it. Progress is
    shown on stderr where that is a terminal; a `listener` replaces that. Inside `distributed.joined()`, the processes
    that torchrun started train together; each gets the result, and rank 0 alone has a listener.

    With `start`, a state that the same call once gave its listener, training goes on from there and ends as it
    would have ended then (on a CPU to the bit). Ctrl-C ends training after the first epoch with the best model so far.
    Raises TrainingError where the network gives the same answer for every face or the loss is no number, UsageError for
    an unknown device or network, DataError where a part has no faces, ModelError where a teacher names other classes,
    or `init` is another network than the recipe's.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from mien import open_data
    >>> from mien.data.drawn import write_drawn
    >>> from mien.train import find_recipe
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_drawn(Path(folder) / "faces", count=70)
    ...     data = open_data(f"{folder}/faces")
    >>> result = train(replace(find_recipe("classic"), epochs=1), data.train, data.val)
    >>> result.ended, len(result.history)
    ('finished', 1)
    """
    if recipe.epochs < 1:
        raise UsageError("training takes at least one epoch; give --epochs 1 or more")
    for name, part in (("training", train), ("validation", val)):
        if not len(part):
            raise DataError(f"there are no {name} faces; give data with some")
    start = distributed.from_first(lambda: start)
    if start is None:
        check_models(recipe.network, train, teachers, init)
    origin = start.model if start else init
    if not recipe.network and origin:
        recipe = replace(recipe, network=to_plain(origin.architecture))
    own = distributed.own_device(pick_device(device))
    listener = Listener() if distributed.rank() else listener or ProgressBar(recipe.epochs, len(train))
    return _Run(recipe, train, val, seed, own, listener, teachers, init).go(start)


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware, so that it is faster than float32."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def _compiled(network: nn.Module, device: torch.device, updates: int) -> nn.Module:
    """What computes `network`: on a GPU with Triton, compiled kernels, where one process trains long enough.

    Not for several: torch.compile moves and drops what the batch norms of one rank say to another.
    """
    if device.type != "cuda" or distributed.size() > 1 or updates < _COMPILE_FROM or find_spec("triton") is None:
        return network
    torch._dynamo.config.suppress_errors = True  # what cannot be compiled here runs as it is ...
    torch._logging.set_logs(dynamo=logging.ERROR)  # ... without pages about it
    return cast("nn.Module", torch.compile(network))


class _Run:
    """One training run under way."""

    def __init__(
        self,
        recipe: Recipe,
        train: Dataset,
        val: Dataset,
        seed: int,
        device: torch.device,
        listener: Listener,
        teachers: Sequence[Model],
        init: Model | None,
    ) -> None:
        torch.manual_seed(seed)
        self.recipe, self.seed, self.device, self.listener = recipe, seed, device, listener
        self.classes = train.classes
        self.faces, self.val_faces = (_on(device, part.images) for part in (train, val))
        self.labels, self.val_labels = labels_on(device, train), labels_on(device, val)
        self.objectives = objectives(recipe, train, teachers, device)
        some = torch.from_numpy(train.images[:: -(-len(train) // _SAMPLE)])[:, None].float() / 255
        self.network = initial_network(recipe.network, train.classes, init, some, len(self.objectives)).to(device)
        freeze(self.network, recipe.freeze)
        distributed.distribute(self.network)
        if device.type == "cpu" and distributed.size() == 1:  # the kernels' batch norms are of one process
            fuse(self.network)
        self.ema = WeightEMA(self.network, recipe.ema) if recipe.ema else None
        self.optimizer = _optimizer(self.network, recipe, fused=device.type in ("cpu", "cuda"))
        self.steps = -(-len(train) // recipe.batch_size)
        self.schedule = make_schedule(recipe, self.optimizer, self.steps)
        self.compiled = _compiled(self.network, device, recipe.epochs * self.steps)
        self.bfloat16 = has_bfloat16(device)

    def go(self, state: State | None) -> TrainResult:
        if state is not None:
            self._restore(state)
        try:
            while state is None or not state.ended:
                state = self._advance(state)
                self.listener.on_epoch(state)
            ended = state.ended
        except KeyboardInterrupt:
            if state is None:
                raise
            ended = "interrupted"
        if ended == _COLLAPSED:
            answer = self.classes[int(self._probe(self._validated())[0].argmax())]
            raise TrainingError(
                f"after epoch {state.last.epoch} the network gives the same answer ('{answer}') for every face: it has "
                f"collapsed and will not recover; train with --balance none, or a smaller --rate than "
                f"{self.recipe.rate:g}"
            )
        return TrainResult(state.model, state.history, state.best, ended)

    def _advance(self, state: State | None) -> State:
        """Train one epoch more."""
        before = state.history if state else ()
        epoch = self._epoch(len(before) + 1)
        if not math.isfinite(epoch.loss + epoch.val_loss):
            raise TrainingError(
                f"in epoch {epoch.epoch} the loss is no number any more: training has diverged; give a smaller --rate "
                f"than {self.recipe.rate:g}"
            )
        ended = self._end(epoch)
        history = (*before, epoch)
        best = selected_epoch(history, self.recipe.keep)
        model = state.model if state and best is not epoch else self._snapshot()
        settings = self.optimizer.state_dict()["param_groups"]
        tensors = {
            **copies("network", self.network.state_dict()),
            **copies("ema", self.ema.network.state_dict() if self.ema else {}),
            **copies("optimizer", optimizer_tensors(self.optimizer)),
        }
        return State(history, best, model, tensors, settings, self.schedule.state(), ended)

    def _end(self, epoch: Epoch) -> str:
        """Why training ends with this epoch, "" if it goes on."""
        enough = self.schedule.end_epoch(epoch.val_loss)
        if epoch.epoch * self.steps >= _COLLAPSE_AFTER and distributed.from_first(self._collapsed):
            return _COLLAPSED
        if enough:
            return "stopped early"
        return "finished" if epoch.epoch >= self.recipe.epochs else ""

    def _restore(self, state: State) -> None:
        self.network.load_state_dict(named("network", state.tensors))
        if self.ema is not None:
            self.ema.restore(named("ema", state.tensors), updates=self.steps * len(state.history))
        restore_optimizer(self.optimizer, named("optimizer", state.tensors), state.settings)
        self.schedule.restore(state.schedule)

    def _epoch(self, number: int) -> Epoch:
        start = time.perf_counter()
        loss, accuracy = self._train_epoch(number)
        seconds = time.perf_counter() - start
        val_loss, val_accuracy = distributed.from_first(self._validate)
        rate = self.optimizer.param_groups[0]["lr"]
        speed = len(self.faces) / seconds
        return Epoch(number, loss, accuracy, val_loss, val_accuracy, rate, seconds, speed)

    def _train_epoch(self, number: int) -> tuple[float, float]:
        """One pass over the faces; mean loss and accuracy, as trained on (augmented, with dropout)."""
        train_mode(self.network)
        order, generator = self._draws(number)
        totals = torch.zeros(3, device=self.device)
        samples_seen, reported = 0, time.perf_counter()
        for batch in order.split(self.recipe.batch_size):
            totals += self._step(batch, generator)
            samples_seen += len(batch)
            if time.perf_counter() - reported > _REPORT_EVERY:
                self._report(number, samples_seen, totals)
                reported = time.perf_counter()
        distributed.sum_over_ranks(totals)
        return self._report(number, samples_seen, totals)

    def _step(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        """One update by the faces with the indices `batch`; returns, of this rank's share of them, [sum of losses,
        number of right answers, number of faces]."""
        rows = distributed.share(len(batch))
        drawn = [values[rows] for values in draw(len(batch), self.recipe.augment, self.device, generator)]
        own = batch[rows]
        faces = apply(self.faces[own].float() / 255, *drawn)
        known = [labels.of(own) for labels in self.labels]
        distributed.announce(self.network, len(batch))
        self.schedule.start_step()
        with self._precision():
            logits = self.compiled(faces).float().chunk(len(known), 1)
        each = [
            objective.losses(answers, labels, faces, self._precision())
            for objective, answers, labels in zip(self.objectives, logits, known, strict=True)
        ]
        losses = torch.stack(each).mean(0)
        self.optimizer.zero_grad()
        (losses.sum() / len(batch)).backward()  # over all ranks, the mean
        distributed.sum_gradients(self.network)
        self.optimizer.step()
        if self.ema is not None:
            self.ema.update()
        right = (logits[0].argmax(1) == known[0].labels).sum()
        return torch.stack([losses.detach().sum(), right, torch.full_like(right, len(own))])

    def _validate(self) -> tuple[float, float]:
        """Loss and accuracy on the validation faces."""
        network = self._validated().eval()
        with torch.inference_mode(), self._precision():
            all_logits = torch.cat([network(batch.float() / 255).float() for batch in self.val_faces.split(256)])
        logits = all_logits.chunk(len(self.val_labels), 1)
        each = zip(logits, self.val_labels, strict=True)
        loss = sum(cross_entropy(answers, known.targets).item() for answers, known in each) / len(logits)
        return loss, (logits[0].argmax(1) == self.val_labels[0].labels).float().mean().item()

    def _collapsed(self) -> bool:
        """Whether every face gets the same answer; an EMA may say so for a while when its network does not."""
        answers = (self._probe(network) for network in (self._validated(), self.network))
        return all(shares.std(dim=0, correction=0).max().item() < _SAME_ANSWER for shares in answers)

    def _probe(self, network: nn.Module) -> Tensor:
        """The first head's probabilities for some validation faces from all over, in float32: bfloat16's steps would
        look like differences."""
        faces = self.val_faces[:: -(-len(self.val_faces) // _SAMPLE)]
        with torch.inference_mode():
            return self.network.of_head(network.eval()(faces.float() / 255)).softmax(1)

    def _draws(self, epoch: int) -> tuple[Tensor, torch.Generator]:
        """The order of the faces and the generator for augmentation; also seeds dropout."""
        for_order, for_faces, for_dropout = np.random.SeedSequence((self.seed, epoch)).generate_state(3).tolist()
        torch.manual_seed(for_dropout)
        order = torch.randperm(len(self.faces), generator=torch.Generator().manual_seed(for_order))
        return order.to(self.device), torch.Generator(self.device).manual_seed(for_faces)

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast(self.device.type, torch.bfloat16) if self.bfloat16 else nullcontext()

    def _validated(self) -> nn.Module:
        """The network that is validated and saved: the EMA, where the recipe has one."""
        return self.network if self.ema is None else self.ema.network

    def _snapshot(self) -> Model:
        architecture = described(self.recipe.network)
        first, *others = self.objectives
        network = build(architecture, len(self.classes), len(self.objectives))
        network.load_state_dict(self._validated().state_dict())
        return Model(
            network.eval(),
            architecture,
            self.classes,
            Preprocess(),
            notes={"recipe": self.recipe.name, "seed": str(self.seed)},
            prior=first.prior,
            labels=first.source,
            others=tuple(Head(head.source, prior=head.prior) for head in others),
        )

    def _report(self, epoch: int, samples_seen: int, totals: Tensor) -> tuple[float, float]:
        """Tell the listener; the mean loss and accuracy of the faces in `totals`."""
        loss, accuracy = (totals[:2] / totals[2]).tolist()
        self.listener.on_step(Progress(epoch, self.recipe.epochs, samples_seen, len(self.faces), loss, accuracy))
        return loss, accuracy


def with_notes(model: Model, **notes: str) -> Model:
    """`model` with more provenance."""
    return replace(model, notes={**model.notes, **notes})


def _on(device: torch.device, images: NDArray[np.uint8]) -> Tensor:
    """Faces uint8 [N, 1, S, S] on the device, of images uint8 [N, S, S]."""
    return torch.from_numpy(np.ascontiguousarray(images))[:, None].to(device)


def _optimizer(network: nn.Module, recipe: Recipe, *, fused: bool) -> torch.optim.Optimizer:
    """Adam or SGD; kernels are decayed by 2 * l2, which is the gradient of `l2 * sum(w^2)`."""
    trained = [weight for weight in network.parameters() if weight.requires_grad]
    kernels, others = [w for w in trained if w.ndim > 1], [w for w in trained if w.ndim <= 1]
    groups = [{"params": kernels, "weight_decay": 2 * recipe.l2}, {"params": others, "weight_decay": 0.0}]
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(groups, recipe.rate, momentum=0.9, nesterov=True, fused=fused)
    return torch.optim.Adam(groups, recipe.rate, fused=fused)

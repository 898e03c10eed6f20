"""Trainings in one process or as one of several; what torchrun does, less the start of new interpreters."""

import os
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from conftest import random_faces

from mien.data.dataset import Dataset
from mien.errors import DataError
from mien.models.architectures import ARCHITECTURES, Architecture
from mien.models.model import Model
from mien.models.networks import build, torch_network
from mien.records.recipe import Recipe
from mien.train import distributed, trainer
from mien.train.progress import Listener
from mien.train.state import State

CLASSES = ("calm", "cross", "glad")
ARCHITECTURES["small"] = Architecture(
    ((8, 8), (16,)), dropout=0.2, dense=16, stage_dropout=0.1, block="residual", squeeze=4
)


@dataclass(frozen=True)
class Case:
    """A training: its recipe, how many faces, and after how many epochs it is left.

    side: pixels of a face.
    double: all of it in float64, where whatever differs by more than rounding stands out.
    changed: it begins with weights that differ in their last bit.
    """

    recipe: Recipe
    faces: int
    leave_after: int = 99
    votes: bool = False
    teachers: int = 0
    init: bool = False
    double: bool = True
    changed: bool = False
    bfloat16: bool = False
    side: int = 24
    start: State | None = None


@dataclass
class Noted:
    """What rank 0 notes: each step's loss, each epoch's state, and the model's weights."""

    losses: list[float] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)


def run(context: Any, size: int, function: Callable[..., None], *arguments: Any) -> list[int | None]:
    """Call a function in each of `size` processes as torchrun would start them; returns their exit codes.

    `context` starts them; the store of the first is at a port that the system chooses.
    """
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    processes = [context.Process(target=_be, args=(r, size, store.port, function, *arguments)) for r in range(size)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def _be(rank: int, size: int, port: int, function: Callable[..., None], *arguments: Any) -> None:
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port, "MASTER_ADDR": "127.0.0.1"}
    os.environ |= {"TORCHELASTIC_RUN_ID": "test", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    os.environ |= {name: str(value) for name, value in own.items()}
    torch.set_num_threads(1)
    function(*arguments)


def train(case: Case) -> Noted:
    """Train as the case says, in float32 unless it says otherwise."""
    noted = Noted()
    learner: Any = trainer._Run
    step, end = learner._step, learner._end

    def noting(run: trainer._Run, batch: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        totals = step(run, batch, generator)
        loss, _, count = distributed.sum_over_ranks(totals.clone()).tolist()
        assert count == len(batch)
        noted.losses.append(loss / count)
        return totals

    learner._step = noting
    learner._end = lambda run, epoch: end(run, epoch) or ("left" if epoch.epoch >= case.leave_after else "")
    trainer.has_bfloat16 = lambda device: case.bfloat16
    if case.double:
        torch.set_default_dtype(torch.float64)
        torch.Tensor.float = torch.Tensor.double
        trainer.fuse = lambda network: None
    if case.changed:
        initial = trainer.initial_network
        vars(trainer)["initial_network"] = lambda *given: _changed(initial(*given))
    data, val = (_faces(count, case) for count in (case.faces, 30))
    teachers = [_model(str(case.recipe.network), seed) for seed in range(case.teachers)]
    init = _model(str(case.recipe.network), 9) if case.init else None
    listener = Listener(on_epoch=noted.states.append)
    result = trainer.train(case.recipe, data, val, 0, "cpu", listener, case.start, teachers, init)
    noted.weights = dict(torch_network(result.model).state_dict())
    return noted


def train_together(case: Case, out: Path) -> None:
    """The same among the ranks; rank 0 leaves what it noted in a file."""
    with distributed.joined():
        noted = train(case)
        if not distributed.rank():
            torch.save(noted, out)


def _faces(count: int, case: Case) -> Dataset:
    data, zoom = random_faces(count, CLASSES), case.side // 24
    shares = np.random.default_rng(0).dirichlet((1, 1, 1), count).astype(np.float32)
    images = data.images.repeat(zoom, 1).repeat(zoom, 2)
    return replace(data, images=images, shares=shares if case.votes else None)


def _changed(network: torch.nn.Module) -> torch.nn.Module:
    """A network whose weights in float32 are rounded otherwise."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in network.parameters():
            weight *= 1 + 6e-8 * torch.randn(weight.shape, generator=generator)
    return network


def _model(network: str, seed: int) -> Model:
    torch.manual_seed(seed)
    return Model(build(network, len(CLASSES)).eval(), network, CLASSES)


def fail(bad: tuple[int, ...], out: Path, patience: float) -> None:
    """The ranks in `bad` find no data; each leaves what it raises in a file."""
    vars(distributed)["_PATIENCE"] = patience
    with open(out.with_suffix(f".{os.environ['RANK']}"), "w") as file, redirect_stderr(file):
        try:
            with distributed.joined():
                if distributed.rank() in bad:
                    raise DataError(f"no data for {distributed.rank()}")
                distributed.meet("data")
        except BaseException as error:
            out.with_suffix(f".{os.environ['RANK']}").write_text(repr(error))
            raise

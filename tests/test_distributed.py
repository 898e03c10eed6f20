"""Several processes train the network that one would, and end together."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ranked
import torch
from hypothesis import given
from hypothesis import strategies as st
from ranked import Case, Noted
from torch import nn

from mien.cli.app import main
from mien.errors import UsageError
from mien.records.recipe import Recipe
from mien.records.run import RunRecord, read_history
from mien.train import distributed, trainer
from mien.train.checkpoint import CHECKPOINT, read_checkpoint
from mien.train.recipes import RECIPES, find_recipe

SHORT = Recipe("short", network="pooled", epochs=2, batch_size=16, rate=5e-3, balance="weights")
TINY = replace(find_recipe("tiny"), epochs=2, batch_size=16, smoothing=0.1)

pytestmark = [
    pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="needs POSIX"),
    pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="needs torch with gloo"),
]


@pytest.fixture(scope="module")
def context() -> Any:
    """Starts processes that have loaded torch."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mien.train.run", "ranked", "torch._dynamo"])
    return context


@pytest.fixture
def trained(context: Any, tmp_path: Path) -> Callable[[Case, int], Noted]:
    """Trains a case with a number of processes."""

    def train(case: Case, size: int) -> Noted:
        out = tmp_path / f"{size}.pt"
        assert ranked.run(context, size, ranked.train_together, case, out) == [0] * size
        return torch.load(out, weights_only=False)

    return train


def assert_alike(one: Noted, other: Noted, tolerance: float) -> None:
    assert other.losses == pytest.approx(one.losses, abs=tolerance)
    for ours, theirs in zip(one.states[-1].history, other.states[-1].history, strict=True):
        assert (theirs.loss, theirs.val_loss) == pytest.approx((ours.loss, ours.val_loss), abs=tolerance)
        assert (theirs.accuracy, theirs.val_accuracy, theirs.lr) == (ours.accuracy, ours.val_accuracy, ours.lr)
    for name, weight in one.weights.items():
        torch.testing.assert_close(other.weights[name], weight, atol=tolerance, rtol=tolerance)


# The same training.


@pytest.mark.parametrize(
    ("case", "sizes"),
    [
        (Case(replace(SHORT, batch_size=6), faces=19, votes=True), (2, 4)),  # the last batch has one face
        (Case(TINY, faces=45, votes=True, teachers=2), (2,)),
        (Case(replace(TINY, freeze=2, adjust=0.0), faces=45, init=True), (2,)),
        (Case(replace(SHORT, network="small", batch_size=6), faces=13, side=48), (2,)),
    ],
    ids=["uneven", "votes-teachers-ema", "init-freeze", "residual-dropout-of-maps"],
)
def test_any_number_of_processes_trains_the_same_network(case: Case, sizes: tuple[int, ...], trained: Any) -> None:
    """In float64, where only rounding of 1e-16 is left to differ."""
    alone = trained(case, 1)
    for size in sizes:
        assert_alike(alone, trained(case, size), 1e-9)


def test_twenty_steps_in_float32(trained: Any) -> None:
    case = Case(replace(SHORT, batch_size=24, rate=1e-3), faces=240, double=False)
    alone = trained(case, 1)
    assert len(alone.losses) == 20
    assert trained(case, 2).losses == pytest.approx(alone.losses, abs=1e-4)


def twenty_steps(name: str, **options: Any) -> Case:
    """A recipe as it begins on FER-2013's 449 batches an epoch, with its own rate and schedule."""
    recipe, init = find_recipe(name), name == "finetune"
    recipe = replace(recipe, network="tiny" if init else recipe.network, epochs=recipe.epochs * 449 // 20)
    return Case(recipe, 20 * recipe.batch_size, leave_after=1, init=init, side=48, **options)


def largest(one: Noted, other: Noted) -> float:
    """The largest difference of a loss."""
    assert len(one.losses) == len(other.losses) == 20
    return np.abs(np.subtract(one.losses, other.losses)).max()


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in RECIPES if name not in ("ladder-0", "modern")])
def test_twenty_steps_of_each_recipe(name: str, trained: Any) -> None:
    """On 1, 2 and 4 processes. Those with Adam, which makes rounding larger, in float64; the next test has float32."""
    adam = find_recipe(name).optimizer == "adam"
    case = twenty_steps(name, double=adam)
    alone = trained(case, 1)
    differences = [largest(alone, trained(case, size)) for size in (2, 4)]
    print(f"\n{name}: largest difference of a loss, 2 and 4 processes beside 1: {differences}")
    assert max(differences) < (1e-9 if adam else 1e-4)


@pytest.mark.long
@pytest.mark.parametrize("name", ["classic", "ladder-1", "ladder-2", "ladder-3"])
def test_adam_in_float32_differs_as_one_process_does_whose_weights_are_rounded_otherwise(
    name: str, trained: Any
) -> None:
    """Adam's first step is as long for a gradient of nearly zero, whose sign is rounding, as for any other."""
    case = twenty_steps(name, double=False)
    alone = trained(case, 1)
    rounding = largest(alone, trained(replace(case, changed=True), 1))
    differences = [largest(alone, trained(case, size)) for size in (2, 4)]
    print(f"\n{name}: beside 1 process, 2 and 4: {differences}; 1 with weights rounded otherwise: {rounding}")
    assert max(differences) < 1e-4 + 10 * rounding


def test_bfloat16_is_shared_too(trained: Any) -> None:
    case = Case(replace(SHORT, epochs=1), faces=64, double=False, bfloat16=True)
    assert trained(case, 2).losses == pytest.approx(trained(case, 1).losses, abs=0.02)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_another_number_of_processes_goes_on(before: int, after: int, trained: Any) -> None:
    case = Case(replace(SHORT, epochs=3, ema=0.9, schedule="onecycle"), faces=33)
    whole, part = trained(case, 1), trained(replace(case, leave_after=1), before)
    rest = trained(replace(case, start=replace(part.states[0], ended="")), after)
    assert part.losses + rest.losses == pytest.approx(whole.losses, abs=1e-9)
    assert_alike(replace(whole, losses=[]), replace(rest, losses=[]), 1e-9)


def test_early_stopping_is_decided_by_rank_0(trained: Any) -> None:
    """The rate never moves the weights: no epoch is better than the first."""
    stopped = trained(Case(replace(SHORT, epochs=9, rate=1e-30), faces=16), 2)
    assert [len(stopped.states), stopped.states[-1].ended] == [6, "stopped early"]


@given(batch=st.integers(0, 300), size=st.integers(1, 9))
def test_shares_are_the_whole_batch(batch: int, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "size", lambda: size)
        whole, rows = list(range(batch)), []
        for rank in range(size):
            patch.setattr(distributed, "rank", lambda rank=rank: rank)
            own = whole[distributed.share(batch)]
            assert batch // size <= len(own) <= -(-batch // size)
            rows += own
    assert rows == whole


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_batch_norm_of_one_rank_is_that_of_torch(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    x = (torch.randn(6, 5, 7, 9) * 3 + 8).to(dtype)
    theirs, ours = nn.BatchNorm2d(5, eps=1e-3), distributed.GlobalBatchNorm(5, eps=1e-3)
    ours.load_state_dict(theirs.state_dict())
    results = []
    for norm in (theirs, ours):
        faces = x.clone().requires_grad_()
        y = norm(faces)
        (y * torch.linspace(-1, 1, y.numel()).view_as(y)).sum().backward()
        gradients = [weight.grad for weight in norm.parameters()]
        results.append([y.float(), *gradients, *norm.buffers(), faces.grad])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-4 if dtype == torch.float32 else 0.05)


def test_a_long_training_on_one_gpu_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    network: Any = nn.Identity()
    monkeypatch.setattr(trainer, "find_spec", lambda name: name)
    monkeypatch.setattr(torch, "compile", lambda network: "compiled")
    gpu, enough = torch.device("cuda"), trainer._COMPILE_FROM
    assert trainer._compiled(network, gpu, enough) == "compiled"
    assert trainer._compiled(network, gpu, enough - 1) is network
    assert trainer._compiled(network, torch.device("cpu"), enough) is network
    monkeypatch.setattr(distributed, "size", lambda: 2)
    assert trainer._compiled(network, gpu, enough) is network


# Errors, and what torchrun starts.


@pytest.mark.parametrize(
    ("bad", "said"),
    [((0, 1), "DataError('no data for 0')"), ((1,), "TrainingError('process 1 of 2, counted from 0: no data for 1')")],
)
def test_rank_0_tells_why_any_failed(
    bad: tuple[int, ...], said: str, context: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = ranked.run(context, 2, ranked.fail, bad, tmp_path / "said", 0.5)
    assert codes == [1, 2]  # rank 0's error escapes here
    assert (tmp_path / "said.0").read_text() == said
    assert (tmp_path / "said.1").read_text() == "SystemExit(2)"


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    assert distributed.own_device(gpu) == gpu, "without torchrun as it was given"
    monkeypatch.setattr(distributed, "size", lambda: 4)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert distributed.own_device(gpu) == torch.device("cuda", 1)
    assert distributed.own_device(cpu) == cpu
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(UsageError, match=r"fewer GPUs \(2\) than processes; give torchrun --nproc-per-node 2, or"):
        distributed.own_device(gpu)


@pytest.mark.parametrize(
    ("gpus", "nccl", "backend", "chosen"),
    [
        (0, False, "gloo", []),
        (4, True, "cpu:gloo,cuda:nccl", [2]),
        (4, False, "gloo", [2]),
        (2, True, "cpu:gloo,cuda:nccl", []),
    ],
)
def test_processes_join_by_nccl_where_there_are_gpus_each_at_its_own_from_the_start(
    gpus: int, nccl: bool, backend: str, chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All but the backend: GPUs are said to be there, and the group is only asked for."""
    calls: list[Any] = []
    dist = torch.distributed
    monkeypatch.setattr(dist, "is_torchelastic_launched", lambda: True)
    monkeypatch.setattr(dist, "rendezvous", lambda url: iter([(dist.HashStore(), 6, 8)]))
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **_: calls.append(backend))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    monkeypatch.setattr(dist, "is_nccl_available", lambda: nccl)
    monkeypatch.setattr(distributed, "_hear_ctrl_c_once", lambda: None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.cuda, "set_device", calls.append)
    monkeypatch.setenv("LOCAL_RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "8")
    with distributed.joined():
        assert calls == [*chosen, backend]


def test_only_the_first_of_several_processes_speaks(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "test")
    for rank in ("1", "0"):
        monkeypatch.setenv("RANK", rank)
        assert main(["predict", "nowhere.jpg"]) == 2
        assert bool(capfd.readouterr().err) is (rank == "0")


def torchrun(size: int, *arguments: str | Path) -> subprocess.Popen[str]:
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(size), "-m", "mien"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*start, *arguments], env=environment, stderr=subprocess.PIPE, text=True)


def test_a_killed_process_ends_the_run_which_one_process_finishes(drawn: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    flags = ("--data", drawn, "--recipe", "speedrun", "--epochs", "400", "--batch-size", "31", "--out", run)
    started = torchrun(2, "train", *flags)
    while not (run / CHECKPOINT).exists():
        assert started.poll() is None
        time.sleep(0.2)
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children")
    if not children.exists():
        pytest.skip("cannot tell here which processes torchrun started")
    os.kill(int(children.read_text().split()[-1]), signal.SIGKILL)
    _, said = started.communicate(timeout=60)
    assert started.returncode != 0
    assert said.count("another process of this training has ended; go on with: mien train --resume") <= 1
    assert read_checkpoint(run / CHECKPOINT).state.last.epoch == len(read_history(run)) < 400
    assert RunRecord.read(run).ended == ""

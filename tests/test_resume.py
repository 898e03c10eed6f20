"""Resuming: whatever stops a run, it ends as if nothing had happened, bit for bit."""

import errno
import json
import multiprocessing
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import kill
import killable
import numpy as np
import pytest
import torch
from conftest import random_faces
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mien.cli import train as train_command
from mien.cli.app import main
from mien.data.dataset import Dataset
from mien.errors import DataError, TrainingError
from mien.folders import hold
from mien.models.networks import torch_network
from mien.records.recipe import Recipe
from mien.records.run import Epoch
from mien.train import run as run_module
from mien.train import trainer
from mien.train.checkpoint import CHECKPOINT, Checkpoint, read_checkpoint, write_checkpoint
from mien.train.progress import Listener
from mien.train.run import read_start, resume_run
from mien.train.state import State
from mien.train.trainer import train

CLASSES = ("calm", "cross", "glad")
SHORT = Recipe("short", network="pooled", epochs=4, batch_size=16, rate=5e-3, balance="none")

pytestmark = pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="needs POSIX")


# The pure loop: any state, through its file, leads to the same end.


def learnable() -> tuple[Dataset, Dataset]:
    return random_faces(96, CLASSES), random_faces(30, CLASSES, 1)


def meaningless() -> tuple[Dataset, Dataset]:
    """Labels that say nothing, so that the validation loss soon rises."""
    faces = random_faces(64, CLASSES)
    lost = replace(faces, labels=np.random.default_rng(0).integers(0, 3, 64))
    return lost, replace(lost, labels=(lost.labels + 1) % 3)


@pytest.mark.parametrize(
    ("change", "data"),
    [
        ({}, learnable),
        ({"optimizer": "sgd", "rate": 0.02, "schedule": "onecycle"}, learnable),
        ({"optimizer": "sgd", "rate": 0.02, "ema": 0.9, "smoothing": 0.1}, learnable),
        ({"schedule": "onecycle", "ema": 0.9, "balance": "sqrt"}, learnable),
        ({"optimizer": "sgd", "rate": 0.02, "adjust": 0.25, "keep": "last"}, learnable),
        ({"epochs": 40}, meaningless),
    ],
    ids=["adam", "sgd-onecycle", "sgd-ema", "adam-onecycle-ema", "sgd-adjust-last", "plateau-early-stop"],
)
def test_from_any_epoch_to_the_same_end(
    change: dict[str, Any], data: Callable[[], tuple[Dataset, Dataset]], tmp_path: Path
) -> None:
    recipe = replace(SHORT, **change)
    states: list[State] = []
    train(recipe, *data(), 0, "cpu", Listener(on_epoch=states.append))
    for state in states:
        write_checkpoint(Checkpoint(state, "run", {}), tmp_path / "state.safetensors")
        later = [read_checkpoint(tmp_path / "state.safetensors").state]
        result = train(recipe, *data(), 0, "cpu", Listener(on_epoch=later.append), later[0])
        assert as_plain(later[-1]) == as_plain(states[-1])
        assert result.ended == states[-1].ended
        assert len(later) == 1 + len(states) - state.last.epoch
    if "epochs" in change:
        assert states[-1].ended == "stopped early"
        assert states[-1].last.lr < recipe.rate, "the rate was never halved"


def as_plain(state: State) -> dict[str, Any]:
    """A state as values that compare by content, less its seconds."""
    tensors = {**state.tensors, **torch_network(state.model).state_dict()}
    return {
        "history": [untimed(epoch) for epoch in state.history],
        "best": untimed(state.best),
        "tensors": {name: value.numpy().tobytes() for name, value in tensors.items()},
        "values": json.dumps([state.settings, state.schedule, state.ended], sort_keys=True),
    }


def untimed(epoch: Epoch) -> dict[str, float]:
    return asdict(epoch) | {"seconds": 0, "images_per_second": 0}


def test_a_state_stays_what_it_was() -> None:
    """Neither the training that told it nor one that starts from it may change it."""
    states: list[State] = []
    plain: list[dict[str, Any]] = []

    def note(state: State) -> None:
        states.append(state)
        plain.append(as_plain(state))

    train(SHORT, *learnable(), 0, "cpu", Listener(on_epoch=note))
    train(SHORT, *learnable(), 0, "cpu", start=states[1])
    assert [as_plain(state) for state in states] == plain


def test_a_collapsed_run_says_the_same_when_resumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer, "_COLLAPSE_AFTER", 10)
    recipe = replace(SHORT, rate=1e-12)
    states: list[State] = []
    with pytest.raises(TrainingError) as first:
        train(recipe, *learnable(), 0, "cpu", Listener(on_epoch=states.append))
    with pytest.raises(TrainingError, match=re.escape(str(first.value))):
        train(recipe, *learnable(), 0, "cpu", start=states[-1])


# The file: no byte of it can change unnoticed.


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    states: list[State] = []
    train(replace(SHORT, epochs=1), *learnable(), 0, "cpu", Listener(on_epoch=states.append))
    path = tmp_path_factory.mktemp("checkpoint") / CHECKPOINT
    write_checkpoint(Checkpoint(states[0], "run", {"torch": "2"}), path)
    return path


def assert_refused(data: bytes, path: Path) -> None:
    path.write_bytes(data)
    with pytest.raises(TrainingError, match=r"other\.safetensors: damaged .*delete it and --resume starts"):
        read_checkpoint(path)


BLANKS = {one + other for one in (b" ", b"\t", b"\n", b"\r") for other in (b" ", b"\t", b"\n", b"\r")}  # JSON's own


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_any_changed_byte_is_refused(place: float, change: int, checkpoint: Path, tmp_path: Path) -> None:
    data = bytearray(checkpoint.read_bytes())
    at = int(place * len(data))
    data[at] ^= change
    if (data[at] ^ change).to_bytes() + data[at : at + 1] not in BLANKS:
        assert_refused(bytes(data), tmp_path / "other.safetensors")


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True))
def test_any_cut_is_refused(share: float, checkpoint: Path, tmp_path: Path) -> None:
    data = checkpoint.read_bytes()
    assert_refused(data[: int(share * len(data))], tmp_path / "other.safetensors")
    assert_refused(data + data[: 1 + int(share * 10)], tmp_path / "other.safetensors")


@pytest.mark.long
def test_every_byte_of_the_header_counts(checkpoint: Path, tmp_path: Path) -> None:
    data = bytearray(checkpoint.read_bytes())
    size = 8 + int.from_bytes(data[:8], "little")
    for place in range(size):
        data[place] ^= 32  # the difference between upper and lower case
        assert_refused(bytes(data), tmp_path / "other.safetensors")
        data[place] ^= 32
    print(f"\n{size:,} flipped bits of the header, all refused")


def test_a_checkpoint_is_an_ordinary_safetensors_file(checkpoint: Path) -> None:
    from safetensors.torch import load_file

    tensors = load_file(checkpoint)
    assert {name.split(".")[0] for name in tensors} == {"network", "optimizer", "kept"}


# Runs on disk: killed anywhere, they end the same.


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from mien.data.drawn import write_drawn

    folder = tmp_path_factory.mktemp("few") / "faces"
    write_drawn(folder, count=100)
    return folder


@pytest.fixture(scope="module")
def child() -> Iterator[Callable[..., BaseProcess]]:
    """Starts a function of `killable` in a process of its own, forked from one that has loaded torch."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mien.train.run"])
    started = []

    def start(function: Callable[..., object], *arguments: Any) -> BaseProcess:
        process = context.Process(target=function, args=arguments)
        process.start()
        started.append(process)
        return process

    start(abs, 0).join()  # the server has loaded what it needs before anything is timed
    yield start
    for process in started:
        process.kill()
        process.join()


@pytest.fixture(scope="module")
def whole(faces: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What uninterrupted runs leave, by their number of epochs."""
    base = tmp_path_factory.mktemp("whole")
    for epochs in (2, killable.RECIPE.epochs):
        killable.go(faces, base / str(epochs), epochs)
    return {int(run.name): killable.outcome(run) for run in base.iterdir()}


@pytest.mark.parametrize("kills", [4, pytest.param(60, marks=pytest.mark.long)])
def test_killed_at_random_moments(
    kills: int, child: Callable[..., Any], faces: Path, whole: dict[int, dict[str, Any]], tmp_path: Path
) -> None:
    rng = random.Random(kills)
    killed = runs = 0
    while killed < kills:
        run = tmp_path / str(runs)
        runs += 1
        while True:
            process = child(killable.go, faces, run)
            process.join(rng.choice([rng.uniform(0, 2), None]))  # every second one is left alone
            process.kill()
            process.join()
            if process.exitcode != -signal.SIGKILL:
                break
            killed += 1
        assert process.exitcode == 0
        assert killable.outcome(run) == whole[6]
    print(f"\n{killed} kills at random moments of {runs} runs; all ended bit-identical")


@pytest.mark.parametrize("step", [13, pytest.param(1, marks=pytest.mark.long)])
def test_killed_at_each_call_that_changes_the_disk(
    step: int, child: Callable[..., Any], faces: Path, whole: dict[int, dict[str, Any]], tmp_path: Path
) -> None:
    killed = 0
    for place in range(1, 1000, step):
        run = tmp_path / str(place)
        process = child(killable.killed_at, place, faces, run, 2)
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        killed += 1
        finish(faces, run)
        assert killable.outcome(run) == whole[2]
    assert killed >= 40 // step
    print(f"\n{killed} kills, one at every {step}. call of {', '.join(kill.WRITING)}; all ended bit-identical")


def finish(faces: Path, run: Path) -> None:
    """Resume a killed run, in this process, unless it was only its tidying up that was killed."""
    if not ((run / "config.json").exists() and run_module.settled(run)):
        killable.go(faces, run, 2)


@pytest.mark.long
def test_killed_at_each_system_call_of_saving(faces: Path, whole: dict[int, dict[str, Any]], tmp_path: Path) -> None:
    """As the kernel sees it: SIGKILL on entering each write, fsync, rename, chmod and unlink of the process."""
    calls = "write,fsync,rename,chmod,unlink"
    trace = ["strace", "-f", "-qq", "-e", f"trace={calls}", "-o", str(tmp_path / "log")]
    if not shutil.which("strace") or subprocess.run([*trace, "true"], capture_output=True).returncode:
        pytest.skip("strace is missing or may not trace here")
    program = [sys.executable, killable.__file__, str(faces)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([*trace, *program, str(tmp_path / "counted")], env=environment, check=True)
    lines = [line.split(maxsplit=1) for line in (tmp_path / "log").read_text().splitlines()]
    counts = Counter(call.partition("(")[0] for process, call in lines if process == lines[0][0])
    for call, count in counts.items():
        for number in range(1, count + 1):
            run = tmp_path / f"{call}-{number}"
            kill = ["-e", f"inject={call}:signal=SIGKILL:when={number}"]
            done = subprocess.run([*trace, *kill, *program, str(run)], env=environment, capture_output=True)
            assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), (call, number, done.stderr)
            finish(faces, run)
            assert killable.outcome(run) == whole[2], (call, number)
    print(f"\n{sum(counts.values())} kills ({dict(counts)}); all ended bit-identical")


# A disk that refuses.


@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.long)])
def test_a_full_disk_is_named_and_leaves_the_run_resumable(
    step: int,
    faces: Path,
    whole: dict[int, dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """From the n-th fsync on there is no room."""
    sync = os.fsync
    for place in range(1, 1000, step):
        count = 0

        def full(handle: int, place: int = place) -> None:
            nonlocal count
            count += 1
            if count >= place:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            sync(handle)

        run = tmp_path / str(place)
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            try:
                killable.go(faces, run, 2)
                break
            except TrainingError as error:
                begun = (run / "config.json").exists()
                remedy = f"--resume {run}" if begun else "give another --out"
                assert re.fullmatch(rf"{run}: cannot save \(.*No space left.*{remedy}", str(error))
        assert not list(run.glob(".*")), "a failed write leaves no temporary file"
        finish(faces, run)
        assert killable.outcome(run) == whole[2]
    assert place > 10


@pytest.mark.long
@pytest.mark.parametrize("kilobytes", [16, 400, 1800, 2000, 2200, 2400, 3900])
def test_a_small_disk(kilobytes: int, faces: Path, whole: dict[int, dict[str, Any]], tmp_path: Path) -> None:
    """A real file system that fills up, somewhere in the checkpoint or in the model."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "none", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a small disk here")
    try:
        with pytest.raises(TrainingError, match=r"cannot save .*No space left on device"):
            killable.go(faces, disk / "run", 2)
        subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)
        finish(faces, disk / "run")
        assert killable.outcome(disk / "run") == whole[2]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# One process a folder.


def test_a_second_process_is_refused(child: Callable[..., Any], faces: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    with hold(run):
        process = child(killable.go, faces, run)
        process.join()
        assert process.exitcode == 1
        with pytest.raises(TrainingError, match="run: another process is training here; wait"):
            killable.go(faces, run)
    killable.go(faces, run, 2)


def test_the_lock_leaves_no_file_behind(tmp_path: Path) -> None:
    refused = pytest.raises(TrainingError, match="another process is training here")
    with hold(tmp_path), refused, hold(tmp_path):
        pass
    assert not list(tmp_path.iterdir())
    (tmp_path / ".lock").touch()  # as a killed process leaves it
    with hold(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_locked_is_named(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with pytest.raises(TrainingError, match=r"cannot be locked \("), hold(tmp_path):
        pass


# The command line.


@pytest.fixture
def stopped(faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run folder left by Ctrl-C after its second of three epochs; the working folder is its parent."""

    def stop(state: State) -> None:
        if state.last.epoch == 2:
            raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    shutil.copytree(faces, "faces")
    with monkeypatch.context() as patch:
        patch.setattr(train_command, "training_progress", lambda *arguments: Listener(on_epoch=stop))
        assert main([*shlex.split(TRAIN), "--out", "run"]) == 130
    return Path("run")


TRAIN = "train --data faces --recipe ladder-2 --epochs 3 --save-as model.safetensors"


def test_ctrl_c_tells_how_to_go_on(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hint = re.search(r"stopped by Ctrl-C; go on with: (.*)", capsys.readouterr().err)
    assert hint
    assert (stopped / CHECKPOINT).exists()
    program, *arguments = shlex.split(hint[1])
    assert (program, arguments) == ("mien", ["train", "--resume", "run"])
    assert main(arguments) == 0
    captured = capsys.readouterr()
    assert "going on after epoch 2" in captured.err
    assert "finished after epoch 3" in captured.out
    assert main([*shlex.split(TRAIN), "--out", "whole"]) == 0
    weights, expected = (killable.outcome(Path(run)) for run in ("run", "whole"))
    for key in ("model", "history", "ended"):
        assert weights[key] == expected[key]
    assert not list(Path().rglob(".*"))


def test_a_finished_run_says_so_and_nothing_changes(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", "run"]) == 0
    before = snapshot()
    shutil.rmtree("faces")
    capsys.readouterr()
    assert main(["train", "--resume", "run"]) == 0
    assert capsys.readouterr().out == "run: finished already; there is nothing to resume\n"
    assert snapshot() == {path: kept for path, kept in before.items() if path.parts[0] != "faces"}
    with pytest.raises(TrainingError, match="run: has ended already"):
        resume_run(None, stopped, Listener())  # type: ignore[arg-type]  # as when another process was quicker


def test_what_a_killed_process_was_writing_is_cleared_away(stopped: Path) -> None:
    ours = [Path("run/.model-abcdefgh.tmp.safetensors"), Path("run/figures/.learning_curves-abcdefgh.tmp.png")]
    ours.append(Path(".model-abcdefgh.tmp.safetensors"))  # of --save-as
    foreign = Path(".other-abcdefgh.tmp.safetensors")
    for path in (*ours, foreign):
        path.touch()
    assert main(["train", "--resume", "run"]) == 0
    assert list(Path().rglob(".*")) == [foreign]


def snapshot() -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in Path().rglob("*") if path.is_file()}


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def change_seed(run: Path) -> None:
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps(config | {"seed": 1}))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "data gone": (lambda run: shutil.rmtree("faces"), "faces: the data of run are gone; put them back, or"),
    "a face gone": (
        lambda run: next(Path("faces").rglob("*.png")).unlink(),
        "faces are not those that run was started",
    ),
    "bit flipped": (lambda run: flip(run / CHECKPOINT), f"run/{CHECKPOINT}: damaged"),
    "checkpoint of another run": (
        change_seed,
        f"run/{CHECKPOINT}: does not belong to config.json (was either changed, or",
    ),
    "config cut": (
        lambda run: (run / "config.json").write_text("{"),
        "run/config.json: damaged, or not written by Mien",
    ),
    "config empty": (
        lambda run: (run / "config.json").write_text("{}"),
        "run/config.json: damaged, or not written by Mien (lacks 'data'); make it again with: mien train",
    ),
    "config no object": (
        lambda run: (run / "config.json").write_text("[]"),
        "run/config.json: damaged, or not written by Mien (not a JSON object)",
    ),
    "no run": (
        lambda run: (run / "config.json").unlink(),
        "run: holds no config.json; make one with: mien train --data DATA",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_what_cannot_be_resumed_is_named(what: str, stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage, message = DAMAGE[what]
    damage(stopped)
    before = snapshot()
    capsys.readouterr()
    assert main(["train", "--resume", "run"]) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("mien: "))
    assert message in line
    assert snapshot() == before


@pytest.mark.parametrize("flag", ["--seed 0", "--data faces", "--epochs=9", "--save-as x.h5"])
def test_other_flags_are_refused(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", "run", *flag.split()]) == 2
    name = re.split(r"[ =]", flag)[0]
    assert f"--resume takes everything from the run; leave out {name}" in capsys.readouterr().err.replace("=9", "")


def test_data_or_a_run_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train"]) == 2
    assert "give --data DATA, or --resume RUN" in capsys.readouterr().err


def test_another_machine_is_remarked_on(stopped: Path) -> None:
    checkpoint = read_checkpoint(stopped / CHECKPOINT)
    assert checkpoint.surroundings["torch"] == torch.__version__
    assert checkpoint.surroundings["threads"] == str(torch.get_num_threads())
    elsewhere = replace(checkpoint, surroundings=checkpoint.surroundings | {"torch": "2.6.0", "threads": "64"})
    write_checkpoint(elsewhere, stopped / CHECKPOINT)
    remarks: list[str] = []
    result = resume_run(read_start(stopped), stopped, Listener(on_remark=remarks.append))
    assert result.ended == "finished"
    threads = torch.get_num_threads()
    expected = f"torch 2.6.0 is now {torch.__version__}, threads 64 is now {threads}; expect a result as good, but not"
    assert expected in remarks[-1]


def test_a_device_that_is_not_there_is_named(stopped: Path) -> None:
    config = json.loads((stopped / "config.json").read_text())
    (stopped / "config.json").write_text(json.dumps(config | {"device": "cuda:77"}))
    with pytest.raises(TrainingError, match="run: trains on 'cuda:77', which is not here"):
        read_start(stopped)


def test_the_users_own_file_is_never_lost(stopped: Path) -> None:
    """Each leg of a run writes `--save-as`; what lay there before, ours or not, is in the run folder."""
    first = Path("model.safetensors").read_bytes()
    assert main(["train", "--resume", "run"]) == 0
    assert (stopped / "previous-model.safetensors").read_bytes() == first


def test_a_face_of_another_label_is_refused(stopped: Path) -> None:
    happy = next(Path("faces/happy").iterdir())
    happy.rename(Path("faces/sad") / happy.name)
    with pytest.raises(DataError, match="not those that run was started with"):
        read_start(stopped)

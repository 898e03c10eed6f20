"""Data and models whose classes are not the same: renamed, lacking, foreign, in every command."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import FACES, lively

from mien.cli.app import main
from mien.data.dataset import Dataset
from mien.data.sources import open_data
from mien.emotions import EMOTIONS
from mien.errors import ModelError
from mien.evaluate.calibration import calibrate
from mien.evaluate.evaluation import evaluate, evaluation_record, scores_of_present
from mien.models.files import write_model
from mien.records.evaluation import Provenance
from mien.records.run import RunRecord
from mien.report.terminal import evaluation_text
from mien.train.run import read_start

RENAMED = "--classes=1=happy,2=sad,3=angry"
COMMANDS = {
    "train": "train --data numbers --epochs 1 --out out",
    "evaluate": "evaluate --model seven.safetensors --data numbers --split all --out out",
    "compare": "compare seven.safetensors seven.safetensors --data numbers --split all --out out",
    "explain": "explain --model seven.safetensors --data numbers --split all --method occlusion --out out",
    "calibrate": "calibrate --model seven.safetensors --data numbers --split all --save-as out.safetensors",
    "explore": "explore --data numbers --out out",
    "audit": "audit numbers --out out",
    "prepare": "prepare --input-dir numbers --output-dir out",
}


def some(classes: tuple[str, ...], labels: list[int]) -> Dataset:
    paths = tuple(f"{classes[label]}/{i}.png" for i, label in enumerate(labels))
    return Dataset(FACES[: len(labels)].repeat(2, 1).repeat(2, 2)[:, :48, :48], np.array(labels), classes, paths)


@pytest.fixture
def numbers(tmp_path: Path, make_image: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the working folder: data whose classes are numbers, and a model of the seven expressions."""
    monkeypatch.chdir(tmp_path)
    for i in range(36):
        make_image(tmp_path / "numbers" / str(1 + i % 3) / f"{i}.png", i)
    write_model(lively(), tmp_path / "seven.safetensors")
    return tmp_path / "numbers"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("numbers")
def test_every_command_renames_the_datas_classes(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = COMMANDS[command].split()
    assert main(words) == 2
    assert "name them: --classes 1=...,2=...,3=..." in capsys.readouterr().err
    assert main([*words, RENAMED]) == 0
    assert main([*words[:-1], f"other-{words[-1]}", "--classes=4=fear"]) == 2
    assert "has no class '4'" in capsys.readouterr().err


def test_a_run_remembers_what_classes_were_called(numbers: Path) -> None:
    assert main([*COMMANDS["train"].split(), "--classes=1=happy,2=sad,3="]) == 0
    assert RunRecord.read(Path("out")).classes == {"1": "happy", "2": "sad", "3": ""}
    assert read_start(Path("out")).split.classes == ("happy", "sad")


@pytest.mark.usefixtures("numbers")
def test_names_of_the_data_and_of_the_model_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMANDS["evaluate"].split(), f"{RENAMED},{','.join(EMOTIONS)}"]) == 0
    assert main([*COMMANDS["evaluate"].split(), f"{RENAMED},a,b"]) == 2
    assert "names its classes itself" in capsys.readouterr().err
    assert main([*COMMANDS["train"].split(), "--classes=happy,sad,angry"]) == 2
    assert "not a list of <class folder>=<name>" in capsys.readouterr().err


def test_absent_classes_are_allowed_as_answers_and_not() -> None:
    """Macro scores average over the classes that occur, whatever else is predicted."""
    faces = some(("anger", "happy", "sad"), [0, 1, 2] * 4)
    done = evaluate(lively(), faces)
    assert done.faces.classes == EMOTIONS
    present = [one for one in done.scores.per_class.values() if one.support]
    assert len(present) == 3
    assert done.scores.macro_f1 == pytest.approx(np.mean([one.f1 for one in present]))
    only = scores_of_present(done)
    assert only is not None
    assert tuple(only.per_class) == ("angry", "happy", "sad")
    three = done.probabilities[:, [EMOTIONS.index(name) for name in only.per_class]]
    assert only.accuracy == (three.argmax(1) == faces.labels).mean()
    record = evaluation_record(done, Provenance(model="m", data="d", split="test"))
    text = evaluation_text(record)
    assert "if only classes that occur here may be predicted: accuracy" in text
    assert "also allow disgust, fear, neutral and surprise, of which the data hold no face" in text
    assert type(record).FILE == "metrics.json"
    assert json.loads(json.dumps(record.to_json()))["present_only"]["n"] == 12


def test_where_all_classes_occur_nothing_is_said_of_absent_ones() -> None:
    assert scores_of_present(evaluate(lively(), some(EMOTIONS, list(range(7)) * 2))) is None


def test_the_order_of_the_models_classes_is_its_own() -> None:
    """fer2013.csv's order is not the alphabet's: labels are matched by name."""
    order = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    faces = some(EMOTIONS, list(range(7)) * 3)
    done = evaluate(lively(order), faces)
    assert [order[label] for label in done.faces.labels] == [EMOTIONS[label] for label in faces.labels]
    assert calibrate(lively(order), faces).n == 21


def test_a_class_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(ModelError, match=r"no class smile among .*rename their class \(--classes OLD=NEW\)"):
        evaluate(lively(), some(("happy", "smile"), [0, 1]))


def test_a_val_drawn_from_train_is_said(
    tmp_path: Path, make_image: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A model from elsewhere may have learned all of train, so also what stands in for a missing test."""
    for i in range(40):
        make_image(tmp_path / "train" / ("happy", "sad")[i % 2] / f"{i}.png", i)
    assert open_data(tmp_path).val_of_train
    write_model(lively(("happy", "sad")), tmp_path / "m.safetensors")
    words = ["evaluate", "--model", str(tmp_path / "m.safetensors"), "--data", str(tmp_path)]
    assert main([*words, "--out", str(tmp_path / "scores")]) == 0
    said = capsys.readouterr().err
    assert "there is no test part; taking val instead; its faces were drawn from train" in said
    assert "The model does not say what it was trained on" in said


@pytest.mark.usefixtures("numbers")
def test_init_alone_means_finetune(capsys: pytest.CaptureFixture[str]) -> None:
    """On classes of one's own, in one line; and the file that training is to write is checked before it begins."""
    words = ["train", "--data", "numbers", RENAMED, "--init", "tiny", "--epochs", "1"]
    assert main([*words, "--freeze", "2"]) == 0
    run = RunRecord.read(Path("runs/finetune-s0"))
    assert (run.recipe.name, run.recipe.freeze) == ("finetune", 2)
    assert run.init is not None
    assert run.init.path == "tiny"
    capsys.readouterr()
    assert main([*words, "--save-as", "model.h5"]) == 2
    assert ".h5 holds the network 'classic', not 'tiny'" in capsys.readouterr().err

"""The command line as its users type it."""

import errno
import importlib
import inspect
import json
import os
import pkgutil
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import lively

import mien
from mien import atomic
from mien.cli.app import COMMANDS, main
from mien.cli.console import command_line
from mien.cli.evaluate import compare, evaluate
from mien.cli.options import DataOptions, PartOptions
from mien.cli.train import train

ROOT = Path(__file__).parent.parent
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs one of the classic scripts, or `mien`, in an empty folder."""

    def call(program: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        start = [str(ROOT / program)] if program.endswith(".py") else ["-m", "mien"]
        command = [sys.executable, *start, *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return call


def test_the_classic_three_commands(run: Run, drawn: Path, tmp_path: Path) -> None:
    fractions = ["--train_frac", "0.70", "--val_frac", "0.15", "--test_frac", "0.15"]
    prepared = run("prepare_data.py", "--input_dir", drawn, "--output_dir", "data", *fractions)
    assert prepared.returncode == 0, prepared.stderr
    assert "groups in more than one part: 0" in prepared.stdout
    trained = run("train_emotion_model.py", "--data_dir", "data", "--batch_size", 64, "--epochs", 1)
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "emotion_model.h5").is_file()
    scored = run("evaluate_model.py", "--model_path", "emotion_model.h5", "--data_dir", "data")
    assert scored.returncode == 0, scored.stderr
    assert "95 % interval" in scored.stdout
    assert (tmp_path / "runs/emotion_model-test/metrics.json").is_file()

    first = (tmp_path / "emotion_model.h5").read_bytes()
    again = run("train_emotion_model.py", "--data_dir", "data", "--epochs", 1, "--seed", 0)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "runs/classic-s0-2/previous-emotion_model.h5").read_bytes() == first
    resumed = run("train_emotion_model.py", "--resume", "runs/classic-s0-2")
    assert resumed.returncode == 0, resumed.stderr
    assert "there is nothing to resume" in resumed.stdout


def test_the_whole_way_in_one_folder(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", "--data", str(drawn), "--epochs", "1", "--out", str(out)]) == 0
    assert main(["explore", "--data", str(drawn), "--out", str(out)]) == 0
    assert main(["evaluate", "--model", str(out), "--data", str(drawn), "--out", str(out)]) == 0
    assert main(["explain", "--model", str(out), "--data", str(drawn), "--out", str(out)]) == 0
    capsys.readouterr()
    assert main(["report", str(out)]) == 0
    page = Path(capsys.readouterr().out.strip())
    assert page == out / "report.html"
    assert page.stat().st_size > 100_000
    assert len(list((out / "figures").glob("*.png"))) == 16


@pytest.mark.parametrize("method", ["gradcam", "occlusion"])
def test_a_photo_is_explained(
    method: str, make_image: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mien.models.files import write_model

    write_model(lively(), tmp_path / "model.safetensors")
    photo = make_image(tmp_path / "holiday.png", size=200)
    command = ["explain", str(photo), "--model", str(tmp_path / "model.safetensors"), "--method", method]
    assert main([*command, "--out", str(tmp_path / "out")]) == 0
    assert Path(capsys.readouterr().out.strip()) == tmp_path / "out/figures/holiday.png"
    assert (tmp_path / "out/figures/holiday.png").read_bytes().startswith(b"\x89PNG")


def test_results_are_json_where_a_program_reads_them(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", "--input-dir", str(drawn), "--output-dir", str(tmp_path / "data"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert sum(sum(part.values()) for part in facts["counts"].values()) == facts["images"]
    assert main(["train", "--data_dir", str(tmp_path / "data"), "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    arguments = ["--model-path", str(tmp_path / "run"), "--data-dir", str(tmp_path / "data"), "--json"]
    assert main(["evaluate", *arguments, "--out", str(tmp_path / "scores")]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert fields["split"] == "test"
    assert fields["n"] == sum(facts["counts"]["test"].values())
    assert fields == json.loads((tmp_path / "scores/metrics.json").read_text())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("prepare --input_dir nowhere --output_dir out", "nowhere: no such file or folder"),
        ("prepare --input_dir empty --output_dir out", "empty: holds no images"),
        ("prepare --input_dir text.zip --output_dir out", "text.zip: not a zip archive"),
        ("prepare --input_dir bad --output_dir out", "bad: a/1.png: not a readable image"),
        ("prepare --input_dir good --output_dir out --train_frac 0.9", "sum to 1.2"),
        ("train --data nowhere", "nowhere: no such file or folder"),
        ("train --data good --recipe clasic", "unknown recipe 'clasic'"),
        ("train --data good --epochs 0", "--epochs 0: must be a number greater than 0"),
        ("train --data good --seed -1", "--seed -1: give a whole number from 0 to 4294967295"),
        ("prepare --input_dir good --output_dir out --split official --train_frac 0.8", "leave out fractions"),
        ("explain good/a/0.png --model other.safetensors --labels votes", "leave them out for a photo"),
        ("train --data good --device gpu", "device 'gpu' cannot be used here"),
        ("train --data good --save_as model.pkl", "unknown model format '.pkl'"),
        ("train --data good --recipe modern --save_as model.h5", "holds the network 'classic', not 'deep'"),
        ("evaluate --model nowhere.h5 --data good", "nowhere.h5: no such model file"),
        ("evaluate --model text.safetensors --data good", "text.safetensors: not a model file"),
        ("evaluate --model other.safetensors --data good", "other.safetensors on good: no class a, b among x, y"),
        ("report empty", "empty"),
        ("card empty", "empty: nothing to report here"),
        ("explain --model other.safetensors", "nothing to explain; give a photo, or --data DATA"),
        ("explain good/a/0.png --model other.safetensors --data good", "are two things to explain; give one of them"),
        ("explain nowhere.jpg --model other.safetensors", "nowhere.jpg: cannot be read (No such file or directory)"),
        ("explain text.zip --model other.safetensors", "text.zip: not a readable image"),
    ],
)
def test_bad_input_gets_one_line_and_exit_code_2(
    arguments: str,
    message: str,
    tmp_path: Path,
    make_image: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    lay_out(make_image)
    before = sorted(Path().rglob("*"))
    assert main(arguments.split()) == 2
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("mien: ")]
    assert len(lines) == 1
    assert message in lines[0]
    assert captured.out == ""
    assert sorted(Path().rglob("*")) == before, "bad input must leave nothing behind"


def lay_out(make_image: Callable[..., Path]) -> None:
    """What the bad calls are given."""
    from mien.models.files import write_model
    from mien.models.model import Model
    from mien.models.networks import build

    Path("empty").mkdir()
    Path("text.zip").write_text("no archive")
    Path("text.safetensors").write_text("no model")
    write_model(Model(build("pooled", 2), "pooled", ("x", "y")), Path("other.safetensors"))
    for i in range(20):
        make_image(Path(f"good/{'ab'[i % 2]}/{i}.png"), i)
    make_image(Path("bad/b/2.png"))
    Path("bad/a").mkdir()
    Path("bad/a/1.png").write_text("no image")


def test_wrong_flags_give_exit_code_2() -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "--dta", "x"])
    assert stop.value.code == 2


def test_public_names_are_no_modules() -> None:
    """A function named like a room would be hidden as soon as the room is entered."""
    for room in pkgutil.walk_packages(mien.__path__, "mien."):
        if room.name != "mien.__main__" and "pyinstaller" not in room.name:
            importlib.import_module(room.name)
    for name in mien.__all__:
        assert not inspect.ismodule(getattr(mien, name)), name


def test_importing_mien_is_light_and_silent() -> None:
    code = (
        "import sys; before = set(sys.modules); import mien; mien.EMOTIONS; "
        "heavy = {'torch', 'numpy', 'matplotlib', 'cv2', 'keras', 'PIL', 'socket'} & (set(sys.modules) - before); "
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr


def test_every_public_name_is_there() -> None:
    import mien

    assert all(getattr(mien, name) is not None for name in mien.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Emotion'"):
        _ = mien.Emotion


@pytest.mark.parametrize("first", ["", "mien.Predictor; "])
def test_calling_the_package_says_what_to_call(first: str) -> None:
    code = f"import mien; {first}mien.predict('photo.jpg')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("TypeError: mien.predict is a package; ")
    assert "mien.Predictor()(pictures)" in done.stderr


def test_rooms_are_fetched_when_first_used() -> None:
    code = "import mien; assert mien.train.find_recipe('base').name == 'base'"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """What `mien` prints for --help and --version, at 80 columns."""
    try:
        assert main(words) == 0
    except SystemExit as stop:
        assert stop.code == 0
    return capsys.readouterr().out


def test_mien_alone_greets_as_its_help_does(capsys: pytest.CaptureFixture[str]) -> None:
    greeting = printed(capsys)
    assert greeting == printed(capsys, "--help")
    begin = re.findall(r"^  mien (\w+)", greeting, re.MULTILINE)
    assert len(begin) == 3
    assert set(begin) <= set(COMMANDS)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "--version") == f"mien {mien.__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_real_defaults_in_80_columns(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = printed(capsys, name, "--help")
    assert "None" not in text
    assert "(default: )" not in text
    _, *body = text.split("\n\n")  # the usage line is as long as it is
    assert max(len(line) for part in body for line in part.splitlines()) <= 80


def test_help_names_the_defaults_of_the_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    text = " ".join(printed(capsys, "train", "--help").replace("│", "").split())
    for option, default in (("epochs", 30), ("batch-size", 64), ("rate", 0.001), ("balance", "weights"), ("freeze", 0)):
        assert re.search(rf"--{option} .{{0,120}}\(default: the recipe's; classic: {default}\)", text), option


def test_a_command_is_recorded_as_it_can_be_typed() -> None:
    data = DataOptions(Path("my data"), labels="votes", votes=Path("v.csv"))
    arguments = {"data": data, "teacher": (Path("a"), Path("b")), "epochs": 3, "seed": 0}
    line = command_line(train, arguments)
    assert (
        line == "mien train --data 'my data' --labels votes --votes v.csv --epochs 3 --teacher a --teacher b --seed 0"
    )
    line = command_line(compare, {"models": (Path("a"), Path("b")), "data": PartOptions(Path("d"), split="all")})
    assert line == "mien compare a b --data d --split all"
    assert command_line(evaluate, {"model": Path("m"), "data": PartOptions(Path("d")), "json": True}) == (
        "mien evaluate --model m --data d --json"
    )


def test_the_recorded_command_does_the_same_again(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "--model_path=tiny", "--data_dir", str(drawn), "--split", "all", "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["n"] == 160
    assert first["split"] == "all"
    program, *words = shlex.split(first["command"])
    assert program == "mien"
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out) == first


def test_evaluate_looks_at_its_folder_before_it_computes(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs").touch()  # where a folder should be
    monkeypatch.setattr("mien.models.model.predict_proba", None)  # nothing is computed
    assert main(["evaluate", "--model", "tiny", "--data", str(drawn)]) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("mien: "))
    assert line.startswith("mien: runs")


def test_errors_of_the_disk_name_the_users_file(tmp_path: Path) -> None:
    def write(temporary: Path) -> None:
        raise OSError(errno.EIO, "no", str(temporary))

    with pytest.raises(OSError) as caught:
        atomic.write_with(tmp_path / "model.onnx", write)
    assert caught.value.filename == str(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_freezing_needs_something_to_keep(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--data", "faces", "--freeze", "2"]) == 2
    assert "add --init MODEL" in capsys.readouterr().err

"""Each example does what its first lines say, on drawn faces."""

import json
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mien import predict_proba, read_model, write_model
from mien.data.drawn import draw_face

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *words: object) -> str:
    """What an example prints."""
    command = [sys.executable, EXAMPLES / name, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file that the example for classes of one's own wrote: two classes, few faces."""
    folder = tmp_path_factory.mktemp("own")
    for ours, theirs in (("smile", "happy"), ("frown", "angry")):
        shutil.copytree(drawn / theirs, folder / "faces" / ours)
    printed = run("own_classes.py", folder / "faces", folder / "model.safetensors")
    assert printed.startswith("frown, smile: ")
    assert re.search(r"validation accuracy \d+\.\d% after epoch \d+", printed)
    return folder / "model.safetensors"


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.fromarray(pytest.importorskip("skimage.data").astronaut()).save(tmp_path / "photo.jpg")
    return tmp_path / "photo.jpg"


def test_every_example_is_tested_here() -> None:
    tests = Path(__file__).read_text(encoding="utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert f'"{path.name}"' in tests, path.name


def test_predict_photo(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "not.jpg").write_text("no picture")
    printed = run("predict_photo.py", photo, tmp_path / "not.jpg")
    assert re.fullmatch(r"\S+photo\.jpg: \d+x\d+ at \d+,\d+ happy 0\.\d+\n", printed)


def test_evaluate_model(trained: Path) -> None:
    printed = run("evaluate_model.py", trained, trained.parent / "faces")
    assert re.match(r"test accuracy \d+\.\d% \(95 % interval \d+\.\d% to \d+\.\d%, n = \d+\)\nmacro F1", printed)
    assert "smile      precision" in printed


def test_audit_folder(drawn: Path, tmp_path: Path) -> None:
    one = min((drawn / "happy").iterdir())
    for place in ("a/x.png", "b/x.png"):
        (tmp_path / place).parent.mkdir()
        shutil.copy(one, tmp_path / place)
    printed = run("audit_folder.py", tmp_path)
    assert printed.startswith("2 images: 2 with copies, 0 blank")
    assert printed.count("a copy of it carries another label") == 2


def test_compare_models(tmp_path: Path) -> None:
    for name, right in (("a", 20), ("b", 30)):
        rows = [f"{i}.png,happy,{'happy' if i < right else 'sad'}" for i in range(40)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["path,label,predicted", *rows]))
    printed = run("compare_models.py", tmp_path / "a.csv", tmp_path / "b.csv")
    assert "b.csv: 75.0% (" in printed
    assert re.search(r"b\.csv less \S+a\.csv: \+25\.0% \(\+\d+\.\d% to \+\d+\.\d%\), McNemar's p = 0\.002", printed)


def test_export_onnx(trained: Path, tmp_path: Path) -> None:
    face = min((trained.parent / "faces/smile").iterdir())
    printed = run("export_onnx.py", trained, tmp_path / "model.onnx", face)
    assert [line.split()[0] for line in printed.splitlines()] == ["frown", "smile"]
    assert (tmp_path / "model.onnx").is_file()


@pytest.fixture
def server() -> Iterator[str]:
    """The address of the web app."""
    command = [sys.executable, EXAMPLES / "web_app.py", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        yield process.stdout.readline().strip()
        process.terminate()


def test_web_app(server: str, photo: Path) -> None:
    answers: list[Any] = []

    def ask() -> None:
        with urllib.request.urlopen(server, data=photo.read_bytes()) as response:
            answers.append(json.load(response))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers[0] == answers[1]
    assert [face["emotion"] for face in answers[0]["faces"]] == ["happy"]
    with pytest.raises(urllib.error.HTTPError, match="422"):
        urllib.request.urlopen(server, data=b"no picture")


def test_many_files(photo: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "not.jpg").write_text("no picture")
    (tmp_path / "list.csv").write_text(f"path\n{photo}\n{tmp_path / 'not.jpg'}\n")
    assert re.search(r"happy +1 +0\.\d+", run("many_files.py", tmp_path / "list.csv"))


def test_train_minimal(drawn: Path) -> None:
    printed = run("train_minimal.py", drawn, "--epochs", 2)
    assert re.search(r"epoch 2/2  loss \d\.\d+", printed)
    assert re.search(r"test accuracy \d+\.\d% \(95 % interval \d+\.\d% to \d+\.\d%, n = \d+\)", printed)


def test_train_minimal_is_read_in_one_sitting() -> None:
    lines = (EXAMPLES / "train_minimal.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 170
    assert {line.split()[1] for line in lines if line.startswith(("import mien", "from mien"))} == {"mien"}


@pytest.fixture(scope="module")
def javascript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the JavaScript example with its package installed; skipped where that cannot be had."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not (node and npm):
        pytest.skip("the JavaScript example needs node and npm")
    folder = EXAMPLES / "onnx"
    if not (folder / "node_modules/onnxruntime-web").is_dir():
        folder = shutil.copytree(EXAMPLES / "onnx", tmp_path_factory.mktemp("javascript") / "onnx")
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"the JavaScript example needs onnxruntime-web from npm: {done.stderr.strip()[-200:]}")
    return folder


@pytest.mark.parametrize("name", ["base", "own.onnx"])
def test_javascript_gives_the_same_probabilities(name: str, javascript: Path, trained: Path, tmp_path: Path) -> None:
    if name == "own.onnx":
        file = tmp_path / name
        write_model(read_model(trained), file)
    else:
        from mien.models.files import SHIPPED

        file = SHIPPED / f"{name}.onnx"
    model = read_model(file)
    face = draw_face("fear", np.random.default_rng(0))
    Image.fromarray(face).save(tmp_path / "face.pgm")
    command = ["node", javascript / "predict.mjs", file, tmp_path / "face.pgm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert tuple(answer) == model.classes
    assert np.allclose(list(answer.values()), predict_proba(model, face[None])[0], atol=1e-5)

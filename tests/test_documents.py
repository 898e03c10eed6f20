"""What the documents tell people to do, done."""

import ast
import re
import shlex
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image
from traitlets.config import Config

from mien.cli.app import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def desk(drawn: Path, tmp_path: Path) -> Path:
    """A folder as README supposes it, with drawn faces at data/archive.zip."""
    (tmp_path / "data").mkdir()
    with zipfile.ZipFile(tmp_path / "data/archive.zip", "w") as archive:
        for path in sorted(drawn.rglob("*.png")):
            archive.write(path, path.relative_to(drawn))
    return tmp_path


def python(desk: Path, *words: object) -> str:
    """What Python prints, run in the folder `desk`."""
    command = [sys.executable, *map(str, words)]
    done = subprocess.run(command, cwd=desk, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def lines_with(start: str) -> list[str]:
    return [line for _, block in BLOCKS for line in block.splitlines() if line.startswith(start)]


def test_the_classic_five_lines(desk: Path) -> None:
    (unpack,) = lines_with("unzip")
    _, archive, _, folder = shlex.split(unpack)
    zipfile.ZipFile(desk / archive).extractall(desk / folder)
    commands = lines_with("python ")
    assert len(commands) == 4
    printed = [python(desk, ROOT / words[1], *words[2:]) for words in map(shlex.split, commands[1:])]
    assert "95 % interval" in printed[-1]


def test_the_python_examples(desk: Path) -> None:
    predicting, training = (block for language, block in BLOCKS if language == "python")
    low, high = ast.literal_eval(python(desk, "-c", training))
    assert 0 <= low < high <= 1
    Image.fromarray(pytest.importorskip("skimage.data").astronaut()).save(desk / "photo.jpg")
    assert re.fullmatch(r"\(\d+, \d+, \d+, \d+\) happy 0\.\d+\n", python(desk, "-c", predicting))


def test_every_command_is_described() -> None:
    described = set(re.findall(r"\| `mien (\w+)", README))
    assert described == set(COMMANDS)


@pytest.mark.parametrize("name", list(COMMANDS))
def test_described_flags_exist(name: str) -> None:
    (row,) = (line for line in README.splitlines() if line.startswith(f"| `mien {name}"))
    usage = python(ROOT, "-m", "mien", name, "--help")
    for flag in re.findall(r"--[a-z_-]+", row):
        assert flag.replace("_", "-") in usage.replace("_", "-"), f"mien {name} has no {flag}"


def test_every_file_a_document_links_to_is_there() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "MODEL_CARD.md", "RECORDS.md", "CHANGELOG.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", (ROOT / name).read_text(encoding="utf-8")):
            assert (ROOT / link).exists(), f"{name} links to {link}"


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Less of the same: fewer drawn faces, fewer epochs."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where the notebook puts what it makes
    text = (ROOT / "notebooks/training.ipynb").read_text(encoding="utf-8")
    for whole, part in (("count=2000", "count=300"), ("epochs=10", "epochs=2")):
        assert whole in text
        text = text.replace(whole, part)
    notebook: Any = nbformat.reads(text, as_version=4)
    sockets = Config({"KernelManager": {"transport": "ipc", "ip": str(tmp_path / "kernel")}})  # files: no network
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, resources=where, config=sockets).execute()
    pictures = [
        output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 11


def test_the_committed_notebook_shows_its_pictures() -> None:
    notebook: Any = nbformat.read(ROOT / "notebooks/training.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert sum("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs) == 11

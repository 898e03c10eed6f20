"""Nothing leaves the machine and nothing is left on it but what was asked for: no connection, no file elsewhere.

The programs run as a user's do on a machine of one's own: outside CI, where some libraries hold their tongue, and with
an empty home. strace sees what Python does not: what compiled libraries open.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

SOURCE = Path(__file__).parent.parent / "src"

# Everything is under this, or a worker process would run it again.
WORKERS = """
import multiprocessing
import mien

def expressions(path):
    return [face.emotion for face in mien.Predictor(crop="none")(path)[0].faces]

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(expressions, ["photo.png", "photo.png"])
        assert first == second and len(first) == 1
"""
PREPARE = """
import mien.data.sources
from mien.cli.app import main

if __name__ == "__main__":
    mien.data.sources._MANY = 50  # decode in several processes
    assert main(["prepare", "--input-dir", "faces", "--output-dir", "data"]) == 0
    assert len(mien.open_data("data").train) > 50
"""
PROGRAMS = {
    "predict": "-m mien predict photo.png",
    "explain": "-m mien explain photo.png --out why",
    "batch": "-m mien batch faces table --crop none",
    "export": "-m mien export base copy.onnx",
    "Predictor": "-c \"import mien; print(mien.Predictor(crop='none')('photo.png'))\"",
    "workers": "workers.py",
    "prepare": "prepare.py",
    "train": "-m mien train --data faces --epochs 1 --out run --save-as model.h5",  # with matplotlib and Keras
}
EXTRA = {"train": ("torch", "keras"), "batch": ("pyarrow",)}  # modules, beside the core's
ASKED_FOR = {
    "batch": {"table"},
    "explain": {"why"},
    "export": {"copy.onnx"},
    "prepare": {"data"},
    "train": {"run", "model.h5"},
}

NETWORK = re.compile(r"(connect|sendto|sendmsg|bind)\(.*AF_INET6?")
WRITES = re.compile(r"(?:open|openat|creat|mkdir|mkdirat)\(.*?\"([^\"]*)\"(?!.*O_RDONLY)(?!.*ENOENT)(?!.*EEXIST)")
HARMLESS = ("/dev/null", "/dev/shm/", "/proc/", "/dev/tty")


@pytest.fixture
def desk(drawn: Path, tmp_path: Path) -> Path:
    """Three folders: `work`, with what the programs are given, and `home` and `temporary`, which are empty."""
    for name in ("work", "home", "temporary"):
        (tmp_path / name).mkdir()
    shutil.copytree(drawn, tmp_path / "work/faces")
    Image.open(next(drawn.rglob("*.png"))).resize((200, 200)).save(tmp_path / "work/photo.png")
    (tmp_path / "work/workers.py").write_text(WORKERS)
    (tmp_path / "work/prepare.py").write_text(PREPARE)
    return tmp_path


def run(desk: Path, program: str, *around: str) -> subprocess.CompletedProcess[str]:
    """Run a Python program as on a machine of one's own: nothing of this environment but the search paths."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SOURCE),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(desk / "home"),
        "TMPDIR": str(desk / "temporary"),
    }
    command = [*around, sys.executable, *shlex.split(program)]
    return subprocess.run(
        command, cwd=desk / "work", env=environment, capture_output=True, text=True, check=False, timeout=300
    )


def traced(desk: Path, program: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run a program under strace; the calls, those of its processes too, that open, create or connect."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    log = desk / "calls.txt"
    calls = "trace=connect,sendto,sendmsg,bind,open,openat,creat,mkdir,mkdirat"
    done = run(desk, program, "strace", "-f", "-qq", "-s", "300", "-e", calls, "-o", str(log))
    if not log.exists() or not log.stat().st_size:
        pytest.skip(f"strace cannot trace here: {done.stderr.strip()[-200:]}")
    return done, log.read_text().splitlines()


def connections(calls: list[str]) -> list[str]:
    return [call for call in calls if NETWORK.search(call)]


def written(calls: list[str], desk: Path) -> list[str]:
    """Paths that were written or made outside the folder that the program runs in."""
    found = [match[1] for match in map(WRITES.search, calls) if match]
    inside = f"{desk / 'work'}/"
    return [path for path in found if path.startswith("/") and not path.startswith((*HARMLESS, inside))]


def skip_without(name: str) -> None:
    """Skip where the core alone is installed, and the program needs more."""
    for module in EXTRA.get(name, ()):
        if find_spec(module) is None:
            pytest.skip(f"{name} needs {module}")


@pytest.mark.parametrize("name", PROGRAMS)
def test_only_what_was_asked_for_is_left(name: str, desk: Path) -> None:
    skip_without(name)
    before = {path.name for path in (desk / "work").iterdir()}
    done = run(desk, PROGRAMS[name])
    assert done.returncode == 0, done.stderr
    assert not list((desk / "home").rglob("*"))
    assert not list((desk / "temporary").rglob("*"))
    assert {path.name for path in (desk / "work").iterdir()} == before | ASKED_FOR.get(name, set())


@pytest.mark.parametrize("name", ["predict", "Predictor", "workers", "batch"])
def test_no_connection_is_tried_and_nothing_is_written_elsewhere(name: str, desk: Path) -> None:
    skip_without(name)
    done, calls = traced(desk, PROGRAMS[name])
    assert done.returncode == 0, done.stderr
    assert connections(calls) == []
    assert [path for path in written(calls, desk) if not path.startswith(str(desk / "temporary"))] == []


def test_the_trace_would_have_shown_them(desk: Path) -> None:
    lines = (
        "import pathlib, socket",
        "(pathlib.Path.home() / 'id').touch()",
        "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('127.0.0.1', 9))",
    )
    _, calls = traced(desk, f'-c "{"; ".join(lines)}"')
    assert connections(calls)
    assert written(calls, desk) == [str(desk / "home/id")]

"""Every command in an environment that holds the core alone: a result, or one line that says what is missing."""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.cli.app import COMMANDS
from mien.extras import OPTIONAL

ROOT = Path(__file__).parent.parent
CACHE = ROOT / ".cache"

# What a command needs beyond the core. All of it is missing in the light install, which must say so; and where
# nothing else is there, the command must work.
NEEDS: dict[str, tuple[str, ...]] = {
    "predict": (),
    "prepare": (),
    "batch": ("pyarrow",),
    "recipes": (),
    "export": (),
    "explain": (),
    "explore": ("torch", "matplotlib"),
    "train": ("torch", "safetensors"),
    "evaluate": ("torch", "scikit-learn", "scipy", "matplotlib"),
    "compare": ("torch", "scikit-learn", "scipy", "matplotlib"),
    "calibrate": ("torch", "scikit-learn", "scipy"),
    "audit": ("jinja2",),
    "report": ("jinja2",),
    "card": ("jinja2",),
    "demo": ("torch", "safetensors", "scikit-learn", "scipy", "matplotlib", "jinja2"),
    "serve": ("fastapi", "fastapi-offline", "prometheus-client", "python-multipart", "uvicorn"),
    "page": (),
}

CALLS = {
    "predict": "predict photo.png --annotate a.png --csv p.csv",
    "prepare": "prepare --input_dir faces --output_dir data",
    "batch": "batch faces table",
    "recipes": "recipes",
    "export": "export base base.onnx",
    "explain": "explain photo.png --out why",
    "explore": "explore --data faces --out seen",
    "train": "train --data faces --recipe speedrun --epochs 1 --out run",
    "evaluate": "evaluate --model tiny --data faces --out scores",
    "compare": "compare base tiny --data faces --out pairs",
    "calibrate": "calibrate --model run --data faces --save-as c.onnx",
    "audit": "audit faces --out audited",
    "report": "report scores",
    "card": "card scores",
    "demo": "demo --out all",
    "serve": "serve",
    "page": "page site",
}


@pytest.fixture(scope="module")
def light() -> Path:
    """The `mien` of an environment with the core alone; made once for each pyproject.toml."""
    key = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + sys.version.encode()).hexdigest()[:12]
    home = CACHE / f"light-{key}"
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    if not (home / "ready").exists():
        for old in CACHE.glob("light-*"):
            shutil.rmtree(old)
        venv.create(home, with_pip=True)
        command = [scripts / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check", "-e", ROOT]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"pip cannot install the core here: {done.stderr.strip().splitlines()[-1]}")
        (home / "ready").touch()
    return scripts / "mien"


@pytest.fixture(scope="module")
def desk(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the commands are given."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(drawn, folder / "faces")
    face = Image.open(next(drawn.rglob("happy/*.png")))
    photo = Image.fromarray(np.full((400, 400, 3), 200, np.uint8))
    photo.paste(face.resize((200, 200)), (100, 100))
    photo.save(folder / "photo.png")
    (folder / "foreign.safetensors").touch()
    return folder


def call(light: Path, desk: Path, command: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    words = [str(light), *shlex.split(command)]
    done = subprocess.run(words, cwd=desk, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    return done


def test_every_command_is_tried() -> None:
    assert set(NEEDS) == set(CALLS) == set(COMMANDS)


@pytest.mark.parametrize("name", CALLS)
def test_commands_of_the_light_install(name: str, light: Path, desk: Path) -> None:
    if name == "page" and not (ROOT / "src/mien/serve/runtime").is_dir():
        pytest.skip("no onnxruntime-web here: make runtime")
    done = call(light, desk, CALLS[name])
    if not NEEDS[name]:
        assert done.returncode == 0, done.stderr
        return
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"mien {name} needs ")
    for package in NEEDS[name]:
        assert package in line
    extras = dict.fromkeys(OPTIONAL[package][1] for package in NEEDS[name])
    assert line.endswith(f": pip install '.[{','.join(extras)}]'")


def test_what_the_light_install_leaves(light: Path, desk: Path) -> None:
    for name in ("predict", "prepare", "export", "explain"):
        call(light, desk, CALLS[name])
    assert (desk / "base.onnx").read_bytes() == (ROOT / "src/mien/models/shipped/base.onnx").read_bytes()
    assert (desk / "data/manifest.csv").is_file()
    assert (desk / "p.csv").is_file()
    Image.open(desk / "a.png").verify()
    Image.open(desk / "why/figures/photo.png").verify()
    assert not {"scores", "run", "pairs", "audited", "seen", "all"} & {path.name for path in desk.iterdir()}


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("explain --data faces", "mien explain --data needs torch, scikit-learn, scipy and matplotlib: pip install"),
        ("explain photo.png --method gradcam", "Grad-CAM needs torch: pip install '.[train]'"),
        ("audit faces --suspects", "mien audit"),
        ("export base x.safetensors", "torch"),
        ("predict photo.png --model foreign.safetensors", "torch"),
        ("prepare --input_dir kaggle:a/b --output_dir x", "kagglehub"),
    ],
)
def test_what_only_some_uses_need(command: str, line: str, light: Path, desk: Path) -> None:
    done = call(light, desk, command)
    assert done.returncode == 2
    assert line in done.stderr.splitlines()[-1]
    assert "pip install '" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", ["--version", "--help", "train --help"])
def test_help_needs_nothing(command: str, light: Path, desk: Path) -> None:
    assert call(light, desk, command).returncode == 0


PROGRAM = """
import sys
from importlib.machinery import PathFinder

absent = set(sys.argv[1].split(","))
find = PathFinder.find_spec

def find_what_is_there(name, path=None, target=None):
    return None if name.partition(".")[0] in absent else find(name, path, target)

PathFinder.find_spec = staticmethod(find_what_is_there)
from mien.cli.app import main
sys.exit(max(main(command.split()) for command in sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("names", "also"),
    [
        (("prepare", "predict", "recipes", "export", "explain"), ()),
        (("batch",), ()),
        (("explore",), ()),
        (("train",), ()),
        (("evaluate", "compare"), ()),
        (("calibrate",), ("safetensors",)),  # which its model's file needs
        (("audit", "report", "card"), ()),
    ],
    ids=" ".join,
)
def test_needs_are_all_that_is_needed(names: tuple[str, ...], also: tuple[str, ...], desk: Path) -> None:
    """With nothing optional but what the table names, the commands work; in order, one takes what another leaves."""
    allowed = {*NEEDS[names[0]], *also}
    absent = ",".join(module for package, (module, _) in OPTIONAL.items() if package not in allowed)
    commands = [CALLS[name] for name in names]
    program = [sys.executable, "-c", PROGRAM, absent, *commands]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(program, cwd=desk, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_table_of_optional_packages_is_that_of_the_package() -> None:
    import tomllib

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for package, (_, extra) in OPTIONAL.items():
        assert any(entry.startswith(package) for entry in extras[extra]), f"{extra} brings no {package}"

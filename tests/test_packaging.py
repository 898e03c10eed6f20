"""What is released: the wheel, the sdist, the pins and the workflows agree with the source tree."""

import importlib.util
import pkgutil
import re
import runpy
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

import mien

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
PINS = ("requirements.txt", "requirements-dev.txt", "requirements.lock")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(name: str) -> dict[str, str]:
    """Package -> version in a file of pins."""
    found = re.findall(r"^([\w.-]+)==(\S+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE)
    return {normal(package): version for package, version in found}


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel built out of it."""
    for needed in ("build", "hatchling"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{needed} is not installed")
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> set[str]:
    (path,) = dist.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def sdist(dist: Path) -> set[str]:
    (path,) = dist.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def files_below(folder: str) -> set[str]:
    """What lies below a folder, but for what Python and the tests leave there."""
    paths = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in paths if "__pycache__" not in path.parts}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: set[str]) -> None:
    package = {name for name in wheel if not name.startswith(f"mien-{mien.__version__}.dist-info/")}
    assert package == {name.removeprefix("src/") for name in files_below("src/mien")}
    for suffix in (".html", ".css", ".js", ".md", ".csv.gz", ".c", ".onnx", "/py.typed"):
        assert any(name.endswith(suffix) for name in package), f"no {suffix} in the wheel"


def test_the_sdist_holds_its_tests_and_what_they_read(sdist: set[str]) -> None:
    assert files_below("tests") | files_below("bench") | files_below("src/mien") <= sdist
    assert {"README.md", "LICENSE", "Makefile", "pyproject.toml", *PINS} <= sdist
    assert not {name for name in sdist if name.endswith((".zip", ".h5", ".whl")) or "__pycache__" in name}


def test_every_dependency_is_pinned() -> None:
    everything = pins("requirements.txt") | pins("requirements-dev.txt")
    asked = [
        *PROJECT["project"]["dependencies"],
        *(line for extra in EXTRAS if extra != "ray" for line in EXTRAS[extra]),
    ]
    groups = PROJECT["dependency-groups"].values()
    asked += [line for group in groups for line in group if isinstance(line, str)]
    names = {normal(re.split(r"[\[<>=!;]", line)[0]) for line in asked} - {"mien"}
    assert names <= everything.keys()


def test_the_classic_commands_need_no_second_file() -> None:
    wanted = [*PROJECT["project"]["dependencies"], *EXTRAS["train"], *EXTRAS["report"], *EXTRAS["keras"]]
    assert {normal(re.split(r"[<>=]", line)[0]) for line in wanted} <= pins("requirements.txt").keys()
    assert (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()[-1] == "-e ."


def test_the_lock_says_the_same_with_hashes() -> None:
    everything = pins("requirements.txt") | pins("requirements-dev.txt")
    del everything["torch"]  # its builds differ by index
    assert pins("requirements.lock") == everything
    for entry in re.split(r"^(?=\w)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in entry


@pytest.mark.parametrize("name", ["pyproject.toml", "Makefile", *PINS])
def test_no_registry_is_named(name: str) -> None:
    assert "://" not in (ROOT / name).read_text(encoding="utf-8")


def test_all_is_every_extra_but_ray() -> None:
    (line,) = EXTRAS["all"]
    assert set(line.removeprefix("mien[").removesuffix("]").split(",")) == EXTRAS.keys() - {"all", "ray"}


def test_the_citation_names_this_version() -> None:
    assert f"\nversion: {mien.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_pin_actions_and_call_make(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    actions = re.findall(r"uses: (.+)", text)
    assert actions
    for action in actions:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)
    matrix = re.findall(r"target: \[(.+)\]", text)
    called = {target for line in matrix for target in line.split(", ")}
    for command in re.findall(r"run: (.+)", text):
        make, *words = command.split()
        assert make == "make"
        called |= {word for word in words if "=" not in word and "$" not in word}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    assert called <= targets


def test_pyinstaller_is_told_what_it_cannot_see(monkeypatch: pytest.MonkeyPatch) -> None:
    """As PyInstaller would run the hook, which is not installed here; an app was built by hand."""

    def data_files(package: str, includes: list[str]) -> list[str]:
        found = importlib.util.find_spec(package)
        assert found and found.submodule_search_locations
        (folder,) = found.submodule_search_locations
        return [file.name for pattern in includes for file in Path(folder).glob(pattern)]

    def submodules(package: str) -> list[str]:
        (folder,) = importlib.import_module(package).__path__
        return [f"{package}.{found.name}" for found in pkgutil.iter_modules([folder])]

    hooks = SimpleNamespace(collect_data_files=data_files, collect_submodules=submodules)
    monkeypatch.setitem(sys.modules, "PyInstaller.utils.hooks", hooks)
    module, _, name = PROJECT["project"]["entry-points"]["pyinstaller40"]["hook-dirs"].partition(":")
    (folder,) = getattr(importlib.import_module(module), name)()
    told = runpy.run_path(f"{folder}/hook-mien.py")
    assert {f"{model}.onnx" for model in ("base", "large", "tiny")} < set(told["datas"])
    assert any(file.startswith("face_detection_yunet") for file in told["datas"])
    assert {"mien.predict.predictor", "mien.models.formats.onnx"} < set(told["hiddenimports"])
    assert all(importlib.util.find_spec(hidden) for hidden in told["hiddenimports"])

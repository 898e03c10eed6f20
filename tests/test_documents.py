"""What the documents tell people to do, done."""

import ast
import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image
from traitlets.config import Config

from mien.cli.app import COMMANDS, main

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
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
    assert len(commands) == 3
    printed = [python(desk, ROOT / words[1], *words[2:]) for words in map(shlex.split, commands)]
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


DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
PAGES = sorted(path.stem for path in (ROOT / "docs").glob("*.md"))
FENCES = ("sh", "python", "json", "text", "js", "html")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_file_a_document_links_to_is_there(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
        if link != "api/index.html":  # made with the site
            assert (document.parent / link).exists(), f"{document.name} links to {link}"


def test_pictures_and_links_of_readme_work_on_a_package_index() -> None:
    pytest.importorskip("hatchling")
    release = {
        "GITHUB_REF_TYPE": "tag",
        "GITHUB_REF_NAME": "v9",
        "GITHUB_SERVER_URL": "https://example.org",
        "GITHUB_REPOSITORY": "a/b",
    }
    absolute = load(ROOT / "hatch_build.py").absolute
    assert absolute(README, {"GITHUB_REF_TYPE": "branch"}) == README
    text = absolute(README, release)
    assert "](https://example.org/a/b/raw/v9/docs/figures/predicted.png)" in text
    assert "](https://example.org/a/b/blob/v9/RECORDS.md)" in text
    assert all(link.startswith("https://") for link in re.findall(r"\]\(([^)]+)\)", text))


def test_every_page_is_in_the_site() -> None:
    assert set(PAGES) == set(builder().TASKS)


def few(text: str) -> str:
    """The same command or program with one epoch only, and without waiting for a window."""
    return re.sub(r"(?<=epochs[ =])\d+", "1", text)


@pytest.fixture(scope="module")
def table(drawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages suppose: photos, crops, a video, faces in classes of one's own, an archive with votes."""
    data = pytest.importorskip("skimage.data")
    folder = tmp_path_factory.mktemp("table")
    astronaut = Image.fromarray(data.astronaut())
    astronaut.save(folder / "photo.jpg")
    for name in ("holiday", "crops", "data"):
        (folder / name).mkdir()
    astronaut.save(folder / "holiday/first.jpg")
    Image.fromarray(data.camera()).save(folder / "holiday/second.png")
    for ours, theirs in (("smile", "happy"), ("frown", "angry"), ("blank", "neutral")):
        shutil.copytree(drawn / theirs, folder / "faces" / ours)
        shutil.copy(min((drawn / theirs).iterdir()), folder / f"crops/{ours}.png")
    shutil.copy(folder / "crops/smile.png", folder / "face.png")
    faces = sorted(drawn.rglob("*.png"))
    votes = ["file,happy,sad,neutral,angry,fear,surprise,disgust"]
    with zipfile.ZipFile(folder / "data/archive.zip", "w") as archive:
        for number, path in enumerate(faces):  # called as FER-2013's are
            part = (*["train/{}/Training"] * 4, "test/{}/PublicTest", "test/{}/PrivateTest")[number % 6]
            name = f"{part.format(path.parent.name)}_{number}.png"
            archive.write(path, name)
            counts = [10 * (path.parent.name == voted) for voted in votes[0].split(",")[1:]]
            votes.append(f"{name},{','.join(map(str, counts))}")
    (folder / "data/ferplus.csv").write_text("\n".join(votes))
    film(folder / "talk.mp4", astronaut.crop((100, 20, 356, 276)))
    return folder


def film(path: Path, picture: Image.Image) -> None:
    """Six frames of one picture."""
    import cv2
    import numpy as np

    from mien.predict.video.footage import quiet

    with quiet():
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, picture.size)
    for _ in range(6):
        writer.write(np.asarray(picture)[:, :, ::-1].copy())
    writer.release()


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras, writing its files
@pytest.mark.parametrize("page", PAGES)
def test_a_page_does_what_it_says(
    page: str, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands and code of one page, from top to bottom; what stands in other fences is shown only."""
    desk = shutil.copytree(table, tmp_path / "desk")
    monkeypatch.chdir(desk)
    names: dict[str, Any] = {"__name__": "page"}
    text = (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
        assert language in FENCES
        if language == "python":
            exec(compile(few(block), f"{page}.md", "exec"), names)
        if language == "sh":
            for line in block.splitlines():
                program, *words = shlex.split(few(line))
                assert program == "mien" or words[0] == "install"
                if program == "mien":
                    assert main(words) == 0, f"{line}\n{capsys.readouterr().err}"


def builder() -> ModuleType:
    """docs/build.py as a module."""
    pytest.importorskip("pdoc")
    pytest.importorskip("markdown")
    return load(ROOT / "docs/build.py")


def load(path: Path) -> ModuleType:
    """A file as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pdoc")
    pytest.importorskip("markdown")
    out = tmp_path_factory.mktemp("docs") / "site"
    subprocess.run([sys.executable, ROOT / "docs/build.py", out], check=True, capture_output=True)
    return out


def test_links_of_the_site_lead_somewhere(site: Path) -> None:
    for page in site.glob("*.html"):
        html = page.read_text(encoding="utf-8")
        for link in re.findall(r'(?:href|src)="([^"]+)"', html):
            path, _, anchor = link.partition("#")
            if re.match("[a-z]+:", link):
                continue
            assert not path or (page.parent / path).exists(), f"{page.name} links to {link}"
            if anchor and path in ("", page.name):
                assert f'id="{anchor}"' in html, f"{page.name} links to {link}"


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        html = page.read_text(encoding="utf-8")
        assert not re.search(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["']?(?:https?:)?//""", html), page
        assert not re.search(r"""(?:@import|url\()\s*["']?(?:https?:)?//""", html), page


def test_the_reference_has_the_public_names(site: Path) -> None:
    import mien

    html = (site / "api/mien.html").read_text(encoding="utf-8")
    for name in mien.__all__:
        assert name.startswith("__") or f'id="{name}"' in html, name


def shown_names() -> set[tuple[str, str]]:
    """Module and name of what Mien offers at its front doors, and of what documents and examples import."""
    doors = {(room, name) for room in ("mien", "mien.train", "mien.evaluate") for name in import_module(room).__all__}
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))]
    texts = [text for page in pages for text in PYTHON.findall(page)]
    texts += [path.read_text(encoding="utf-8") for path in (ROOT / "examples").glob("*.py")]
    imports = [node for text in texts for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if (node.module or "").split(".")[0] == "mien"]
    return doors | {(str(node.module), alias.name) for node in ours for alias in node.names}


@pytest.mark.parametrize(("module", "name"), sorted(shown_names()))
def test_public_names_have_an_example_that_is_run(module: str, name: str) -> None:
    """Functions and classes; pytest runs what their docstrings show."""
    value = getattr(import_module(module), name)
    text = value.__doc__ or ""
    if callable(value):
        assert ">>>" in text
        assert "doctest: +SKIP" not in text


def test_a_folder_of_something_else_is_not_emptied(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(SystemExit, match="something other"):
        builder().build(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_notebook_runs(tmp_path: Path) -> None:
    """Less of the same: fewer drawn faces, fewer epochs."""
    text = (ROOT / "notebooks/training.ipynb").read_text(encoding="utf-8")
    for whole, part in (("count=2000", "count=300"), ("epochs=10", "epochs=2")):
        assert whole in text
        text = text.replace(whole, part)
    notebook: Any = nbformat.reads(text, as_version=4)
    sockets = Config({"KernelManager": {"transport": "ipc", "ip": str(tmp_path / "kernel")}})  # files: no network
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=600, resources=where, config=sockets).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 11
    printed = "".join(output.get("text", "") for output in outputs)
    (results,) = re.findall(r"^results: (.+)$", printed, re.MULTILINE)
    listed = re.findall(r"^  (.+)$", printed.partition(f"In {results}")[2], re.MULTILINE)
    assert len(listed) == 12
    assert "emotion_model.safetensors" in listed
    assert all((tmp_path / results / name).is_file() for name in listed)


def test_the_committed_notebook_shows_its_pictures() -> None:
    file = ROOT / "notebooks/training.ipynb"
    assert file.stat().st_size < 1_000_000  # docs/notebook.py makes it so
    notebook: Any = nbformat.read(file, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert sum("image/png" in output.get("data", {}) for cell in cells for output in cell.outputs) == 11

"""The page without a server: the models in the browser answer as Python does.

Needs playwright, a Chromium of the system, and onnxruntime-web, which `make runtime` fetches.
"""

import io
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("playwright", reason="playwright is not installed")

from browsing import CHROMIUM, Visits, chromium, files_of
from playwright.sync_api import Browser, Page, expect

from mien.cli.app import main
from mien.predict.predictor import Predictor
from mien.serve import folder

PAGE = Path(folder.__file__).with_name("page")
HERE = all((folder._RUNTIME / name).is_file() for name in folder._RUNTIME_FILES)
pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine: apt-get install chromium"),
    pytest.mark.skipif(not HERE, reason="no onnxruntime-web here: make runtime"),
]
expect.set_options(timeout=30_000)

# Helpers in the page: bytes travel as base64.
HELPERS = """async () => {
  const load = (name) => import(new URL(`mien/${name}.js`, document.baseURI));
  for (const name of ["mien", "pictures", "pixels", "faces", "predictor"]) Object.assign(window, await load(name));
  window.blob = (text) => new Blob([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]);
  window.sent = (bytes) => {
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(text);
  };
  window.mien = await Mien.load();
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page, as `mien page` writes it."""
    out = tmp_path_factory.mktemp("page") / "out"
    assert main(["page", str(out)]) == 0
    with files_of(out) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Callable[..., Page]]:
    """Opens the page; at the end nothing was asked of any other place, and nothing went wrong unseen."""
    visits = Visits(browser)
    yield lambda **options: visits.open(site, camera=False, **options)
    visits.close()


@pytest.fixture(scope="module")
def bare(browser: Browser, site: str) -> Iterator[Page]:
    """A page with the module loaded, for questions to its parts."""
    visits = Visits(browser)
    page = visits.open(site, camera=False)
    page.evaluate(HELPERS)
    yield page
    visits.close()


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def ask(page: Page, script: str, *given: Any) -> Any:
    return page.evaluate(script, [b64encode(each).decode() if isinstance(each, bytes) else each for each in given])


def line(page: Page, data: bytes, name: str = "image 1", **options: Any) -> str:
    return ask(page, "([data, name, options]) => mien.line(blob(data), name, options)", data, name, options)


def python_line(data: bytes, model: str = "tiny", **options: Any) -> str:
    return json.dumps(Predictor(model, **options)(data)[0].to_dict()) + "\n"


def test_the_example_is_answered_as_python_does(visit: Callable[..., Page], bare: Page) -> None:
    data = (PAGE / "example.png").read_bytes()
    for model in ("tiny", "base"):
        assert line(bare, data, model=model) == python_line(data, model)
    page = visit()
    expect(page.locator("#model option").first).to_have_text("tiny")
    page.get_by_role("button", name="see an example").click()
    expect(page.locator("details.face")).to_have_count(4)
    expect(page.locator("#leaves")).to_contain_text("the models run in this page")

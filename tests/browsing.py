"""Chromium for the tests of pages: found or not, started, and watched for requests that leave this machine."""

import functools
import http.server
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_KINDS = {
    ".html": "text/html", ".css": "text/css", ".mjs": "text/javascript", ".js": "text/javascript", ".txt": "text/plain",
    ".wasm": "application/wasm", ".json": "application/json", ".png": "image/png", ".svg": "image/svg+xml",
}  # fmt: skip


def write_camera(path: Path, face: Image.Image) -> Path:
    """A camera's film in y4m, 640 x 480: a face on dark ground, on its way around; nine seconds."""
    with open(path, "wb") as file:
        file.write(b"YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420jpeg\n")
        for turn in np.linspace(0, 2 * np.pi, 90, endpoint=False):
            picture = Image.new("L", (640, 480), 16)
            picture.paste(face, (round(190 + 90 * np.sin(turn)), round(110 + 60 * np.sin(2 * turn))))
            file.write(b"FRAME\n" + picture.tobytes() + bytes([128]) * (640 * 480 // 2))
    return path


def write_video(path: Path, frames: Sequence[np.ndarray]) -> Path:
    """Gray frames as WebM, 30 a second; skips the test where OpenCV, which writes it, is not there."""
    cv2 = pytest.importorskip("cv2")
    from mien.predict.video.footage import quiet

    height, width = frames[0].shape
    with quiet():
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"VP80"), 30, (width, height))
    if not writer.isOpened():
        pytest.skip("OpenCV cannot write WebM here")
    for frame in frames:
        writer.write(np.repeat(frame[..., None], 3, axis=2))
    writer.release()
    return path


@contextmanager
def chromium(*flags: str) -> Iterator[Browser]:
    """Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *flags])
        yield browser
        browser.close()


class Visits:
    """Pages that are opened in contexts of their own; none may ask another machine, or fail unseen."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._outside: list[str] = []
        self._wrong: list[str] = []

    def open(self, url: str, width: int = 1280, height: int = 900, camera: bool = True, **options) -> Page:
        context = self._browser.new_context(viewport={"width": width, "height": height}, **options)
        self._contexts.append(context)
        if camera:
            context.grant_permissions(["camera"], origin=url.split("#")[0].rstrip("/"))

        def pass_on(route) -> None:
            if route.request.url.startswith("http://127.0.0.1:"):
                route.continue_()
            else:
                self._outside.append(route.request.url)
                route.abort()

        context.route(lambda address: address.startswith(("http", "ws")), pass_on)
        page = context.new_page()
        page.on("pageerror", lambda error: self._wrong.append(str(error)))
        page.on("console", lambda message: self._wrong.append(str(message)) if "Content Sec" in str(message) else None)
        page.goto(url)
        page.locator("body[data-ready]").wait_for()
        return page

    def close(self) -> None:
        for context in self._contexts:
            for page in context.pages:
                assert page.locator("#outside-count").inner_text() == "0"
            context.close()
        assert (self._outside, self._wrong) == ([], [])


def axe_core(folder: Path) -> str:
    """axe-core's source, fetched into `folder` once; skips the test where npm cannot bring it."""
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    if not script.is_file():
        npm = shutil.which("npm")
        if not npm:
            pytest.skip("no npm, which brings axe-core")
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "axe-core@4"]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("npm cannot bring axe-core here")
    return script.read_text()


def barriers(page: Page, axe: str, video: Path) -> dict[str, Any]:
    """What axe-core finds wrong with each view of the page; the page goes through all of them."""
    found = {}

    def check(view: str) -> None:
        page.evaluate(axe)
        wrong = page.evaluate("axe.run().then(result => result.violations.map(v => [v.id, v.nodes.map(n => n.html)]))")
        found.update({view: wrong} if wrong else {})

    check("start")
    page.get_by_role("button", name="see an example").click()
    page.get_by_role("button", name="Why happy?").click()
    expect(page.locator(".why img")).to_have_count(3)
    check("photo")
    broken: Any = {"name": "letter.txt", "mimeType": "text/plain", "buffer": b"Dear reader"}
    page.locator("#add").set_input_files(broken)
    expect(page.locator(".faces .alert")).to_be_visible()
    check("no photo")
    page.get_by_role("tab", name="Camera").click()
    check("camera, not started")
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#camera-face .answer")).to_be_visible()
    check("camera")
    ended = "video => video.srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))"
    page.locator("#camera-view").evaluate(ended)
    expect(page.locator("#camera-words")).to_contain_text("still plugged in")
    check("camera gone")
    page.get_by_role("tab", name="Video").click()
    check("no video")
    page.locator("#video-choose").set_input_files(video)
    expect(page.locator("#video-json")).to_be_enabled()
    check("video")
    page.locator("#video-other").set_input_files(broken)
    expect(page.locator("#video-state")).to_contain_text("cannot decode")
    check("video that cannot be decoded")
    return found


@contextmanager
def files_of(folder: Path, headers: Mapping[str, str] | None = None, asked: set[str] | None = None) -> Iterator[str]:
    """The address of a static host of a folder; it sends `headers` too, and notes in `asked` which paths were asked."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def guess_type(self, path: object) -> str:
            return _KINDS.get(Path(str(path)).suffix) or "application/octet-stream"

        def end_headers(self) -> None:
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            super().end_headers()

        def do_GET(self) -> None:
            if asked is not None:
                asked.add(self.path.lstrip("/"))
            super().do_GET()

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()

"""Chromium for the tests of pages: found or not, started, and watched for requests that leave this machine."""

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

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

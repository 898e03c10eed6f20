"""Pictures of the page: each view on a desk and on a phone, light and dark, with drawn faces only.

    python bench/page_pictures.py OUT [ADDRESS]

ADDRESS is that of a page without a server, such as `python -m http.server -d build/page` shows; by default `mien serve`
is started. Needs playwright, OpenCV and a Chromium of the system. The documents' pictures are the upper parts of those
of 1280 pixels, with fewer colours.
"""

import subprocess
import sys
import tempfile
from contextlib import contextmanager, nullcontext
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageFilter
from playwright.sync_api import sync_playwright

from mien.data.drawn import draw_face

FACES = (("happy", 0), ("surprise", 0), ("angry", 38), ("happy", 0))  # as in the page's example
STEPS, RATE, SIZE = 150, 15, (640, 480)


def drawn(emotion, seed):
    """A drawn face, enlarged and smooth."""
    face = Image.fromarray(draw_face(emotion, np.random.default_rng((7, seed))))
    return face.resize((300, 300), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1.5))


def frames():
    """Ten seconds of a face that goes around and changes its expression."""
    faces = [drawn(*face) for face in FACES]
    for step in range(STEPS):
        share, turn = step / STEPS * (len(faces) - 1), 2 * np.pi * step / STEPS
        at = int(share)
        face = Image.blend(faces[at], faces[at + 1], min(1, max(0, (share - at - 0.6) / 0.4)))
        picture = Image.new("L", SIZE, 200)
        picture.paste(face, (int(170 + 60 * np.sin(turn)), int(90 + 30 * np.sin(2 * turn))))
        yield np.asarray(picture)


def write_films(folder):
    """The same as a camera's y4m and as WebM."""
    video = cv2.VideoWriter(str(folder / "drawn.webm"), cv2.VideoWriter.fourcc(*"VP80"), RATE, SIZE)
    with open(folder / "drawn.y4m", "wb") as camera:
        camera.write(f"YUV4MPEG2 W{SIZE[0]} H{SIZE[1]} F{RATE}:1 Ip A1:1 C420jpeg\n".encode())
        for frame in frames():
            camera.write(b"FRAME\n" + frame.tobytes() + bytes([128]) * (frame.size // 2))
            video.write(np.repeat(frame[..., None], 3, axis=2))
    video.release()


def views(page, film, shot):
    """Go through the page; `shot(name)` at each view."""
    shot("start")
    page.get_by_role("button", name="see an example").click()
    page.get_by_role("button", name="Why happy?").click()
    page.locator(".why").wait_for()
    shot("photos")
    page.get_by_role("tab", name="Camera").click()
    shot("camera-start")
    page.get_by_role("button", name="Start the camera").click()
    page.wait_for_timeout(20_000)
    page.locator("#camera-boxes .box").wait_for()
    shot("camera")
    page.get_by_role("tab", name="Video").click()
    shot("video-start")
    page.locator("#video-choose").set_input_files(film)
    page.locator("#video-json:not(:disabled)").wait_for(timeout=120_000)
    page.locator("#video-view").evaluate("video => { video.currentTime = 3; }")
    page.wait_for_timeout(1000)
    shot("video")


@contextmanager
def served():
    """The address of `mien serve`."""
    command = [sys.executable, "-m", "mien", "serve", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        yield server.stdout.readline().split()[3]
    finally:
        server.terminate()
        server.wait(30)


def main():
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    host = nullcontext(sys.argv[2]) if len(sys.argv) > 2 else served()
    with host as address, tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        write_films(Path(folder))
        camera = f"--use-file-for-fake-video-capture={folder}/drawn.y4m"
        flags = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", camera]
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu", *flags]
        )
        for width, height, scheme in (
            (1280, 800, "light"), (1280, 800, "dark"), (390, 844, "light"), (390, 844, "dark"),
        ):  # fmt: skip
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(address)
            page.locator("body[data-ready]").wait_for()

            def shot(name, page=page, ending=f"{width}-{scheme}.png"):
                page.screenshot(path=out / f"{name}-{ending}", full_page=True)

            views(page, Path(folder, "drawn.webm"), shot)
            page.close()
        browser.close()


if __name__ == "__main__":
    main()

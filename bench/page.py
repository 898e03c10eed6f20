"""The page of `mien serve` in Chromium: answers a second from a camera, and memory over a long video.

    python bench/page.py [--camera-seconds 30] [--video-minutes 10] [--model base]

A photograph with one face moves before a fake camera of 640 x 480; then a video of 720p with the same face is looked
at to its end, as fast as it goes. Memory is that of Chromium's processes and of the server. Needs Chromium, playwright,
OpenCV and scikit-image, whose photograph it is.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import psutil
from PIL import Image
from playwright.sync_api import sync_playwright
from serve import server
from skimage.data import astronaut

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def frames(size, number):
    """Gray frames of a person on her way around."""
    side = size[1] * 7 // 10
    face = Image.fromarray(astronaut()).convert("L").resize((side, side), Image.Resampling.BICUBIC)
    for step in range(number):
        turn = 2 * np.pi * step / number
        picture = Image.new("L", size, 128)
        x, y = (size[0] - side) / 2 * (1 + 0.8 * np.sin(turn)), (size[1] - side) / 2 * (1 + 0.8 * np.sin(2 * turn))
        picture.paste(face, (round(x), round(y)))
        yield np.asarray(picture)


def write_camera(path):
    """Three seconds of a camera at 30 frames a second, which Chromium repeats."""
    with open(path, "wb") as file:
        file.write(b"YUV4MPEG2 W640 H480 F30:1 Ip A1:1 C420jpeg\n")
        for frame in frames((640, 480), 90):
            file.write(b"FRAME\n" + frame.tobytes() + bytes([128]) * (640 * 480 // 2))


def write_video(path, minutes):
    """A video of 1280 x 720 at 10 frames a second."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"VP80"), 10, (1280, 720))
    around = [np.repeat(frame[..., None], 3, axis=2) for frame in frames((1280, 720), 100)]
    for step in range(round(600 * minutes)):
        writer.write(around[step % len(around)])
    writer.release()


def megabytes(processes):
    """Memory of processes, of which each shared page counts once."""
    return sum(process.memory_full_info().pss for process in processes) / 1e6


def memory(page, served, collect=False):
    """Memory of both sides, the browser's by kind of process, and of the page; collect: garbage first."""
    devtools = page.context.new_cdp_session(page)
    if collect:
        devtools.send("HeapProfiler.collectGarbage")
        page.wait_for_timeout(3000)
    devtools.send("Performance.enable")
    metrics = {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}
    devtools.detach()
    kinds = {}
    for each in psutil.Process().children(recursive=True):
        if "chromium" in each.name():
            kind = next((word.removeprefix("--type=") for word in each.cmdline() if word.startswith("--type=")), "main")
            kinds.setdefault(kind if kind in ("main", "renderer", "gpu-process") else "others", []).append(each)
    parts = {kind: megabytes(processes) for kind, processes in kinds.items()}
    told = ", ".join(f"{kind} {size:.0f}" for kind, size in sorted(parts.items()))
    heap, listeners = metrics["JSHeapUsedSize"] / 1e6, metrics["JSEventListeners"]
    browser = f"browser {sum(parts.values()):.0f} MB ({told}; JS heap {heap:.1f}, {listeners:.0f} listeners)"
    return f"{browser}, server {megabytes([served, *served.children(recursive=True)]):.0f} MB"


def camera(page, seconds):
    """Answers a second with the camera on."""
    answers = []
    page.on("requestfinished", lambda request: answers.append(time.monotonic()) if "predict" in request.url else None)
    page.get_by_role("tab", name="Camera").click()
    page.get_by_role("button", name="Start").click()
    page.wait_for_timeout(5000)
    answers.clear()
    page.wait_for_timeout(1000 * seconds)
    rate, late = len(answers) / seconds, 1000 * np.quantile(np.diff(answers), 0.95)
    print(f"| camera, 640 x 480, one face | {rate:.1f} answers/s, 95 % of them within {late:.0f} ms of the last |")
    page.get_by_role("button", name="Stop").click()


def video(page, path, served):
    """Memory while a video is looked at, and when it was."""
    page.get_by_role("tab", name="Video").click()
    page.locator("#video-choose").set_input_files(path)
    state = page.locator("#video-state")
    began, last = time.monotonic(), -1
    while "looked at" not in (words := state.inner_text()):
        minute = int(words.split(": ")[-1].split(":")[0]) if " of " in words else -1
        if minute > last:
            last = minute
            print(f"| video, {words.split(': ')[-1]} | {memory(page, served)} |", flush=True)
        page.wait_for_timeout(500)
    print(f"| video, at its end | {memory(page, served)} |")
    print(f"| video, after a collection of garbage | {memory(page, served, collect=True)} |")
    print(f"| video, in all | {words} in {time.monotonic() - began:.0f} s |")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--camera-seconds", type=int, default=30)
    parser.add_argument("--video-minutes", type=float, default=10)
    parser.add_argument("--model", default="base")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, server(arguments=("--model", options.model)) as (process, port):
        y4m, webm = Path(folder, "camera.y4m"), Path(folder, "video.webm")
        write_camera(y4m)
        write_video(webm, options.video_minutes)
        fake = [
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={y4m}",
        ]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", *fake]
            )
            page = browser.new_page()
            page.goto(f"http://127.0.0.1:{port}/")
            page.locator("body[data-ready]").wait_for()
            if options.camera_seconds:
                camera(page, options.camera_seconds)
            video(page, webm, psutil.Process(process.pid))
            browser.close()


if __name__ == "__main__":
    main()

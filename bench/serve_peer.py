"""`mien serve` beside ten lines of FastAPI around `fer` 25.10, one photograph, in turn.

    python bench/serve_peer.py [--seconds 20] [--rounds 3] [--fer-python PATH]

Answers a second with one client more than cores, and the memory of the server's processes afterwards. Both find the
face (`fer` by its Haar cascade, its default) and name it, from the bytes of the same JPEG of 640 x 480. Without
`--fer-python` an environment with fer is made once in the system's temporary folder. Needs scikit-image, whose
photograph is sent.
"""

import argparse
import asyncio
import io
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil
from common import FER_NEEDS, environment, own_environment, say
from PIL import Image
from serve import closed_loop, percentiles, request
from skimage import data

PEER = """
import cv2, numpy
from fastapi import FastAPI, Request
from fer.fer import FER
app, fer = FastAPI(), FER()

@app.post("/v1/predict")
async def predict(request: Request):
    image = cv2.imdecode(numpy.frombuffer(await request.body(), numpy.uint8), cv2.IMREAD_COLOR)
    return [{"box": [int(x) for x in face["box"]], "emotions": face["emotions"]} for face in fer.detect_emotions(image)]
"""


def photograph():
    """A JPEG of 640 x 480 with one face."""
    image = Image.new("RGB", (640, 480), "gray")
    image.paste(Image.fromarray(data.astronaut()).resize((480, 480)), (80, 0))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


@contextmanager
def running(command, port, folder):
    """A server's process, once it answers."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment(), cwd=folder)
    try:
        while True:
            try:
                urlopen(f"http://127.0.0.1:{port}/openapi.json", timeout=5).close()
                break
            except URLError:
                assert process.poll() is None, command
                time.sleep(0.05)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def measure(command, port, folder, body, seconds):
    """Seconds until it answers at all, answers a second, median latency, MB, and the last answer."""
    began = time.monotonic()
    with running(command, port, folder) as process:
        ready = time.monotonic() - began
        asyncio.run(closed_loop(port, body, 1, 2))
        exchanges = asyncio.run(closed_loop(port, body, (os.cpu_count() or 1) + 1, seconds))
        assert {exchange[0] for exchange in exchanges} == {200}, exchanges[-1][:3]
        memory = sum(each.memory_info().rss for each in [process, *process.children(recursive=True)]) / 1e6
    return ready, len(exchanges) / seconds, 1000 * percentiles(exchanges)[0], memory, exchanges[-1][2]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fer-python", type=Path)
    options = parser.parse_args()
    python = own_environment("fer-api", (*FER_NEEDS, "fastapi", "uvicorn"), options.fer_python)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    at = ["--port", str(port)]
    sides = {
        "mien serve": [sys.executable, "-m", "mien", "serve", *at],
        "FastAPI around fer": [str(python), "-m", "uvicorn", "peer:app", "--log-level", "error", *at],
    }
    body, found = request("/v1/predict", photograph()), {}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "peer.py").write_text(PEER)
        readings = {name: [] for name in sides}
        for number in range(1, options.rounds + 1):
            for name, command in sides.items():
                *figures, found[name] = measure(command, port, folder, body, options.seconds)
                readings[name].append(figures)
                say(f"round {number}: {name} {figures[1]:.1f} answers/s")
    print("| server | ready after | answers/s | median answer | memory |\n| --- | ---: | ---: | ---: | ---: |")
    for name, figures in readings.items():
        ready, rate, latency, memory = map(statistics.median, zip(*figures, strict=True))
        print(f"| {name} | {ready:.1f} s | {rate:.1f} | {latency:.0f} ms | {memory:.0f} MB |")
    for name, answer in found.items():
        print(f"{name} answered: {answer.decode().strip()[:300]}")


if __name__ == "__main__":
    main()

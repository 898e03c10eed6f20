"""The page without a server: how fast, how large, how steady; beside face-api.js and Human in the same Chromium.

    python bench/browser.py --seconds 20 --minutes 10
    python bench/browser.py --seconds 20 --peers
    python bench/browser.py --rounds 0 --peers --faces 1000 --data data/archive.zip --votes data/ferplus.csv

--rounds 0 leaves out what is timed: memory and agreement may be measured on a busy machine.
Needs playwright, psutil and a Chromium of the system; `make runtime`; npm for the peers, which it brings into
build/peers. Every library answers the frames of one fake camera, 640 x 480 with one drawn face on its way around, one
frame at a time, in WebAssembly: ours in its worker on one thread, then on as many as it takes; the peers as their
authors set them up.
"""

import argparse
import base64
import gzip
import io
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image, ImageFilter
from playwright.sync_api import sync_playwright

from mien.cli.app import main as mien
from mien.data.drawn import draw_face
from mien.data.sources import open_data
from mien.data.votes import join_split, with_majority
from mien.records.intervals import wilson

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from browsing import CHROMIUM, files_of, write_camera  # noqa: E402

PEERS = ("@vladmandic/face-api@1.7.15", "@vladmandic/human@3.3.6", "@tensorflow/tfjs-backend-wasm@4.22.0")
ISOLATED = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}

# Each gives `answer(image)`: the expression of the surest face of a <video> or <canvas>, or "".
LIBRARIES = {
    "mien": """async () => {
      const { Mien } = await import("/page/mien/mien.js");
      const mien = await Mien.load("/page/models");
      window.threads = mien.threads;
      window.answer = async (image, options = { live: true }) => {
        const bitmap = await createImageBitmap(image);
        const { faces } = JSON.parse(await mien.line(bitmap, "frame", options));
        return faces[0]?.emotion ?? "";
      };
      window.crop = (canvas) => window.answer(canvas, { crop: "none" });
    }""",
    "face-api": """async () => {
      const api = await import("/peers/@vladmandic/face-api/dist/face-api.esm.js");
      await api.tf.setWasmPaths("/peers/@tensorflow/tfjs-backend-wasm/dist/");
      await api.tf.setBackend("wasm");
      await api.tf.ready();
      const models = "/peers/@vladmandic/face-api/model";
      await api.nets.tinyFaceDetector.loadFromUri(models);
      await api.nets.faceExpressionNet.loadFromUri(models);
      const likeliest = (shares) => Object.entries(shares).sort((a, b) => b[1] - a[1])[0][0];
      const options = new api.TinyFaceDetectorOptions();
      window.answer = async (image) => {
        const found = await api.detectSingleFace(image, options).withFaceExpressions();
        return found ? likeliest(found.expressions) : "";
      };
      window.crop = async (canvas) => likeliest(await api.nets.faceExpressionNet.predictExpressions(canvas));
    }""",
    "human": """async () => {
      const { Human } = await import("/peers/@vladmandic/human/dist/human.esm.js");
      const human = new Human({
        backend: "wasm", wasmPath: "/peers/@tensorflow/tfjs-backend-wasm/dist/",
        modelBasePath: "/peers/@vladmandic/human/models/", cacheSensitivity: 0,
        filter: { enabled: false }, body: { enabled: false }, hand: { enabled: false }, gesture: { enabled: false },
        face: {
          enabled: true, mesh: { enabled: false }, iris: { enabled: false }, description: { enabled: false },
          emotion: { enabled: true },
        },
      });
      await human.load();
      await human.warmup();
      window.answer = async (image) => (await human.detect(image)).face[0]?.emotion?.[0]?.emotion ?? "";
      window.crop = window.answer;
    }""",
}
ALIAS = {"disgusted": "disgust", "fearful": "fear", "surprised": "surprise"}

CAMERA = """async (seconds) => {
  const video = Object.assign(document.createElement("video"), { muted: true });
  video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
  await video.play();
  window.video = video;
  for (let i = 0; i < 3; i++) await answer(video);
  const start = performance.now(), counts = {};
  let n = 0;
  for (; performance.now() - start < 1000 * seconds; n++) {
    const emotion = await answer(video);
    counts[emotion] = (counts[emotion] ?? 0) + 1;
  }
  return { rate: (1000 * n) / (performance.now() - start), size: [video.videoWidth, video.videoHeight], counts };
}"""
CROP = """async ([data, side]) => {
  const bitmap = await createImageBitmap(await (await fetch(`data:image/png;base64,${data}`)).blob());
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
  canvas.getContext("2d").drawImage(bitmap, 0, 0, side, side);
  return crop(canvas);
}"""


def host(folder, model):
    """The page with that model, and an empty page beside it."""
    assert mien(["page", str(folder / "page"), "--model", model]) == 0
    (folder / "index.html").write_text("<!doctype html><title>bench</title>")


def bring_peers(folder):
    home = ROOT / "build" / "peers"
    home.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(home)]
    subprocess.run([*command, *PEERS], check=True)
    (folder / "peers").symlink_to(home / "node_modules")


def opened(browser, url):
    """An empty page of that host, in a context of its own that may use the camera."""
    context = browser.new_context(service_workers="block")
    context.grant_permissions(["camera"], origin=url.rstrip("/"))
    page = context.new_page()
    page.goto(url)
    return page


def first_answer(browser, url):
    """Seconds from opening the page, nothing cached, to its being ready and to the example's first answer."""
    context = browser.new_context(service_workers="block")
    page = context.new_page()
    start = time.monotonic()
    page.goto(f"{url}page/")
    page.get_by_role("button", name="see an example").click()
    page.locator("body[data-ready]").wait_for()
    ready = time.monotonic() - start
    page.locator("details.face").first.wait_for()
    total = time.monotonic() - start
    context.close()
    return ready, total


def live(browser, folder, library, seconds, isolated=False):
    """Answers a second for the camera's frames, threads, and megabytes that were loaded, gzipped."""
    asked = set()
    with files_of(folder, ISOLATED if isolated else None, asked) as url:
        page = opened(browser, url)
        page.evaluate(LIBRARIES[library])
        result = page.evaluate(CAMERA, seconds)
        result["threads"] = page.evaluate("window.threads ?? 1")
        page.context.close()
    loaded = [folder / path for path in asked if (folder / path).is_file()]
    return result | {"megabytes": sum(len(gzip.compress(file.read_bytes(), 6)) for file in loaded) / 1e6}


def memory(browser, url, minutes, every):
    """Megabytes of all of Chromium's processes at each mark while the page's camera runs."""
    context = browser.new_context()
    context.grant_permissions(["camera"], origin=url.rstrip("/"))
    page = context.new_page()
    page.goto(f"{url}page/")
    page.locator("body[data-ready]").wait_for()
    page.get_by_role("tab", name="Camera").click()
    page.get_by_role("button", name="Start the camera").click()
    page.locator("#camera-face .answer").wait_for()
    marks = []
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        page.wait_for_timeout(1000 * every)
        children = psutil.Process().children(recursive=True)
        marks.append(round(sum(child.memory_full_info().uss for child in children if "chrom" in child.name()) / 1e6))
    rate = page.locator("#camera-rate").inner_text()
    context.close()
    return marks, rate


def agreement(browser, url, library, faces, side):
    """Of crops with their labels: how many are named as the label says, and for how many no face is found."""
    page = opened(browser, url)
    page.evaluate(LIBRARIES[library])
    right = none = 0
    for png, label in faces:
        said = page.evaluate(CROP, [base64.b64encode(png).decode(), side])
        right += ALIAS.get(said, said) == label
        none += not said
    page.context.close()
    return right, none


def voted_faces(data, votes, count):
    """PublicTest faces as PNG with the majority's label, `count` of them in a fixed order."""
    voted, _ = join_split(votes, open_data(data))
    faces = with_majority(voted.val)
    for i in np.random.default_rng(0).permutation(len(faces.labels))[:count]:
        file = io.BytesIO()
        Image.fromarray(faces.images[i]).save(file, "PNG")
        yield file.getvalue(), faces.classes[faces.labels[i]]


def camera_film(path):
    face = Image.fromarray(draw_face("happy", np.random.default_rng((7, 0))))
    smooth = face.resize((260, 260), Image.Resampling.BICUBIC).filter(ImageFilter.GaussianBlur(1.5))
    return write_camera(path, smooth)


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="of camera for each library")
    parser.add_argument("--rounds", type=int, default=3, help="of opening, and of each library in turn; 0: none")
    parser.add_argument("--minutes", type=float, default=0, help="of camera while memory is watched")
    parser.add_argument("--every", type=float, default=30, help="seconds between two looks at memory")
    parser.add_argument("--model", default="base", help="of ours")
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--faces", type=int, default=0, help="crops of PublicTest for the agreement with FER+ votes")
    parser.add_argument("--data")
    parser.add_argument("--votes", type=Path)
    return parser.parse_args()


def main():
    given = options()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "host"
        folder.mkdir()
        host(folder, given.model)
        if given.peers:
            bring_peers(folder)
        film = camera_film(Path(temporary) / "drawn.y4m")
        flags = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        flags += [f"--use-file-for-fake-video-capture={film}", "--no-sandbox", "--disable-gpu"]
        with files_of(folder) as url, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
            measure(browser, folder, url, given)
            browser.close()


def measure(browser, folder, url, given):
    print("Chromium", browser.version)
    if given.rounds:
        opening = np.median([first_answer(browser, url) for _ in range(given.rounds)], axis=0)
        print(f"ready {opening[0]:.2f} s after opening, example answered after {opening[1]:.2f} s")
        compare_rates(browser, folder, given)
    if given.minutes:
        marks, rate = memory(browser, url, given.minutes, given.every)
        print(f"memory in MB, every {given.every:g} s: {marks}; {rate}")
    if given.faces:
        faces = list(voted_faces(given.data, given.votes, given.faces))
        for library, side in (("mien", 48), *((("face-api", 112), ("human", 224)) if given.peers else ())):
            right, none = agreement(browser, url, library, faces, side)
            low, high = wilson(right, len(faces))
            share = f"{right / len(faces):.1%} ({low:.1%} to {high:.1%})"
            print(f"{library:9} agrees with FER+ votes on {share} of {len(faces)} crops, no face in {none}", flush=True)


def compare_rates(browser, folder, given):
    """Print answers a second of each library, in turn, round after round."""
    runs = [("mien", False), ("mien", True), *((("face-api", False), ("human", False)) if given.peers else ())]
    results = {run: [] for run in runs}
    for _ in range(given.rounds):
        for run in runs:
            results[run].append(live(browser, folder, run[0], given.seconds, run[1]))
    for (library, _), answers in results.items():
        rates = [answer["rate"] for answer in answers]
        last = answers[-1]
        print(
            f"{library:9} {last['threads']} thread(s): {np.median(rates):.1f} answers/s "
            f"({min(rates):.1f} to {max(rates):.1f}), {last['megabytes']:.1f} MB gzipped, {json.dumps(last['counts'])}"
        )


if __name__ == "__main__":
    main()

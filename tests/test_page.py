"""The page in a browser: photos, camera, video, by mouse and keyboard, on a desk and on a phone.

Needs playwright and a Chromium of the system; axe-core, by npm, for the check of accessibility.
"""

import io
import json
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

pytest.importorskip("fastapi", reason="the extra 'serve' is not installed")
pytest.importorskip("playwright", reason="playwright is not installed")

from browsing import CHROMIUM, Visits, barriers, chromium, write_video
from playwright.sync_api import Browser, Page, expect
from serving import Running, serving

from mien.cli.app import main
from mien.data.drawn import draw_face
from mien.serve.app import PAGE

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine: apt-get install chromium")
expect.set_options(timeout=30_000)

CAMERA = (640, 480)


def drawn_frame(face: Image.Image, step: int, steps: int) -> np.ndarray:
    """A drawn face on dark ground, on its way around."""
    turn = 2 * np.pi * step / steps
    picture = Image.new("L", CAMERA, 16)
    picture.paste(face, (round(190 + 90 * np.sin(turn)), round(110 + 60 * np.sin(2 * turn))))
    return np.asarray(picture)


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    drawn = Image.fromarray(draw_face("happy", np.random.default_rng((7, 0))))
    face = drawn.resize((260, 260), Image.Resampling.BICUBIC)
    return [drawn_frame(face, step, 90) for step in range(90)]


@pytest.fixture(scope="module")
def y4m(frames: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine seconds of a camera."""
    path = tmp_path_factory.mktemp("camera") / "drawn.y4m"
    colourless = bytes([128]) * (CAMERA[0] * CAMERA[1] // 2)
    with open(path, "wb") as file:
        file.write(b"YUV4MPEG2 W640 H480 F10:1 Ip A1:1 C420jpeg\n")
        for frame in frames:
            file.write(b"FRAME\n" + frame.tobytes() + colourless)
    return path


@pytest.fixture(scope="module")
def webm(frames: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "drawn.webm", frames[:60])


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serving("--model", "base", "--model", "tiny") as running:
        yield running


@pytest.fixture(scope="module")
def browser(y4m: Path) -> Iterator[Browser]:
    with chromium("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={y4m}") as browser:
        yield browser


Opener = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser, server: Running) -> Iterator[Opener]:
    """Opens the page; at the end nothing was asked of any other place, and nothing went wrong unseen."""
    visits = Visits(browser)

    def open_page(url: str = server.url, **options) -> Page:
        return visits.open(url, **options)

    yield open_page
    visits.close()


def show_example(page: Page) -> None:
    page.get_by_role("button", name="see an example").click()
    expect(page.locator("details.face")).to_have_count(4)


def downloaded(page: Page, name: str) -> bytes:
    with page.expect_download() as download:
        page.get_by_role("button", name=name, exact=True).locator("visible=true").click()
    return Path(download.value.path()).read_bytes()


def test_a_first_visit(visit):
    page = visit()
    expect(page.get_by_role("heading", level=1)).to_have_text("What does a face show?")
    expect(page.get_by_text("Article 5(1)(f) of the AI Act")).to_be_visible()
    expect(page.get_by_text("a face does not reliably show what a person feels")).to_be_visible()
    expect(page.locator("#model option")).to_have_text(["base", "tiny"])
    show_example(page)
    expect(page.locator("#photo-count")).to_have_text("1 photo, 4 faces")
    expect(page.locator(".box")).to_have_count(4)
    expect(page.locator(".box.unsure")).to_have_count(1)
    expect(page.locator("#live")).to_contain_text("example.png: 4 faces: happy")


def test_what_is_saved_are_the_command_lines_bytes(visit, make_image, tmp_path, monkeypatch, capsys):
    shutil.copy(PAGE / "example.png", tmp_path)
    make_image(tmp_path / 'no, "body".png', size=200)
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8 cut")
    names = ["example.png", 'no, "body".png', "cut.jpg"]
    page = visit()
    page.locator("#choose").set_input_files([tmp_path / name for name in names])
    expect(page.locator("#photo-json")).to_be_enabled()
    expect(page.get_by_text("No face was found")).to_be_visible()
    expect(page.locator(".alert", has_text="not a readable image")).to_be_visible()
    saved_json, saved_csv = downloaded(page, "JSON"), downloaded(page, "CSV")
    monkeypatch.chdir(tmp_path)
    main(["predict", *names, "--json", "--min-confidence", "0.5", "--csv", "table.csv"])
    assert saved_json == capsys.readouterr().out.encode()
    assert saved_csv == Path("table.csv").read_bytes()


def test_odd_files_get_words(visit, tmp_path):
    """Text, HEIC, nothing, an animation, more pixels than the server takes, a folder: none costs the others."""
    frames = [Image.new("L", (60, 60), shade) for shade in (0, 90)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    Image.new("1", (10_000, 10_000)).save(tmp_path / "huge.png")
    (tmp_path / "letter.txt").write_text("Dear reader")
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(40))
    (tmp_path / "nothing.jpg").touch()
    shutil.copy(PAGE / "example.png", tmp_path)
    words = {
        "moving.gif": "only its first picture", "huge.png": "megapixels", "letter.txt": "damaged, or of an unknown",
        "phone.heic": "HEIC; save it as JPEG", "nothing.jpg": "it is empty", "example.png": "happy",
    }  # fmt: skip
    page = visit()
    page.locator("#choose").set_input_files([tmp_path / name for name in words])
    for name, word in words.items():
        expect(page.locator(".card", has=page.get_by_role("heading", name=name))).to_contain_text(word)
    expect(page.locator("#photo-json")).to_be_enabled()
    lines = [json.loads(line) for line in downloaded(page, "JSON").splitlines()]
    assert [line["source"] for line in lines] == list(words)
    assert [bool(line.get("error")) for line in lines] == [False, True, True, True, True, False]
    page.evaluate(
        """() => {
          const gone = new File(["x"], "folder");
          gone.slice = () => ({arrayBuffer: () => Promise.reject(new DOMException("", "NotReadableError"))});
          const drop = (files) => {
            const event = new DragEvent("drop", {bubbles: true, cancelable: true});
            Object.defineProperty(event, "dataTransfer", {value: {files}});
            document.body.dispatchEvent(event);
          };
          drop([gone]);
        }"""
    )
    expect(page.locator(".card").last).to_contain_text("Is it a folder")
    page.evaluate(
        "document.body.dispatchEvent(new DragEvent('drop', {dataTransfer: new DataTransfer(), bubbles: true}))"
    )
    expect(page.get_by_role("alert")).to_contain_text("That was no file")


def test_a_page_opened_as_a_file_says_what_it_needs(browser):
    page = browser.new_page()
    page.goto((PAGE / "index.html").as_uri())
    expect(page.locator("#unstarted")).to_be_visible()
    page.close()


def test_a_photo_is_asked_for_once(visit):
    page = visit()
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/v1/" in request.url else None)
    show_example(page)
    page.wait_for_timeout(500)
    assert len(asked) == 1


def test_why(visit):
    page = visit()
    show_example(page)
    page.get_by_role("button", name="Why happy?").click()
    expect(page.locator(".why img")).to_have_count(3)
    expect(page.locator(".why p")).to_contain_text("less sure of happy")
    assert all(page.locator(".why img").evaluate_all("images => images.map(image => image.naturalWidth)"))


def test_other_options_ask_again(visit):
    page = visit()
    show_example(page)
    with page.expect_response(lambda response: "model=tiny" in response.url and "prior=uniform" in response.url):
        page.locator("#prior").select_option("uniform")
        page.locator("#model").select_option("tiny")
    expect(page.locator(".waiting")).to_have_count(0)
    page.locator("#least").fill("90")
    expect(page.locator("#least-shown")).to_have_text("90\u00a0%")
    expect(page.locator(".box.unsure").first).to_be_visible()
    labels = page.locator(".box span").all_inner_texts()
    assert sum(label.endswith("%") and "?" in label for label in labels) == page.locator(".box.unsure").count()


@pytest.mark.parametrize("way", ["drop", "paste"])
def test_photos_are_dropped_and_pasted(visit, way):
    page = visit()
    data = list((PAGE / "example.png").read_bytes())
    page.evaluate(
        """([data, way]) => {
          const files = new DataTransfer();
          files.items.add(new File([new Uint8Array(data)], "given.png", {type: "image/png"}));
          const event = way === "drop" ? new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true})
            : new ClipboardEvent("paste", {clipboardData: files, bubbles: true});
          document.body.dispatchEvent(event);
        }""",
        [data, way],
    )
    expect(page.locator("details.face")).to_have_count(4)
    expect(page.get_by_role("heading", name="given.png")).to_be_visible()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("Drop photos here")).to_be_visible()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_turned_photo_is_shown_and_marked_upright(visit, tmp_path, kind):
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(PAGE / "example.png") as image:
        wide = image.crop((0, 0, 672, 336)).transpose(Image.Transpose.ROTATE_90)  # undone by the remark
        wide.save(tmp_path / f"turned.{kind.lower()}", kind, exif=exif)
    page = visit()
    page.locator("#choose").set_input_files(tmp_path / f"turned.{kind.lower()}")
    expect(page.locator(".box")).to_have_count(2)
    shape = page.locator(".picture").bounding_box()
    assert shape["width"] / shape["height"] == pytest.approx(2, abs=0.02)
    boxes = [page.locator(".box").nth(i).bounding_box() for i in range(2)]
    assert (
        boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"] and abs(boxes[0]["y"] - boxes[1]["y"]) < shape["height"] / 4
    )


@pytest.mark.parametrize("turn", range(1, 9))
def test_remarks_turn_what_is_shown_as_they_turn_what_is_answered(visit, turn):
    """The upper left quarter is red as people see it, in a WebP, whose EXIF browsers do not heed."""
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = turn
    picture = Image.new("RGB", (8, 4), "blue")
    picture.paste("red", (0, 0, 4, 2))
    picture.save(file, "WEBP", lossless=True, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(file))
    shown = visit(camera=False).evaluate(
        """async (data) => {
          const {upright} = await import("/orientation.js");
          const file = new Blob([new Uint8Array(data)], {type: "image/webp"});
          const bitmap = await createImageBitmap(await upright(file));
          const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
          context.drawImage(bitmap, 0, 0);
          return [bitmap.width, bitmap.height, [...context.getImageData(0, 0, bitmap.width, bitmap.height).data]];
        }""",
        list(file.getvalue()),
    )
    assert tuple(shown[:2]) == expected.size
    red = np.asarray(shown[2]).reshape(expected.height, expected.width, 4)[..., 0] > 127
    assert np.array_equal(red, np.asarray(expected)[..., 0] > 127)


def test_the_camera(visit):
    page = visit()
    page.get_by_role("tab", name="Camera").click()
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#camera-rate")).to_contain_text("answers a second")
    expect(page.locator("#camera-boxes .box")).to_have_count(1)
    expect(page.locator("#camera-face .answer")).to_contain_text("happy")
    expect(page.locator("#camera-time")).to_have_attribute("aria-label", re.compile("the largest face showed: happy"))
    assert page.locator("#camera-time").evaluate(
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some(v => v)"
    )
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name="Start the camera")).to_be_focused()
    expect(page.locator("#camera-boxes .box")).to_have_count(0)


def test_boxes_stay_on_the_face(visit):
    """The middle of the box is where the drawn face is in the very frame shown, mirrored as the picture is."""
    page = visit()
    page.get_by_role("tab", name="Camera").click()
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#camera-boxes .box")).to_have_count(1)
    off = page.evaluate(
        """async () => {
          const video = document.getElementById("camera-view");
          const canvas = new OffscreenCanvas(64, 48);
          const context = canvas.getContext("2d", {willReadFrequently: true});
          const distances = [];
          for (let i = 0; i < 40; i++) {
            await new Promise(requestAnimationFrame);
            const box = document.querySelector("#camera-boxes .box");
            if (!box) continue;
            context.drawImage(video, 0, 0, 64, 48);
            const {data} = context.getImageData(0, 0, 64, 48);
            let sum = 0, at = 0;
            for (let p = 0; p < 64 * 48; p++) if (data[4 * p] > 40) { sum++; at += p % 64; }
            const middle = parseFloat(box.style.left) + parseFloat(box.style.width) / 2;
            distances.push(Math.abs(middle - (100 - 100 * at / sum / 64)) / parseFloat(box.style.width));
          }
          return distances.sort((a, b) => a - b)[Math.floor(distances.length / 2)];
        }"""
    )
    assert off < 0.5  # of the face's width, on a machine that may have other things to do


def test_only_one_frame_is_on_its_way(visit):
    page = visit()
    flying, most = set(), 0

    def started(request) -> None:
        nonlocal most
        if "/v1/predict" in request.url:
            flying.add(request)
            most = max(most, len(flying))

    page.on("request", started)
    page.on("requestfinished", lambda request: flying.discard(request))
    page.get_by_role("tab", name="Camera").click()
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#camera-face .answer")).to_be_visible()
    page.wait_for_timeout(1500)
    assert most == 1


@pytest.mark.parametrize(
    "error, words",
    [
        ("NotAllowedError", "may not use the camera"),
        ("NotFoundError", "There is no camera"),
        ("NotReadableError", "another program"),
    ],
)
def test_a_camera_that_cannot_be_had(visit, error, words):
    page = visit(camera=False)
    page.evaluate(
        "name => { navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', name); } }", error
    )
    page.get_by_role("tab", name="Camera").click()
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#camera-words")).to_contain_text(words)
    expect(page.locator("#live")).to_contain_text(words)
    expect(page.get_by_role("button", name="Start the camera")).to_be_enabled()


def test_a_camera_that_is_unplugged(visit):
    page = visit()
    page.get_by_role("tab", name="Camera").click()
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#camera-face .answer")).to_be_visible()
    ended = "video => video.srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))"
    page.locator("#camera-view").evaluate(ended)
    expect(page.locator("#camera-words")).to_contain_text("still plugged in")


def test_a_video(visit, webm):
    page = visit()
    page.get_by_role("tab", name="Video").click()
    page.locator("#video-choose").set_input_files(webm)
    expect(page.locator("#video-state")).to_have_text("drawn.webm: 10 frames looked at")
    expect(page.locator("#video-face .answer")).to_contain_text("happy")
    expect(page.locator("#video-boxes .box")).to_have_count(1)
    words = "For 0:01 minutes the largest face showed: happy 100\u00a0% of the time."
    expect(page.locator("#video-time")).to_have_attribute("aria-label", words)
    lines = [json.loads(line) for line in downloaded(page, "JSON").splitlines()]
    assert [line["frame"] for line in lines] == list(range(10)) and lines[3]["time"] == 0.6
    assert all(line["source"] == "drawn.webm" and len(line["faces"]) == 1 for line in lines)
    assert [face["track"] for line in lines for face in line["faces"]] == [1] * 10
    assert all(list(line) == ["source", "frame", "time", "faces"] for line in lines)
    table = downloaded(page, "CSV").decode().splitlines()
    assert len(table) == 11 and table[4].startswith("drawn.webm,3,0.600,1,")
    page.locator("#video-time").click(position={"x": 300, "y": 40})
    assert page.locator("#video-view").evaluate("video => video.currentTime") > 0.3


def test_a_video_that_the_browser_cannot_decode(visit, tmp_path):
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(1000))
    page = visit()
    page.get_by_role("tab", name="Video").click()
    page.locator("#video-choose").set_input_files(tmp_path / "film.mp4")
    expect(page.locator("#video-state")).to_contain_text("cannot decode that video")


def test_by_keyboard_alone(visit):
    page = visit()
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the pictures")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Camera")).to_be_focused()
    expect(page.get_by_role("tabpanel", name="Camera")).to_be_visible()
    page.keyboard.press("End")
    expect(page.get_by_role("tabpanel", name="Video")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tabpanel", name="Photos")).to_be_visible()
    for _ in range(5):
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="see an example")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("details.face")).to_have_count(4)
    page.locator("details.face summary").nth(1).focus()
    page.keyboard.press("Enter")
    expect(page.locator("details.face").nth(1)).to_have_attribute("open", "")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_that_axe_knows(visit, axe, webm, scheme):
    assert barriers(visit(color_scheme=scheme, bypass_csp=True), axe, webm) == {}


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_nothing_sticks_out(visit, webm, width):
    page = visit(width=width, height=800)

    def check() -> None:
        out = page.evaluate(
            """() => [...document.querySelectorAll("body *")].filter(e => e.checkVisibility()
              && !e.closest(".boxes, .hidden, .skip")
              && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
        )
        assert out == [] and page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    check()
    show_example(page)
    check()
    page.get_by_role("tab", name="Camera").click()
    check()
    page.get_by_role("tab", name="Video").click()
    page.locator("#video-choose").set_input_files(webm)
    expect(page.locator("#video-json")).to_be_enabled()
    check()


def test_nothing_jumps(visit):
    """Layout shift, as Chromium measures it, while the page loads, a photo is answered and the camera runs."""
    page = visit()
    shift = """() => new Promise(resolve => new PerformanceObserver(list => resolve(
        list.getEntries().filter(e => !e.hadRecentInput).reduce((sum, e) => sum + e.value, 0)))
        .observe({type: "layout-shift", buffered: true}) || setTimeout(() => resolve(0), 500))"""
    page.get_by_role("tab", name="Camera").click()
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#camera-face .answer")).to_be_visible()
    page.wait_for_timeout(1000)
    assert page.evaluate(shift) < 0.05


def test_less_motion_where_less_is_wanted(visit):
    page = visit(reduced_motion="reduce")
    page.locator("#cards").evaluate("e => e.innerHTML = '<div class=waiting><div class=picture></div></div>'")
    name = page.locator(".picture").evaluate("e => getComputedStyle(e, '::after').animationName")
    assert name == "none"


def test_a_server_that_wants_a_token(visit):
    with serving("--model", "tiny", "--token", "sesame") as guarded:
        page = visit(guarded.url)
        expect(page.get_by_role("dialog")).to_be_visible()
        page.get_by_role("textbox", name="Token").fill("sesame")
        page.get_by_role("button", name="Go on").click()
        expect(page.locator("#model option")).to_have_text(["tiny"])
        show_example(page)
        told = visit(f"{guarded.url}#token=sesame")
        show_example(told)
        assert "sesame" not in told.url


def test_a_server_that_is_gone(visit):
    with serving("--model", "tiny") as other:
        page = visit(other.url)
        other.process.send_signal(signal.SIGTERM)
        other.process.wait(30)
        page.locator("#choose").set_input_files(PAGE / "example.png")
        expect(page.get_by_role("alert")).to_contain_text("Is mien serve still running?")

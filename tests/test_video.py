"""Videos and cameras: what is read, who is who, what is written, and what is left after damage and Ctrl-C."""

import csv
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from math import exp, nan
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import lively
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from mien import Predictor
from mien.boxes import Box, Corners
from mien.colours import class_colour
from mien.data.drawn import draw_face
from mien.emotions import EMOTIONS
from mien.errors import DataError, UsageError
from mien.predict.detector import find_faces, find_near
from mien.predict.face import Face
from mien.predict.prediction import Prediction
from mien.predict.sources import is_video
from mien.predict.table import write_table
from mien.predict.video.follow import FrameResult, follow
from mien.predict.video.footage import Footage, Frame, open_footage
from mien.predict.video.recording import record
from mien.predict.video.timeline import Timeline, minutes, timeline_text
from mien.predict.video.tracks import Tracked, Tracker
from mien.predict.video.watch import Outcome, VideoOutputs, video_outputs, watch
from mien.predict.video.window import Window, open_window
from mien.report.figures import timeline as chart_module
from mien.report.figures.timeline import chart

RATE, SIZE = 25.0, (96, 64)


def face(box: Box = (10, 10, 20, 24), /, **shares: float) -> Face:
    """A face with the shares given, the rest spread over the other expressions."""
    rest = (1 - sum(shares.values())) / (7 - len(shares))
    probabilities = {name: shares.get(name, rest) for name in EMOTIONS}
    emotion = max(probabilities, key=probabilities.__getitem__)
    return Face(box, (), emotion, probabilities[emotion], probabilities)


class Stub:
    """In place of a Predictor: a face that walks to the right, from frame to frame; may press Ctrl-C."""

    def __init__(self, ctrl_c_at: int | None = None) -> None:
        self.ctrl_c_at, self.asked, self.min_confidence = ctrl_c_at, list[int](), 0.0
        self.classes = EMOTIONS

    def frame(
        self, image: np.ndarray, source: str, frame: int, turned: int | None = None, near: Any = None
    ) -> Prediction:
        if frame == self.ctrl_c_at:
            raise KeyboardInterrupt
        self.asked.append(frame)
        return Prediction(source, frame, (face((10 + frame % 40, 10, 20, 24), happy=0.8),))


class Stand:
    """In place of OpenCV's VideoCapture: frames, their times in ms, and a header that may lie."""

    def __init__(self, frames: int, times: Sequence[float] = (), rate: float = RATE, total: float = 0) -> None:
        self.left, self.times, self.read_already = frames, times, 0
        self.header = {cv2.CAP_PROP_FPS: rate, cv2.CAP_PROP_FRAME_COUNT: total}

    def read(self) -> tuple[bool, Any]:
        if self.read_already == self.left:
            return False, None
        self.read_already += 1
        return True, np.full((SIZE[1], SIZE[0], 3), (200, 100, 0), np.uint8)

    def get(self, propId: int) -> float:
        if propId == cv2.CAP_PROP_POS_MSEC:
            return self.times[self.read_already - 1] if self.times else 0.0
        return self.header[propId]

    def release(self) -> None:
        self.left = 0


def write_video(path: Path, frames: int = 30, rate: float = RATE, size: tuple[int, int] = SIZE) -> Path:
    """Each frame's left half is red, its right half as bright as its number."""
    with record(path, rate, size) as recording:
        for number in range(frames):
            pixels = np.zeros((size[1], size[0], 3), np.uint8)
            pixels[:, : size[0] // 2, 0] = 255
            pixels[:, size[0] // 2 :] = number * 8 % 256
            recording.add(Image.fromarray(pixels), number / rate)
    return path


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 frames, 25 a second."""
    return write_video(tmp_path_factory.mktemp("video") / "walk.mp4")


def frames_of(path: Path) -> list[Frame]:
    with open_footage(str(path)) as footage:
        return list(footage)


def run(path: Path, predictor: Stub, annotated: Path | None = None, csv: Path | None = None, every: int = 1) -> Outcome:
    with open_footage(str(path)) as footage, write_table(csv, EMOTIONS) if csv else nullcontext() as table:
        return watch(follow(footage, predictor, every), footage.rate, annotated, lambda _: None, table)


def watched(footage: Footage, predictor: Stub) -> Outcome:
    return watch(follow(footage, predictor), RATE, None, lambda _: None)


# Reading


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_frames_come_whole_in_order_and_in_rgb(suffix: str, tmp_path: Path) -> None:
    path = write_video(tmp_path / f"v{suffix}")
    frames = frames_of(path)
    assert [frame.number for frame in frames] == list(range(30))
    assert [frame.time for frame in frames] == pytest.approx([i / RATE for i in range(30)], abs=0.002)
    red, green, blue = frames[3].image[20, 10]
    assert red > 200 and green < 60 and blue < 60
    assert frames[20].image[20, 80].mean() == pytest.approx(160, abs=12)
    with open_footage(str(path)) as footage:
        assert (footage.rate, footage.total) == (RATE, 30)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_phone_held_upright_is_turned_upright(quarters: int, video: Path, tmp_path: Path) -> None:
    one = 1 << 16
    upright = [(one, 0, 0, one), (0, one, -one, 0), (-one, 0, 0, -one), (0, -one, one, 0)]
    plain, turned = (struct.pack(">iiiii", a, b, 0, c, d) for a, b, c, d in (upright[0], upright[quarters]))
    data = video.read_bytes()
    track = data.index(b"tkhd")
    place = data.index(plain, track)
    path = tmp_path / "turned.mp4"
    path.write_bytes(data[:place] + turned + data[place + len(plain) :])
    expected = np.rot90(frames_of(video)[5].image, -quarters)
    found = frames_of(path)[5].image
    assert found.shape == expected.shape
    assert np.abs(found.astype(int) - expected).mean() < 3


def test_headers_that_tell_nothing_or_nonsense() -> None:
    for rate, total in ((0, 0), (nan, -1), (90_000, -9e15), (1e-9, nan), (-5, 1e300)):
        footage = Footage(Stand(5, rate=rate, total=total), "x.mp4")
        assert footage.total is None
        assert [frame.time for frame in footage] == pytest.approx([i / 30 for i in range(5)])


def test_uneven_times_are_kept_and_impossible_ones_are_not() -> None:
    times = [1000, 1010, 1500, 1400, 1500, 1e12, 1e12 + 40]
    frames = list(Footage(Stand(7, times), "x.mp4"))
    steps = [after.time - before.time for before, after in pairwise(frames)]
    assert steps == pytest.approx([0.01, 0.49, 1 / RATE, 0.1, 1 / RATE, 0.04], abs=1e-4)


@pytest.mark.parametrize("damage", ["empty", "text", "half", "head", "photo"])
def test_what_is_no_video_is_one_line_and_replaces_nothing(
    damage: str, video: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = video.read_bytes()
    photo = tmp_path / "photo.png"
    Image.new("RGB", (40, 40)).save(photo)
    contents = {"empty": b"", "text": b"a video, honestly\n" * 99, "half": data[: len(data) // 2], "head": data[:64]}
    broken, kept = tmp_path / "broken.mp4", tmp_path / "kept.csv"
    broken.write_bytes(contents.get(damage) or (photo.read_bytes()[:70] if damage == "photo" else b""))
    kept.write_text("mine")
    with pytest.raises(DataError) as error:
        run(broken, Stub(), tmp_path / "out.mp4", kept)
    assert "\n" not in str(error.value) and str(broken) in str(error.value)
    assert kept.read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.mp4", "kept.csv", "photo.png"]
    assert capfd.readouterr() == ("", "")


def test_a_video_cut_short_is_said_after_what_came_before_is_kept(tmp_path: Path) -> None:
    footage = Footage(Stand(30, [i * 40 for i in range(30)], total=300), "cut.mkv")
    with write_table(tmp_path / "t.csv", EMOTIONS) as table:
        outcome = watch(follow(footage, Stub()), RATE, None, lambda _: None, table)
    assert isinstance(outcome.stopped, DataError)
    assert "ends after 30 of 300 frames" in str(outcome.stopped)
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 31
    slow = Footage(Stand(30, [i * 400 for i in range(30)], total=300), "slow.mkv")  # few frames, but all of the time
    assert watched(slow, Stub()).stopped is None


def test_real_damage_in_the_middle_ends_in_words(tmp_path: Path) -> None:
    data = bytearray(write_video(tmp_path / "v.webm", frames=60).read_bytes())
    cut = tmp_path / "cut.webm"
    cut.write_bytes(data[: len(data) // 2])
    outcome = run(cut, Stub(), csv=tmp_path / "t.csv")
    assert isinstance(outcome.stopped, DataError)
    rng = np.random.default_rng(0)
    for _ in range(5):
        for place in rng.integers(300, len(data), 40):
            data[place] = rng.integers(256)
        cut.write_bytes(data)
        try:
            run(cut, Stub())
        except DataError:
            continue  # a word is all that is asked for


def test_the_environment_is_left_as_it_was(video: Path) -> None:
    before = dict(os.environ), cv2.utils.logging.getLogLevel()
    frames_of(video)
    assert (dict(os.environ), cv2.utils.logging.getLogLevel()) == before


def test_no_address_and_no_missing_file_is_opened() -> None:
    for name in ("http://127.0.0.1:9/x.mp4", "missing.mp4", "concat:a.mp4|b.mp4"):
        with pytest.raises(UsageError, match=r"no such file|nothing is downloaded"), open_footage(name):
            pass


def test_sound_alone_is_called_so(tmp_path: Path) -> None:
    kinds = {"sound": b"soun", "torn": b"vide"}
    for name, kind in kinds.items():
        handler = struct.pack(">I4sII4s12xB", 33, b"hdlr", 0, 0, kind, 0)
        (tmp_path / f"{name}.mp4").write_bytes(b"\0\0\0\x10ftypM4A \0\0\0\0" + bytes(50) + handler)
    with pytest.raises(DataError, match="it holds sound alone"):
        frames_of(tmp_path / "sound.mp4")
    with pytest.raises(DataError, match="damaged, cut short"):
        frames_of(tmp_path / "torn.mp4")


def test_a_predictor_follows_a_video_frame_by_frame(tmp_path: Path) -> None:
    path = write_video(tmp_path / "walk.webm", frames=6)
    predictor = Predictor("tiny", crop="none")
    results = list(predictor.video(path, every=2))
    assert [result.frame.number for result in results] == list(range(6))
    assert [result.frame.time for result in results] == pytest.approx([i / RATE for i in range(6)], abs=0.01)
    assert [result.fresh for result in results] == [True, False] * 3
    assert results[0].prediction.faces == predictor.frame(results[0].frame.image, str(path), 0).faces
    first = next(predictor.video(path.as_uri()))
    assert first.frame.number == 0
    with pytest.raises(UsageError, match="every 0"):
        next(predictor.video(path, every=0))


def test_a_stream_is_a_camera(video: Path) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(video.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with open_footage(f"camera:http://127.0.0.1:{server.server_port}/{video.name}") as footage:
            frame = next(iter(footage))
            assert footage.live and frame.image.shape == (SIZE[1], SIZE[0], 3)
        with (
            pytest.raises(UsageError, match="no stream can be read there"),
            open_footage(f"camera:http://127.0.0.1:{server.server_port}/none"),
        ):
            pass
        server.shutdown()


def test_what_counts_as_video() -> None:
    assert all(map(is_video, ("a.mp4", "b/c.MOV", "x.webm", "camera:0", "camera:12")))
    assert not any(map(is_video, ("a.jpg", "camera.png", "mp4", "folder", "a.mp4.txt", "a.gif")))


# Cameras


def test_no_camera_and_no_number_are_one_line() -> None:
    with pytest.raises(UsageError, match="camera:77: no such camera"), open_footage("camera:77"):
        pass
    with pytest.raises(UsageError, match="the first is camera:0"), open_footage("camera:front"):
        pass


def test_a_camera_runs_until_ctrl_c_and_says_when_it_is_unplugged() -> None:
    endless = Footage(Stand(10**9), "camera:0")
    stopped = watched(endless, Stub(ctrl_c_at=20))
    assert isinstance(stopped.stopped, KeyboardInterrupt)
    assert stopped.timeline.courses()[0].looks.sum() == 20
    pulled = watched(Footage(Stand(20), "camera:0"), Stub())
    assert "still plugged in" in str(pulled.stopped)


class FakeRoot:
    """In place of a Tk window that its user closes after a while."""

    def __init__(self, updates: int) -> None:
        self.updates, self.gone = updates, False

    def protocol(self, _: str, shut: Callable[[], None]) -> None:
        self.shut = shut

    def bind(self, key: str, shut: Callable[[Any], None]) -> None:
        assert key == "<Escape>"

    def update(self) -> None:
        self.updates -= 1
        if not self.updates:
            self.shut()

    def destroy(self) -> None:
        self.gone = True


def test_closing_the_window_ends_a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = list[tuple[int, int]]()
    monkeypatch.setattr("PIL.ImageTk.PhotoImage", lambda picture, master: shown.append(picture.size))
    root: Any = FakeRoot(updates=5)
    label: Any = type("Label", (), {"configure": lambda self, image: None})()
    footage = Footage(Stand(10**9), "camera:0")
    outcome = watch(follow(footage, Stub()), RATE, None, lambda _: None, window=Window(root, label))
    assert outcome.stopped is None and len(shown) == 5 and root.gone


def test_without_a_display_there_is_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    if sys.platform == "linux":
        assert open_window("x") is None


# Who is who


def walk(tracker: Tracker, steps: Sequence[Sequence[Box]], apart: float = 0.1) -> list[list[int]]:
    return [
        [tracked.track for tracked in tracker.follow([face(box) for box in boxes], i * apart)]
        for i, boxes in enumerate(steps)
    ]


def test_neighbours_keep_their_numbers_as_they_walk_and_trade_places_in_the_list() -> None:
    left = [(100 + 8 * i, 50 + i, 40, 50) for i in range(20)]
    right = [(190 + 8 * i, 55, 44, 52) for i in range(20)]
    steps = [[a, b] if i % 2 else [b, a] for i, (a, b) in enumerate(zip(left, right, strict=True))]
    numbers = walk(Tracker(), steps)
    assert {tuple(pair) for pair in numbers[0::2]} == {(1, 2)}
    assert {tuple(pair) for pair in numbers[1::2]} == {(2, 1)}


def test_a_missed_frame_changes_nobody_but_a_long_absence_does() -> None:
    box = (100, 50, 40, 50)
    here, gone = [box], list[Box]()
    assert walk(Tracker(), [here, gone, gone, gone, here])[-1] == [1]
    assert walk(Tracker(), [here, *[gone] * 30, here])[-1] == [2]
    assert walk(Tracker(), [here, gone, gone, here], apart=20)[-1] == [1]  # --every 500: few looks, long apart
    assert walk(Tracker(), [here, *[gone] * 5, here], apart=20)[-1] == [2]


def test_numbers_are_never_given_twice_and_never_shared() -> None:
    rng = np.random.default_rng(0)
    tracker, given_out = Tracker(), set[int]()
    for i in range(200):
        boxes: list[Box] = [(int(x), int(y), 30, 40) for x, y in rng.integers(0, 300, (rng.integers(0, 6), 2))]
        numbers = [tracked.track for tracked in tracker.follow([face(box) for box in boxes], i * 0.2)]
        assert len(set(numbers)) == len(boxes)
        new = {number for number in numbers if number not in given_out}
        assert not new or min(new) > max(given_out, default=0)
        given_out |= new


@given(st.integers(1, 12), st.floats(0.05, 3))
def test_steadying_depends_on_seconds_and_not_on_how_many_frames_are_looked_at(every: int, smooth: float) -> None:
    tracker = Tracker(smooth)
    tracker.follow([face(sad=0.9)], 0.0)
    number = 0
    for number in range(every, 61, every):
        (tracked,) = tracker.follow([face(happy=0.9)], number / 30)
        left = exp(-number / 30 / smooth)
        expected = left * face(sad=0.9).probabilities["sad"] + (1 - left) * face(happy=0.9).probabilities["sad"]
        assert tracked.face.probabilities["sad"] == pytest.approx(expected)
        assert sum(tracked.face.probabilities.values()) == pytest.approx(1)
        assert tracked.face.confidence == max(tracked.face.probabilities.values())
        assert tracked.face.probabilities[tracked.face.emotion] == tracked.face.confidence


def test_a_flicker_is_steadied_and_a_change_is_not_lost() -> None:
    tracker = Tracker(smooth=0.5)
    answers = ["happy"] * 20 + ["sad"] + ["happy"] * 20 + ["sad"] * 40
    named = [tracker.follow([face(**{name: 0.8})], i / 25)[0].face.emotion for i, name in enumerate(answers)]
    assert named[:41] == ["happy"] * 41
    assert named[-20:] == ["sad"] * 20
    sharp = Tracker(smooth=0)
    assert [sharp.follow([face(**{name: 0.8})], i / 25)[0].face.emotion for i, name in enumerate(answers)] == answers


def test_whether_a_face_is_uncertain_follows_the_steadied_confidence() -> None:
    tracker = Tracker(smooth=0.5, min_confidence=0.6)
    tracker.follow([face(happy=0.9)], 0.0)
    assert not tracker.follow([replace(face(happy=0.5), uncertain=True)], 0.04)[0].face.uncertain
    assert tracker.follow([face(happy=0.5)], 5.0)[0].face.uncertain


def test_every_third_frame_is_looked_at_and_the_others_keep_its_faces(video: Path) -> None:
    stub = Stub()
    with open_footage(str(video)) as footage:
        seen = list(follow(footage, stub, every=3))
    assert sorted(stub.asked) == list(range(0, 30, 3))
    assert [result.fresh for result in seen[:4]] == [True, False, False, True]
    assert seen[4].faces == seen[3].faces != seen[6].faces
    assert len(seen) == 30


def test_between_frames_that_show_the_same_faces_these_are_looked_for_near_them(video: Path) -> None:
    class Watching(Stub):
        def frame(
            self, image: np.ndarray, source: str, frame: int, turned: int | None = None, near: Any = None
        ) -> Prediction:
            looks[frame] = near
            seen = super().frame(image, source, frame, turned)
            return replace(seen, faces=(*seen.faces, face((200, 90, 20, 24), sad=0.9))) if frame >= 10 else seen

    looks = dict[int, Any]()
    with open_footage(str(video)) as footage:
        results = list(follow(footage, Watching()))
    assert [result.frame.number for result in results] == list(range(30))
    assert [len(result.faces) for result in results] == [1] * 10 + [2] * 20
    whole = {frame for frame, near in looks.items() if near is None}
    assert whole == {*range(0, 30, 4), 9, 10, 11, 29}  # every fourth; where a face comes; after the last of these
    assert looks[5] == [Corners(14, 10, 38, 34)]  # what both ends have, 4 pixels apart
    assert len(looks[13]) == 2


def test_each_frame_of_a_camera_is_looked_at_as_a_whole_when_it_comes() -> None:
    class Watching(Stub):
        def frame(
            self, image: np.ndarray, source: str, frame: int, turned: int | None = None, near: Any = None
        ) -> Prediction:
            assert near is None
            return super().frame(image, source, frame, turned)

    stub = Watching()
    results = follow(Footage(Stand(9), "camera:0"), stub)
    for number in range(9):
        assert next(results).frame.number == number
        assert stub.asked[-1] == number


def test_a_look_near_a_face_sees_what_a_look_at_the_whole_sees() -> None:
    photographs = pytest.importorskip("skimage.data")
    frame = Image.new("RGB", (1280, 720), (90, 110, 140))
    frame.paste(Image.fromarray(photographs.astronaut()), (500, 100))
    (whole,) = find_faces(frame).faces
    (left, top, right, bottom), moved = whole.box, 20
    area = Corners(left - moved, top, right + moved, bottom)
    near = find_near(frame, [area])
    assert near is not None
    assert near.faces[0].landmarks == pytest.approx(whole.landmarks, abs=0.5)
    assert near.faces[0].box == pytest.approx(whole.box, abs=1)
    assert find_near(frame, [area, Corners(50, 50, 150, 150)]) is None


def test_how_a_video_lies_is_found_out_at_its_first_face_and_kept(video: Path) -> None:
    class Lying(Stub):
        def frame(
            self, image: np.ndarray, source: str, frame: int, turned: int | None = None, near: Any = None
        ) -> Prediction:
            known.append(turned)
            return replace(super().frame(image, source, frame), turned=90 if turned is None else turned)

    known = list[int | None]()
    with open_footage(str(video)) as footage:
        results = list(follow(footage, Lying()))
    assert known == [None, *[90] * 29]
    assert {result.to_dict()["turned"] for result in results} == {90}


# Writing


@pytest.mark.parametrize(("suffix", "codec"), [(".mp4", "VP90"), (".webm", "VP80")])
def test_an_annotated_video_is_whole_and_in_a_codec_of_browsers(
    suffix: str, codec: str, video: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / f"out{suffix}"
    outcome = run(video, Stub(), out)
    assert outcome.stopped is None
    capture = cv2.VideoCapture(str(out))
    found = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode()
    assert found == codec
    capture.release()
    frames = frames_of(out)
    assert len(frames) == 30
    assert frames[0].image.shape[:2] == (5 * SIZE[1], 5 * SIZE[0])  # enlarged, as small photos are
    colour = np.array(list(bytes.fromhex(class_colour(EMOTIONS.index("happy"))[1:])))
    assert (np.abs(frames[9].image.astype(int) - colour).sum(2) < 60).sum() > 300
    assert capfd.readouterr() == ("", "")


def test_recordings_keep_time_whatever_the_times_of_their_pictures(tmp_path: Path) -> None:
    path = tmp_path / "v.webm"
    with record(path, 10.0, (65, 49)) as recording:
        for shade, time in ((0, 0.0), (80, 0.01), (120, 0.5), (250, 2.0)):
            recording.add(Image.new("RGB", (65, 49), (shade,) * 3), time)
    frames = frames_of(path)
    assert len(frames) == 21
    assert frames[0].image.shape == (48, 64, 3)
    assert frames[4].image.mean() == pytest.approx(0, abs=20)
    assert frames[5].image.mean() == pytest.approx(120, abs=15)
    assert frames[20].image.mean() == pytest.approx(250, abs=20)


def test_names_for_files_are_settled_before_work(tmp_path: Path) -> None:
    own = str(tmp_path / "own.mp4")
    assert video_outputs(own, tmp_path / "a.MP4", tmp_path / "c.png").annotated == tmp_path / "a.MP4"
    assert video_outputs(own, tmp_path / "folder", None).annotated == tmp_path / "folder/own-annotated.webm"
    camera = video_outputs("camera:0", tmp_path / "folder", None).annotated
    assert camera == tmp_path / "folder/camera-0-annotated.webm"
    assert video_outputs(own, None, None) == VideoOutputs()
    with pytest.raises(UsageError, match=r"\.webm or \.mp4"):
        video_outputs(own, Path("a.avi"), None)
    with pytest.raises(UsageError, match="is the video itself"):
        video_outputs(own, Path(own), None)
    with pytest.raises(UsageError, match=r"written as \.png"):
        video_outputs(own, None, Path("c.tex"))


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_line_a_face_and_frame_looked_at(video: Path, tmp_path: Path) -> None:
    run(video, Stub(), csv=tmp_path / "t.csv", every=2)
    rows = read_rows(tmp_path / "t.csv")
    assert [int(row["frame"]) for row in rows] == list(range(0, 30, 2))
    assert [float(row["time"]) for row in rows] == pytest.approx([i / RATE for i in range(0, 30, 2)], abs=0.002)
    assert {row["track"] for row in rows} == {"1"} and {row["emotion"] for row in rows} == {"happy"}
    assert sum(float(rows[0][name]) for name in EMOTIONS) == pytest.approx(1, abs=0.001)
    assert [int(rows[3][key]) for key in ("x", "y", "width", "height")] == [16, 10, 20, 24]


def test_json_of_a_frame_has_its_time_and_each_faces_number() -> None:
    frame = Frame(np.zeros((4, 4, 3), np.uint8), 7, 0.28)
    value = json.loads(json.dumps(FrameResult("v.mp4", frame, (Tracked(face(happy=0.8), 3),), True).to_dict()))
    assert value == {"source": "v.mp4", "frame": 7, "time": 0.28, "faces": [{**face(happy=0.8).to_dict(), "track": 3}]}


def test_ctrl_c_leaves_whole_files(video: Path, tmp_path: Path) -> None:
    outcome = run(video, Stub(ctrl_c_at=13), tmp_path / "a.webm", tmp_path / "t.csv")
    assert isinstance(outcome.stopped, KeyboardInterrupt)
    assert len(read_rows(tmp_path / "t.csv")) == 13
    assert (tmp_path / "t.csv").read_text().endswith("\n")
    assert len(frames_of(tmp_path / "a.webm")) == 13
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.webm", "t.csv"]


PROGRAM = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_video import EMOTIONS, Stub
from mien.cli import app as cli, demo
from mien.cli.predict import _predict_video
from mien.predict.table import write_table
from mien.predict.video.watch import video_outputs

class Slow(Stub):
    def frame(self, *arguments):
        time.sleep(0.02)
        return super().frame(*arguments)

def go():
    predictor = Slow()
    predictor.min_confidence = 0.9
    outputs = video_outputs(sys.argv[2], Path("a.webm"), Path("c.png"))
    with write_table(Path("t.csv"), EMOTIONS) as table:
        _predict_video(sys.argv[2], predictor, outputs, table, every=1, smooth=0.5, json=True)

cli.COMMANDS["go"] = "demo"
demo.go = go
sys.exit(cli.main(["go"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_ctrl_c_on_the_command_line(tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.webm", frames=400, size=(64, 48))
    command = [sys.executable, "-c", PROGRAM, str(Path(__file__).parent), str(path)]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout and running.stderr
        lines = [running.stdout.readline() for _ in range(20)]
        running.send_signal(signal.SIGINT)
        lines += running.stdout.readlines()
        said = running.stderr.read()
    assert running.returncode == 130 and said.splitlines() == ["stopped by Ctrl-C"]
    answers = [json.loads(line) for line in lines]
    assert [answer["frame"] for answer in answers] == list(range(len(answers)))
    assert answers[0]["faces"][0]["uncertain"] is True
    rows = read_rows(tmp_path / "t.csv")
    assert 19 <= len(rows) < 400 and abs(len(rows) - len(answers)) <= 1
    assert abs(len(frames_of(tmp_path / "a.webm")) - len(rows)) <= 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.webm", "c.png", "t.csv", "v.webm"]


# Over time


def course(times: Sequence[float], shares: Callable[[float], dict[str, float]], track: int = 1) -> Timeline:
    timeline = Timeline()
    for number, time in enumerate(times):
        add(timeline, number, time, Tracked(face(**shares(time)), track))
    return timeline


def add(timeline: Timeline, number: int, time: float, *faces: Tracked) -> None:
    timeline.add(FrameResult("v.mp4", Frame(np.zeros((1, 1, 3), np.uint8), number, time), faces, True))


def test_a_day_takes_no_more_memory_than_a_minute_and_loses_no_look() -> None:
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 86_400, 3000))
    shares = rng.uniform(0.2, 0.9, 3000)
    timeline = course(times.tolist(), lambda time: {"sad": shares[np.searchsorted(times, time)]})
    (found,) = timeline.courses()
    assert found.looks.sum() == 3000 and len(found.looks) <= 1024
    sad = EMOTIONS.index("sad")
    assert found.looks @ found.means[:, sad] / 3000 == pytest.approx(shares.mean())
    half = int(43_200 / timeline.step)
    early = times < half * timeline.step
    assert found.looks[:half].sum() == early.sum()


def test_a_crowd_is_bounded_by_forgetting_those_seen_least() -> None:
    timeline = Timeline()
    for number in range(400):
        add(timeline, number, number / 25, Tracked(face(), 1), Tracked(face((60, 10, 20, 24)), 2 + number))
    assert len(timeline.courses()) == 32 and timeline.courses()[0].track == 1


def test_who_comes_after_a_crowd_is_remembered() -> None:
    timeline = Timeline()
    for track in range(1, 33):
        for look in range(2):
            add(timeline, track, track + look / 25, Tracked(face(), track))
    for number in range(100, 200):
        add(timeline, number, number, Tracked(face(), 33))
    assert timeline.courses()[0].track == 33
    assert timeline.courses()[0].looks.sum() == 100


def pixels_of(figure: Figure) -> np.ndarray:
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3]  # pyrefly: ignore[missing-attribute]


def test_the_chart_shows_what_was_seen_when() -> None:
    timeline = course([i / 10 for i in range(100)], lambda time: {"happy" if time < 5 else "sad": 0.94})
    figure = chart(timeline)
    pixels, (axes,) = pixels_of(figure), figure.axes
    colours = {name: bytes.fromhex(class_colour(EMOTIONS.index(name))[1:]) for name in ("happy", "sad")}
    for time, name in ((2.5, "happy"), (7.5, "sad")):
        across, up = axes.transData.transform((time, 0.5))
        assert tuple(pixels[len(pixels) - round(up), round(across)]) == tuple(colours[name])


def test_absence_shows_as_gray_and_seldom_looks_do_not() -> None:
    timeline = course([0, 1, 2, 30, 31, 32], lambda _: {"happy": 0.94})
    held = chart_module._held(timeline.courses()[0], timeline.step)
    present = ~np.isnan(held[:, 0])
    at = [bool(present[int(time / timeline.step)]) for time in (0.5, 1.5, 10, 29, 31.5)]
    assert at == [True, True, False, False, True]
    seldom = course([i * 20 for i in range(10)], lambda _: {"happy": 0.94})  # --every 500
    assert not np.isnan(chart_module._held(seldom.courses()[0], seldom.step)).any()


def test_charts_of_nothing_of_an_instant_and_of_many() -> None:
    assert pixels_of(chart(Timeline())).any()
    assert len(chart(course([0.0], lambda _: {"fear": 0.5})).axes) == 1
    many = Timeline()
    for number in range(50):
        add(many, number, number * 1.7, *(Tracked(face((50 * k, 10, 20, 24)), k + 1) for k in range(9)))
    figure = chart(many)
    assert len(figure.axes) == 6 and "6 faces most seen of 9" in figure.get_supxlabel()
    assert pixels_of(figure).any()


def test_words_say_from_when_to_when_and_what() -> None:
    text = timeline_text(course([i / 10 for i in range(100)], lambda time: {"happy": 0.8, "sad": 0.15}))
    assert "face 1" in text and "0:00" in text and "happy 80 %, sad 15 %" in text
    assert timeline_text(Timeline()) == ""


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (65, "1:05"), (7261, "2:01:01"), (59.96, "1:00"), (1.5, "0:01.5")]
)
def test_times_in_words(seconds: float, text: str) -> None:
    assert minutes(seconds) == text


# The real detector, memory, and a real browser


@pytest.mark.long
def test_real_faces_are_found_and_followed_through_a_video(tmp_path: Path) -> None:
    from mien import Predictor, write_model

    write_model(lively(), tmp_path / "model.onnx")
    faces = [
        Image.fromarray(draw_face("happy", np.random.default_rng(seed))).resize((160, 160), Image.Resampling.BICUBIC)
        for seed in range(2)
    ]
    with record(tmp_path / "v.webm", RATE, (640, 360)) as recording:
        for number in range(40):
            picture = Image.new("RGB", (640, 360), (140, 120, 100))
            for k, x in enumerate((40 + 3 * number, 400 - 2 * number)):
                picture.paste(faces[k], (x, 60 + 60 * k))
            recording.add(picture, number / RATE)
    with open_footage(str(tmp_path / "v.webm")) as footage:
        seen = list(follow(footage, Predictor(tmp_path / "model.onnx"), every=2))
    assert all({tracked.track for tracked in result.faces} == {1, 2} for result in seen)
    for result in seen[::2]:
        first, second = sorted(result.faces, key=lambda tracked: tracked.track)
        assert first.face.box[0] - 3 * result.frame.number == pytest.approx(60, abs=25)
        assert second.face.box[0] + 2 * result.frame.number == pytest.approx(420, abs=25)
        assert sum(first.face.probabilities.values()) == pytest.approx(1, abs=1e-4)


STREAM = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_video import EMOTIONS, Stub, follow, open_footage, watch, write_table
peaks = []
def listen(result):
    if result.frame.number % 500 == 499:
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
with open_footage(sys.argv[2]) as footage, write_table(Path(sys.argv[3]), EMOTIONS) as table:
    watch(follow(footage, Stub()), footage.rate, None, listen, table)
print(peaks[0], peaks[-1], len(peaks))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no getrusage")
def test_memory_is_flat_over_thousands_of_frames(tmp_path: Path) -> None:
    path = write_video(tmp_path / "long.webm", frames=3000, size=(64, 48))
    arguments = [sys.executable, "-c", STREAM, Path(__file__).parent, path, tmp_path / "t.csv"]
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, last, count = map(int, done.stdout.split())
    unit = 1 if sys.platform == "darwin" else 1024
    assert count == 6
    assert (last - first) * unit < 8 * 2**20  # 2,500 frames of 64 x 48 would take 23 MB


PLAYER = """<body><script>
const video = document.createElement("video");
const size = () => video.videoWidth + "x" + video.videoHeight;
const tell = what => fetch(`/told?${what},${size()},${video.currentTime}`);
video.muted = true;
video.onended = () => tell("ended");
video.onerror = () => tell("error");
video.src = location.search.slice(1);
document.body.append(video);
video.play().catch(() => tell("refused"));
</script></body>"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Plays a video of `tmp_path` in a headless Chromium; returns what its player says in the end."""
    program = shutil.which("chromium") or shutil.which("google-chrome") or ""
    if not program:
        pytest.skip("no Chromium here")
    (tmp_path / "player.html").write_text(PLAYER)
    told, said = threading.Event(), list[str]()

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/told?"):
                said.append(self.path.partition("?")[2])
                told.set()
            super().do_GET()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def play(name: str) -> str:
        told.clear()
        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--autoplay-policy=no-user-gesture-required")
        address = f"http://127.0.0.1:{server.server_port}/player.html?{name}"
        folder = f"--user-data-dir={tmp_path / 'profile'}"
        running = subprocess.Popen(
            [program, *flags, folder, "--remote-debugging-port=0", address],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert told.wait(120), "the player said nothing"
        finally:
            running.terminate()
            running.wait()
        return said[-1]

    yield play
    server.shutdown()


@pytest.mark.long
@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_browser_plays_annotated_videos(suffix: str, tmp_path: Path, browser: Callable[[str], str]) -> None:
    write_video(tmp_path / f"v{suffix}", frames=40, size=(320, 240))
    what, size, time = browser(f"v{suffix}").split(",")
    assert (what, size) == ("ended", "320x240") and float(time) == pytest.approx(40 / RATE, abs=0.1)

"""Videos and cameras as a stream of frames, one in memory at a time. OpenCV decodes; nothing else imports it."""

from __future__ import annotations

import os
import re
import time as clock
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np

from mien.errors import DataError, UsageError
from mien.predict.sources import CAMERA, local_path, refusal, shown

if TYPE_CHECKING:
    from numpy.typing import NDArray

_USUAL_RATE = 30.0  # frames a second, where a header reports none or nonsense
_MOST_RATE = 240.0
_LONGEST_GAP = 60.0  # seconds between two frames; what claims to be more is a damaged time
_STREAMS = ("rtsp://", "rtsps://", "http://", "https://")  # what may be named as a camera
_OPEN_TIMEOUT = 10_000  # milliseconds
_HEAD = 4 << 20  # bytes at either end of a file in which its tracks are described
_LAST_CAMERA = 99  # OpenCV takes larger numbers for other things
_WHOLE = 0.9  # of the frames, or the time, that the header promises
_FFMPEG_LEVEL = "OPENCV_FFMPEG_LOGLEVEL"


@dataclass(frozen=True)
class Frame:
    """A frame: RGB uint8 [H, W, 3], its number from 0, and its time in seconds from the start."""

    image: NDArray[np.uint8]
    number: int
    time: float


class Capture(Protocol):
    """What is used of OpenCV's `VideoCapture`."""

    def read(self) -> tuple[bool, Any]:
        """Whether there is a frame, and the frame in BGR."""
        ...

    def get(self, propId: int) -> float:
        """One of OpenCV's properties, CAP_PROP_..."""
        ...

    def release(self) -> None:
        """Close it."""
        ...


class Footage:
    """The frames of a video or a camera, each decoded when it is asked for.

    rate: frames a second; total: their number as the header reports it, or None.
    """

    def __init__(self, capture: Capture, source: str) -> None:
        self.source, self._capture = source, capture
        self.live = source.startswith(CAMERA)
        rate, total = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.rate = rate if isfinite(rate) and 1 <= rate <= _MOST_RATE else _USUAL_RATE
        self.total = int(total) if isfinite(total) and 1 <= total < 2**40 and not self.live else None

    def __iter__(self) -> Iterator[Frame]:
        """All frames; raises DataError where there are none, or clearly fewer than the header promises."""
        time, stamp, number = 0.0, 0.0, 0
        for number in count():
            good, image = self._capture.read()
            if not good:
                break
            last, stamp = stamp, self._stamp()
            if number:
                time += stamp - last if 0 < stamp - last <= _LONGEST_GAP else 1 / self.rate
            yield Frame(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), number, time)
        self._check_end(number, time)

    def close(self) -> None:
        """Let go of the file or camera."""
        self._capture.release()

    def _stamp(self) -> float:
        """The time of the frame just read, in seconds, as the file or the clock on the wall reports it."""
        return clock.monotonic() if self.live else self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def _check_end(self, frames: int, time: float) -> None:
        if self.live:
            raise DataError(f"{self.source}: the camera gives no more pictures; see whether it is still plugged in")
        if not frames:
            raise DataError(
                f"{self.source}: not a single frame can be decoded (damaged, or no video); convert it first"
            )
        if self.total and frames < _WHOLE * self.total and time < _WHOLE * self.total / self.rate:
            raise DataError(
                f"{self.source}: ends after {frames:,} of {self.total:,} frames (cut short or damaged); "
                "what came before is kept"
            )


@contextmanager
def open_footage(source: str) -> Iterator[Footage]:
    """The frames of a video file, or of a camera: its number (`camera:0`), or its stream (`camera:rtsp://...`).

    Rotated as the file's metadata says; sound is ignored.

    Raises UsageError if there is no such file or camera, DataError if it cannot be read.
    """
    footage = Footage(_open_camera(source) if source.startswith(CAMERA) else _open_file(source), shown(source))
    try:
        yield footage
    finally:
        footage.close()


def _open_camera(source: str) -> cv2.VideoCapture:
    number = source.removeprefix(CAMERA)
    if number.lower().startswith(_STREAMS):
        with quiet():
            timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, _OPEN_TIMEOUT, cv2.CAP_PROP_READ_TIMEOUT_MSEC, _OPEN_TIMEOUT]
            capture = cv2.VideoCapture(number, cv2.CAP_FFMPEG, timeouts)
        if not capture.isOpened():
            raise UsageError(f"{shown(source)}: no stream can be read there; see whether its address opens in a player")
        return capture
    if not number.isdecimal() or int(number) > _LAST_CAMERA:
        raise UsageError(
            f"{shown(source)}: a camera has a number, the first is camera:0, or the address of a stream (camera:rtsp://...)"
        )
    with quiet():
        capture = cv2.VideoCapture(int(number))
    if not capture.isOpened():
        raise UsageError(f"{source}: no such camera, or another program has it; plug it in, or try another number")
    return capture


def _open_file(source: str) -> cv2.VideoCapture:
    path = Path(local_path(source))
    if not path.is_file():
        raise UsageError(refusal(source) or f"{source}: no such file")
    with quiet():  # an absolute path is never taken for an address
        capture = cv2.VideoCapture(str(path.resolve()), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        why = "it holds sound alone" if _is_sound(path) else "damaged, cut short, or of an unknown format"
        raise DataError(f"{source}: not a readable video ({why})")
    capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
    return capture


def _is_sound(path: Path) -> bool:
    """Whether a file of the MP4 family describes a track of sound and none of pictures."""
    with path.open("rb") as file:
        ends = file.read(_HEAD)
        file.seek(max(len(ends), path.stat().st_size - _HEAD))
        ends += file.read()
    kinds = [ends[at + 12 : at + 16] for at in (found.start() for found in re.finditer(b"hdlr", ends))]
    return b"soun" in kinds and b"vide" not in kinds


@contextmanager
def quiet() -> Iterator[None]:
    """OpenCV and FFmpeg do not write to stderr: what they mean is said in our own errors.

    FFmpeg's level is read from the environment, once, when OpenCV first opens a video.
    """
    level = cv2.utils.logging.setLogLevel(0)
    unset = _FFMPEG_LEVEL not in os.environ
    os.environ.setdefault(_FFMPEG_LEVEL, "-8")
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)
        if unset:
            os.environ.pop(_FFMPEG_LEVEL, None)

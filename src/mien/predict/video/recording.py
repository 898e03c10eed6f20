"""Videos written with the predictions drawn in.

OpenCV's builds carry no H.264 encoder, whose free ones are GPL; they do carry libvpx, and VP8 in .webm and VP9 in .mp4
play in every browser.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from mien import atomic
from mien.errors import UsageError
from mien.predict.sources import CAMERA, shown

COPY = "-annotated"  # added to the name of what an annotated copy in a folder is made of
_CODECS = {".webm": "VP80", ".mp4": "vp09"}


def recording_name(source: str) -> str:
    """What the annotated video of `source` is called in a folder."""
    return f"{Path(shown(source)).stem.replace(':', '-')}{COPY}.webm"


def recording_path(target: Path, source: str) -> Path:
    """Where the annotated video of `source` goes: `target`, or, if that has no suffix, a .webm in the folder `target`.

    Raises UsageError if no video can be written under this name, or if it is the source's own.
    """
    path = target if target.suffix else target / recording_name(source)
    if path.suffix.lower() not in _CODECS:
        raise UsageError(f"{path}: annotated videos are written as {' or '.join(_CODECS)}; name it so")
    if not source.startswith(CAMERA) and path.resolve() == Path(source).resolve():
        raise UsageError(f"{path}: is the video itself; give its annotated copy another name")
    return path


class Recording:
    """A video being written: pictures of one size at a steady rate, whatever the times of those it is given."""

    def __init__(self, path: Path, rate: float, size: tuple[int, int]) -> None:
        import cv2

        from mien.predict.video.footage import quiet

        self._rate, self._size, self._written = rate, size, 0
        self._last = np.zeros((size[1], size[0], 3), np.uint8)
        codec = cv2.VideoWriter.fourcc(*_CODECS[path.suffix.lower()])
        with quiet(), _silent_stderr():
            self._writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, rate, size)
        if not self._writer.isOpened():
            raise UsageError(f"{path}: this OpenCV writes no {path.suffix}; pip install opencv-python-headless")

    def add(self, picture: Image.Image, time: float) -> None:
        """Show `picture` from `time`, in seconds, on; of pictures closer than the rate only the first is kept."""
        gap = round(time * self._rate) - self._written
        if gap < 0:
            return
        pixels = np.asarray(picture if picture.size == self._size else picture.resize(self._size))
        image = np.ascontiguousarray(pixels[:, :, ::-1])  # OpenCV's order of colours
        for _ in range(gap):
            self._writer.write(self._last)
        self._writer.write(image)
        self._last, self._written = image, self._written + gap + 1

    def close(self) -> None:
        """Finish the file."""
        self._writer.release()


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Nothing reaches stderr: OpenCV always writes there, past every level, that a .webm file has no tag for VP8."""
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


@contextmanager
def record(path: Path, rate: float, size: tuple[int, int]) -> Iterator[Recording]:
    """A recording that takes `path`'s place when it is finished; see `recording_path` for names."""
    with atomic.replacing(path) as temporary:
        recording = Recording(temporary, rate, (size[0] // 2 * 2, size[1] // 2 * 2))  # colour is stored at half size
        try:
            yield recording
        finally:
            recording.close()

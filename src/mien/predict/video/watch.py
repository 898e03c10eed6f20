"""A video or camera watched to its end: each frame shown, written down and drawn as it comes, all files whole after."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from mien.errors import DataError, UsageError
from mien.predict.video.follow import FrameResult, draw
from mien.predict.video.recording import record, recording_path
from mien.predict.video.timeline import Timeline, write_rows
from mien.predict.video.window import Window

Listener = Callable[[FrameResult], None]
Stop = (
    KeyboardInterrupt | DataError | BrokenPipeError
)  # Ctrl-C; a damaged file, a pulled camera; nobody reads our output


@dataclass(frozen=True)
class VideoOutputs:
    """The files to make of a video; None for those not wanted."""

    csv: Path | None = None
    annotated: Path | None = None
    chart: Path | None = None


def check_table(path: Path) -> None:
    """Raise UsageError unless a table may be called `path`: under another suffix may lie what somebody needs."""
    if path.suffix.lower() != ".csv":
        raise UsageError(f"{path}: tables are written as .csv; name it so")


def wanted_of(source: str, csv: Path | None, annotate: Path | None, picture: Path | None) -> VideoOutputs:
    """The files to make of `source`; raises UsageError, before any work, for names under which none can be written."""
    if picture and picture.suffix.lower() != ".png":
        raise UsageError(f"{picture}: the picture over time is written as .png; name it so")
    if csv:
        check_table(csv)
    return VideoOutputs(csv, annotate and recording_path(annotate, source), picture)


@dataclass(frozen=True)
class Outcome:
    """What was seen, and what ended it early; None at the proper end."""

    timeline: Timeline
    stopped: Stop | None


def watch(
    frames: Iterator[FrameResult],
    rate: float,
    wanted: VideoOutputs,
    classes: Sequence[str],
    listener: Listener,
    window: Window | None = None,
) -> Outcome:
    """Take frames until they end, the window is closed, or Ctrl-C; then finish the files.

    rate: of the annotated video, frames a second. classes: those of the model, for the table's head. listener: told of
    every frame. Raises the DataError of a video without any frame, and then has replaced no file.
    """
    first = next(frames)
    timeline = Timeline()
    with ExitStack() as outputs:
        listeners = [listener, *_listeners(first, rate, wanted, classes, window, timeline, outputs)]
        stopped = _take(chain([first], frames), listeners, window)
    return Outcome(timeline, stopped)


def _listeners(
    first: FrameResult,
    rate: float,
    wanted: VideoOutputs,
    classes: Sequence[str],
    window: Window | None,
    timeline: Timeline,
    outputs: ExitStack,
) -> Iterator[Listener]:
    """What is to be done with each frame; `outputs` finishes it."""
    yield _fresh(timeline.add)
    if wanted.csv:
        yield _fresh(outputs.enter_context(write_rows(wanted.csv, classes)).add)
    if wanted.annotated:
        recording = outputs.enter_context(record(wanted.annotated, rate, draw(first).size))
        yield lambda watched: recording.add(draw(watched), watched.frame.time)
    if window:
        outputs.callback(window.close)
        yield lambda watched: window.show(draw(watched))


def _fresh(listener: Listener) -> Listener:
    """Only told of frames that were looked at."""

    def told(watched: FrameResult) -> None:
        if watched.fresh:
            listener(watched)

    return told


def _take(frames: Iterator[FrameResult], listeners: list[Listener], window: Window | None) -> Stop | None:
    """Tell the listeners of frame after frame; returns what ended that early."""
    try:
        for watched in frames:
            for listener in listeners:
                listener(watched)
            if window and not window.open:
                break
    except (KeyboardInterrupt, DataError, BrokenPipeError) as reason:
        return reason
    return None

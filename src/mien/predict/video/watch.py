"""A video or camera watched to its end: each frame shown, written down and drawn as it comes, all files whole after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from mien.errors import DataError, UsageError
from mien.predict.video.follow import FrameResult, draw
from mien.predict.video.recording import record, recording_path
from mien.predict.video.timeline import Timeline

if TYPE_CHECKING:
    from mien.predict.table import Table
    from mien.predict.video.window import Window

# Ctrl-C; a damaged file or an unplugged camera; nobody reads our output
Stop = KeyboardInterrupt | DataError | BrokenPipeError


@dataclass(frozen=True)
class VideoOutputs:
    """The files to make of a video; None for those not wanted."""

    annotated: Path | None = None
    chart: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What the faces showed, and what ended the video early; None at the proper end."""

    timeline: Timeline
    stopped: Stop | None


def video_outputs(source: str, annotate: Path | None, chart: Path | None) -> VideoOutputs:
    """The files to make of `source`; raises UsageError, before any work, for names under which none can be written."""
    if chart and chart.suffix.lower() != ".png":
        raise UsageError(f"{chart}: the chart over time is written as .png; name it so")
    return VideoOutputs(annotate and recording_path(annotate, source), chart)


def watch(
    frames: Iterator[FrameResult],
    rate: float,
    annotated: Path | None,
    listener: Callable[[FrameResult], None],
    table: Table | None = None,
    window: Window | None = None,
) -> Outcome:
    """Take frames until they end, the window is closed, or Ctrl-C; then finish the files.

    rate: of the annotated video, frames a second. listener: called with every frame. Raises the DataError of a video
    without any frame, and then has replaced no file.
    """
    first = next(frames)
    timeline, stopped = Timeline(), None
    with ExitStack() as files:
        recording = files.enter_context(record(annotated, rate, draw(first).size)) if annotated else None
        if window:
            files.callback(window.close)
        try:
            for result in chain([first], frames):
                listener(result)
                if result.fresh:
                    timeline.add(result)
                    if table:
                        table.add(
                            result.prediction, f"{result.frame.time:.3f}", [tracked.track for tracked in result.faces]
                        )
                if recording or window:
                    picture = draw(result)
                    if recording:
                        recording.add(picture, result.frame.time)
                    if window:
                        window.show(picture)
                        if not window.open:
                            break
        except (KeyboardInterrupt, DataError, BrokenPipeError) as reason:
            stopped = reason
    return Outcome(timeline, stopped)

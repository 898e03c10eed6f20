"""The command that predicts on photos, videos and cameras."""

from __future__ import annotations

from contextlib import nullcontext
from json import dumps
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from mien import atomic
from mien.cli.console import frame_listener, print_lines, progress, progress_bar, raise_failures, say
from mien.cli.options import BASE, Json, ModelOptions, OptionalPath, Prior, Switch, Words, option, several
from mien.errors import DataError, MienError, UsageError
from mien.extras import require

if TYPE_CHECKING:
    from mien.predict.predictor import Predictor
    from mien.predict.table import Table
    from mien.predict.video.follow import FramePredictorProtocol
    from mien.predict.video.watch import VideoOutputs


def predict(
    paths: tyro.conf.Positional[Annotated[Words, several("PATH")]],
    model: ModelOptions = BASE,
    crop: Literal["detect", "none"] = "detect",
    prior: Prior = "natural",
    min_confidence: float = 0.0,
    min_face: int = 96,
    upright: Switch = False,
    annotate: Annotated[OptionalPath, option("PATH", "none")] = None,
    csv: Annotated[OptionalPath, option("FILE", "none")] = None,
    chart: Annotated[OptionalPath, option("FILE", "none")] = None,
    every: int = 1,
    smooth: float = 0.5,
    json: Json = False,
) -> None:
    """Name the expressions on the faces in photos, videos and camera pictures.

    Args:
        paths: photos, videos, folders of these (with all folders within), or a camera (camera:0, camera:rtsp://...).
        crop: "detect" finds the faces; "none" takes each picture as one ready-made crop.
        prior: "natural" expects expressions as often as training showed them, "uniform" each as often as any other.
        min_confidence: mark faces whose confidence or quality is below it as uncertain.
        min_face: look for faces from so many pixels on; most of half that size are found too. At 24, for crowds, a
            12-megapixel photo takes some nine times as long as at 96, one of a megapixel some three times.
        upright: take every picture to be upright; otherwise those that lie on their side or stand on their head are
            recognised by their faces.
        annotate: draw the answers into this file, or into copies in this folder (x-annotated.jpg of x.jpg).
        csv: write a row for each face, and for each photo or frame without one, to this .csv file.
        chart: draw what the faces of a video showed over its time into this .png; needs the extra `report`.
        every: in a video, look at every n-th frame only.
        smooth: in a video, time constant of the smoothing of answers, in seconds; 0 for none.
    """
    from mien.predict.photos import divide
    from mien.predict.prediction import Prediction
    from mien.predict.predictor import Predictor
    from mien.predict.sources import shown
    from mien.predict.table import write_table

    if every < 1:
        raise UsageError(f"--every {every}: give 1 for each frame, or more")
    if not 0 <= smooth < inf:
        raise UsageError(f"--smooth {smooth:g}: give a number of seconds, 0 for none")
    photos, videos = divide(paths, annotate)
    copies, outputs = _predict_into(photos, videos, csv, annotate, chart)
    predictor = Predictor(model.read(), prior, crop, min_confidence, min_face, upright)
    with write_table(csv, predictor.classes) if csv else nullcontext() as table:
        failed = _predict_photos(photos, predictor, copies, table, json=json) if photos else []
        for video, files in zip(videos, outputs, strict=True):
            if len(photos) + len(videos) > 1 and not json:
                print(f"{shown(video)}:")
            try:
                _predict_video(video, predictor, files, table, every=every, smooth=smooth, json=json)
            except MienError as error:
                failed.append(str(error))
                answer = Prediction(shown(video), None, (), str(error))
                if table:
                    table.add(answer)
                if json:
                    print(dumps(answer.to_dict()))
    raise_failures(failed, len(photos) + len(videos))


def _predict_into(
    photos: list[str], videos: list[str], csv: Path | None, annotate: Path | None, chart: Path | None
) -> tuple[dict[str, Path], list[VideoOutputs]]:
    """Where the annotated copies of the photos go, and the files to make of each video, all seen to be possible."""
    from mien.predict.photos import annotated_paths, copy_folders
    from mien.predict.table import check_table
    from mien.predict.video.recording import recording_name
    from mien.predict.video.watch import video_outputs

    sources = [*photos, *videos]
    if not sources:
        raise UsageError("nothing to predict on; give photos, videos or folders")
    if chart and not videos:
        raise UsageError(f"{chart}: --chart shows what changes over the time of a video; leave it out for photos")
    if chart and len(videos) > 1:
        raise UsageError(f"{chart}: --chart draws one video; give one at a time")
    if chart:
        require("mien predict --chart", "matplotlib")
    if csv:
        check_table(csv)
    targets: dict[str, Path] = {}
    if annotate and not annotate.suffix:
        folders = copy_folders(sources, annotate)
        targets = {video: folders[video] / recording_name(video) for video in videos}
    elif annotate and len(sources) > 1:
        raise UsageError(f"{annotate}: one file for {len(sources):,} photos and videos; give --annotate a folder")
    outputs = [video_outputs(video, targets.get(video, annotate), chart) for video in videos]
    copies = annotated_paths(photos, annotate, videos) if annotate and photos else {}
    files = [file for each in outputs for file in (each.annotated, each.chart) if file]
    if twice := {file for file in files if files.count(file) > 1}:
        raise UsageError(f"{twice.pop()}: the copies of two videos would have this name; give one at a time")
    for file in [*files, *copies.values(), *([csv] if csv else [])]:
        atomic.check(file)
    return copies, outputs


def _predict_photos(
    photos: list[str], predictor: Predictor, copies: dict[str, Path], table: Table | None, *, json: bool
) -> list[str]:
    """Print and write the answers for photos; returns what went wrong, a line a photo."""
    from mien.predict.photos import face_lines, name_width, write_annotated

    failed: list[str] = []
    width = name_width(photos)
    for prediction in progress_bar("predicting", len(photos))(predictor.stream(photos)):
        print_lines([dumps(prediction.to_dict())] if json else face_lines(prediction, width))
        if table:
            table.add(prediction)
        if prediction.error:
            failed.append(prediction.error)
            continue
        if prediction.animated:
            say(f"{prediction.source}: animated; only its first frame is looked at (save it as a video for all)")
        if not prediction.faces:
            say(f"{prediction.source}: no face found")
        if copies:
            try:
                write_annotated(prediction, copies[prediction.source])
            except DataError as error:
                failed.append(str(error))
    return failed


def _predict_video(
    source: str,
    predictor: FramePredictorProtocol,
    outputs: VideoOutputs,
    table: Table | None,
    *,
    every: int,
    smooth: float,
    json: bool,
) -> None:
    """Follow the faces of a video or camera; Ctrl-C ends it, and is the way to end a camera."""
    from mien.predict.video.follow import follow
    from mien.predict.video.footage import open_footage
    from mien.predict.video.timeline import timeline_text
    from mien.predict.video.watch import watch
    from mien.predict.video.window import open_window

    with open_footage(source) as footage:
        window = open_window(f"{footage.source} - Mien") if footage.live and not json else None
        lines = json or (footage.live and not window)
        if lines and not json:
            say("no display, or no Tk, for a live window; a line of JSON for each frame instead")
        frames = follow(footage, predictor, every, smooth)
        with progress(footage.source, footage.total, " frames") as bar:
            outcome = watch(frames, footage.rate, outputs.annotated, frame_listener(bar, lines), table, window)
    if outputs.chart:
        from mien.report.figures.style import save
        from mien.report.figures.timeline import chart

        save(chart(outcome.timeline), outputs.chart)
    text = timeline_text(outcome.timeline)
    if not text:
        say(f"{footage.source}: no face found")
    elif not lines:
        print(text)
    if outcome.stopped and not (footage.live and isinstance(outcome.stopped, KeyboardInterrupt)):
        raise outcome.stopped

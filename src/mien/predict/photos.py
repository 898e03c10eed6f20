"""What the command line does with photos: which are meant, and the files and lines made of their predictions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from mien import atomic
from mien.errors import DataError, UsageError
from mien.percent import percent
from mien.pictures import is_picture
from mien.predict.face import Face
from mien.predict.prediction import Prediction
from mien.predict.sources import CAMERA, files_of, is_data_uri, is_video, local_path, read_file, refusal
from mien.predict.video.recording import COPY

_WRITTEN = (".jpg", ".jpeg", ".png", ".webp")  # kept; annotated pictures of other kinds become .png
_WIDEST = 60  # letters of a name
_BAR = 20  # letters
_OTHERS = 2  # expressions named beside the likeliest


def divide(paths: Iterable[str], copies: Path | None = None) -> tuple[list[str], list[str]]:
    """The photos and the videos (or cameras) that `paths` mean, those in folders sorted.

    A folder without either stands for itself, so that its error is told in its turn. Copies in `copies`, the folder of
    annotated copies, were made of others and are left out.
    """
    photos: list[str] = []
    videos: list[str] = []
    for path in paths:
        path = local_path(path)
        if copies and is_data_uri(path):
            raise UsageError("a data URI has no name for its annotated copy; save the picture, and give its path")
        for file in [path] if is_video(path) or is_data_uri(path) or refusal(path) else _inside(path):
            if copies and file != path and _is_copy(Path(file), copies):
                continue
            (videos if is_video(file) else photos).append(file)
    return photos, videos


def _is_copy(file: Path, copies: Path) -> bool:
    return file.stem.endswith(COPY) and copies.resolve() in file.resolve().parents


def _inside(path: str) -> list[str]:
    try:
        return [str(file) for file in files_of(path, lambda name: is_picture(name) or is_video(name))]
    except (DataError, OSError, ValueError):  # said in its turn
        return [path]


def copy_folders(sources: Sequence[str], target: Path) -> dict[str, Path]:
    """The folder of each source's annotated copy: `target`, and in it the folders that tell the sources apart."""
    parents = {source: Path(source).absolute().parent for source in sources if not source.startswith(CAMERA)}
    shared = os.path.commonpath(parents.values()) if parents else ""
    return {source: target / parents[source].relative_to(shared) if source in parents else target for source in sources}


def annotated_paths(photos: Sequence[str], target: Path, videos: Sequence[str] = ()) -> dict[str, Path]:
    """Where each photo's annotated copy goes: `target`, or, if that has no suffix, a file below the folder `target`.

    videos: those whose copies go into the same folder. Raises UsageError where no picture can be written so, or one
    would take the place of a photo or of another copy.
    """
    if target.suffix:
        if target.suffix.lower() not in _WRITTEN:
            raise UsageError(f"{target}: annotated pictures are written as {', '.join(_WRITTEN)}; name it so")
        targets = dict.fromkeys(photos, target)
    else:
        folders = copy_folders([*photos, *videos], target)
        targets = {photo: folders[photo] / _copy_name(Path(photo)) for photo in photos}
    owners = {Path(photo).resolve(): photo for photo in photos}
    for photo, path in targets.items():
        if path.resolve() in owners:
            raise UsageError(
                f"{path}: the annotated copy of {photo} would take the place of a photo or of another copy; give "
                "another folder or name"
            )
        owners[path.resolve()] = photo
    return targets


def _copy_name(photo: Path) -> str:
    return f"{photo.stem}{COPY}{photo.suffix}" if photo.suffix.lower() in _WRITTEN else f"{photo.name}{COPY}.png"


def write_annotated(prediction: Prediction, target: Path) -> None:
    """Draw a photo's answers into a copy of it; of a photo too large to work with, into one of half its size.

    Raises DataError where a file of the target's kind cannot hold the picture.
    """
    from mien.predict.annotate import annotate_photo

    picture = read_file(Path(prediction.source))
    drawn = annotate_photo(picture, prediction.faces)
    profile = picture.image.info.get("icc_profile") or b""  # None where it is damaged
    colours = profile if profile[16:20] == b"RGB " else None  # copies are RGB: another space's profile would be false
    try:
        atomic.write_with(target, lambda path: drawn.save(path, quality=92, icc_profile=colours))
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's, not the encoder's
            raise
        size = f"{drawn.width:,} x {drawn.height:,} pixels"
        raise DataError(f"{target}: cannot hold {size} ({error}); make the photo smaller, or name a .png") from None


def name_width(photos: Sequence[str]) -> int:
    """Letters of the longest name, or what a line has room for."""
    return min(_WIDEST, max((len(photo) for photo in photos), default=0))


def face_lines(prediction: Prediction, width: int) -> list[str]:
    """A line a face: the photo's name, set in `width` letters, the face's box, and what it shows."""
    name = prediction.source
    if len(name) > width:
        name = f"...{name[3 - width :]}"
    return [f"{name:<{width}}  {_face_text(face)}" for face in prediction.faces]


def _face_text(face: Face) -> str:
    x, y, width, height = face.box
    bar = "#" * round(face.confidence * _BAR)
    others = sorted(face.probabilities.items(), key=lambda item: -item[1])[1 : 1 + _OTHERS]
    beside = ", ".join(f"{name} {percent(share)}" for name, share in others)
    doubt = "  (uncertain)" if face.uncertain else ""
    box = f"{width}x{height} at {x},{y}"
    return f"{box:>22}  {face.emotion:<9} {percent(face.confidence):>5} {bar:<{_BAR}}  {beside}{doubt}"

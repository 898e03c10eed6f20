"""Commands that measure a model: evaluate, compare, explain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from mien.cli.console import as_json, command_line, list_paths, progress_bar, say
from mien.cli.options import (
    MOST_FACES,
    RUNS,
    Data,
    Flag,
    Labels,
    ModelPath,
    Part,
    Prior,
    open_faces,
    part_to_score,
    read_with_remark,
)
from mien.errors import UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset
    from mien.evaluate.comparison import Answers
    from mien.models.model import Model


def evaluate(
    model: ModelPath,
    data: Data,
    split: Part = "test",
    labels: Labels = "given",
    votes: Path | None = None,
    prior: Prior = "natural",
    out: Path | None = None,
    tta: Literal["none", "flip"] = "none",
    corruptions: Flag[bool] = False,
    device: str = "auto",
    json: Flag[bool] = False,
) -> None:
    """Score a model on one part of the data, with intervals, tables and pictures.

    Args:
        model: model file (.safetensors, .onnx, .keras, .h5) or run folder.
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>.
        split: the part to score; "val" where there is no test part.
        labels: "given" by the data, or the "votes" of several people.
        votes: file of the votes: fer2013new.csv, ferplus.csv, or a CSV of file and one column a class; may be left out
            where the data were prepared with votes.
        prior: "natural" for expressions as frequent as in training, "uniform" where each is as likely as any other.
        out: folder for the results; runs/<model>-<split> if not given.
        tta: "flip" also scores the mean answer over each face and its mirror image, apart from the plain scores.
        corruptions: also score the same faces damaged in 15 ways, 5 strengths each; takes 75 times as long.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
        json: print metrics.json.
    """
    from mien.evaluate.evaluation import evaluate as score
    from mien.evaluate.evaluation import with_corruptions, with_flip, write_evaluation
    from mien.models.files import model_digest
    from mien.records.evaluation import METRICS, is_of
    from mien.report.draw import draw_evaluation, forget_heatmaps
    from mien.report.summaries import trained_elsewhere
    from mien.report.terminal import evaluation_text

    read = read_with_remark(model)
    parts = open_faces(data, labels, votes)
    faces, split = part_to_score(parts, split)
    origin = {"name": str(model), "data": str(data), "split": split}
    trained_on = None if split == "train" else parts.train
    evaluation = score(read, faces, **origin, device=device, prior=prior, trained_on=trained_on)
    if undecided := len(faces) - len(evaluation.faces):
        say(f"left out {undecided:,} {split} faces on which no answer got most votes")
    if warning := trained_elsewhere(read.notes, str(data)):
        say(warning)
    if tta == "flip":
        evaluation = with_flip(evaluation, read, device, prior)
    if corruptions:
        evaluation = with_corruptions(evaluation, read, device, prior, progress_bar("damaging", 75, " parts"))
    folder = out or _evaluation_folder(model, data, split, labels, prior)
    facts = {"model_sha256": model_digest(model), "prior": prior}
    if (folder / METRICS).exists() and not is_of(folder, **facts, **origin):
        forget_heatmaps(folder)
    fields = write_evaluation(evaluation, folder, **facts, notes=dict(read.notes), command=command_line())
    draw_evaluation(evaluation, folder)
    print(as_json(fields) if json else evaluation_text(evaluation, fields))
    say(f"tables and pictures are in {folder}")


def compare(
    models: tyro.conf.Positional[tuple[Path, ...]],
    data: Annotated[Path | None, tyro.conf.arg(aliases=["--data-dir"])] = None,
    split: Part = "test",
    labels: Labels = "given",
    votes: Path | None = None,
    out: Path | None = None,
    device: str = "auto",
    json: Flag[bool] = False,
) -> None:
    """Compare models on the same faces: differences with intervals, McNemar's test, faces they disagree on.

    Args:
        models: two or more of: model file, run folder, name of a shipped model, predictions.csv of any origin.
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>; not needed
            for predictions.csv alone, but then no face is drawn.
        split: the part to compare on; "val" where there is no test part.
        labels: "given" by the data, or the "votes" of several people.
        votes: file of the votes, as for evaluate.
        out: folder for models.csv, pairs.csv and the picture, which `mien report --compare` takes; runs/compare if
            not given.
        device: "auto" (a GPU where there is one), "cpu" or "cuda".
        json: print the results as JSON.
    """
    from mien.data.votes import with_majority
    from mien.evaluate.comparison import check_same_faces, comparison_facts, labels_of, read_answers, write_comparison
    from mien.evaluate.comparison import compare as compared
    from mien.folders import free_folder
    from mien.report.draw import draw_comparison
    from mien.report.terminal import comparison_text

    if len(models) < 2:
        raise UsageError("nothing to compare; give two or more models or predictions.csv files")
    tables = {path: read_answers(path) for path in models if path.suffix.lower() == ".csv"}
    networks = {path: read_with_remark(path) for path in models if path not in tables}
    if networks and not data:
        raise UsageError(f"{next(iter(networks))}: a model needs faces to answer for; add --data DATA")
    if not data and (labels == "votes" or votes):
        raise UsageError("--labels and --votes are about --data; leave them out for predictions.csv alone")
    faces, told = None, "faces"
    if data:
        faces, split = part_to_score(open_faces(data, labels, votes), split)
        faces = with_majority(faces)
        told = f"{split} faces of {data}{', judged by the majority of votes' if labels == 'votes' else ''}"
        for table in tables.values():
            check_same_faces(labels_of(faces, f"{data} ({split})"), table)
        tables |= _ask(networks, faces, str(data), split, device)
    comparison = compared([tables[path] for path in models])
    folder = out or free_folder(RUNS / "compare")
    write_comparison(comparison, folder, faces=told, command=command_line())
    draw_comparison(comparison, faces, folder)
    print(as_json(comparison_facts(comparison)) if json else comparison_text(comparison))
    say(f"tables{' and picture' if faces else ''} are in {folder}")


def explain(
    photo: tyro.conf.Positional[Path | None] = None,
    model: ModelPath = Path("base"),
    data: Annotated[Path | None, tyro.conf.arg(aliases=["--data-dir"])] = None,
    split: Part = "test",
    labels: Labels = "given",
    votes: Path | None = None,
    method: Literal["auto", "gradcam", "occlusion"] = "auto",
    out: Path | None = None,
) -> None:
    """Draw where the model looks: on a photo, or on a part of the data, with a check that the maps can be trusted.

    Args:
        photo: picture to explain, each face in it; or give --data.
        model: model file (.safetensors, .onnx, .keras, .h5), run folder, or the name of a model that comes with Mien.
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>.
        split: the part whose faces are explained; "val" where there is no test part.
        labels: "given" by the data, or the "votes" of several people.
        votes: file of the votes: fer2013new.csv, ferplus.csv, or a CSV of file and one column a class; may be left out
            where the data were prepared with votes.
        method: Grad-CAM asks what is inside the network, occlusion only for answers; "auto" takes Grad-CAM where it
            can, which is not with .onnx.
        out: folder whose figures/ receives the pictures; runs/<model>-<split>, for a photo runs/explain, if not given.
    """
    from mien.evaluate.evaluation import evaluate as score
    from mien.report.draw import draw_heatmaps, draw_photo, draw_sanity

    if photo and data:
        raise UsageError("a photo and --data are two things to explain; give one of them")
    if photo and (labels == "votes" or votes):
        raise UsageError("--labels and --votes are about --data; leave them out for a photo")
    read = read_with_remark(model)
    if photo:
        list_paths(draw_photo(read, _faces_of(photo, read), out or RUNS / "explain", photo.stem, method))
    elif data:
        faces, split = part_to_score(open_faces(data, labels, votes), split)
        evaluation = score(read, faces, name=str(model), data=str(data), split=split)
        folder = out or _evaluation_folder(model, data, split, labels)
        list_paths(draw_heatmaps(read, evaluation, folder, method))
        checks = draw_sanity(read, evaluation, folder, method)
        list_paths(checks)
        if not checks:
            say("no check of the maps: it needs the weights of a run folder or .safetensors file")
    else:
        raise UsageError("nothing to explain; give a photo, or --data DATA")


def _ask(networks: Mapping[Path, Model], faces: Dataset, data: str, split: Part, device: str) -> dict[Path, Answers]:
    """What each network says of the faces."""
    from mien.evaluate.comparison import answers_of
    from mien.evaluate.evaluation import evaluate as score

    said = {}
    for path, read in networks.items():
        said[path] = answers_of(score(read, faces, name=str(path), data=data, split=split, device=device))
    return said


def _evaluation_folder(model: Path, data: Path, split: str, labels: Labels, prior: Prior = "natural") -> Path:
    """Where what is found out about a model goes, unless the user says."""
    from mien.models.files import model_digest, model_name
    from mien.records.evaluation import evaluation_folder

    ruler = "-votes" if labels == "votes" else ""
    base = RUNS / f"{model_name(model)}-{split}{ruler}"
    return evaluation_folder(base, model_sha256=model_digest(model), data=str(data), prior=prior)


def _faces_of(photo: Path, model: Model) -> NDArray[np.uint8]:
    """The surest faces of a photo as the model gets them, uint8 [N, S, S]; its middle square where none is found."""
    import numpy as np

    from mien.pictures import read_picture
    from mien.predict.detector import find_faces
    from mien.predict.faces import cut_out

    try:
        with open(photo, "rb") as file:
            picture = read_picture(file, str(photo)).image
    except OSError as error:
        raise UsageError(f"{photo}: cannot be read ({error.strerror}); give a picture") from None
    preprocess = model.preprocess
    found = sorted(find_faces(picture).faces, key=lambda face: -face.score)
    if not found:
        say(f"{photo}: no face found; taking its middle square for one")
        return preprocess.square(picture)[None]
    if len(found) > MOST_FACES:
        say(f"{photo}: {len(found)} faces; explaining the {MOST_FACES} that are surest to be faces")
    cuts = [cut_out(picture, face.landmarks, preprocess.size) for face in found[:MOST_FACES]]
    return np.stack([preprocess.square(cut) for cut in cuts])

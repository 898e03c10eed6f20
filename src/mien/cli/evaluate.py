"""Commands that measure a model: evaluate, compare, explain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from mien import atomic
from mien.cli.console import as_json, command_line, list_paths, progress_bar, quoted, say
from mien.cli.options import (
    MODEL,
    NO_DATA,
    RUNS,
    Device,
    Json,
    Labels,
    PartOptions,
    Prior,
    Switch,
    option,
    read_with_remark,
    several,
)
from mien.errors import UsageError
from mien.extras import require

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mien.data.dataset import Dataset
    from mien.evaluate.evaluation import Evaluation
    from mien.models.model import Model

MethodChoice = Literal["auto", "gradcam", "occlusion"]
_MOST_FACES = 12  # of one photo that are explained


def evaluate(
    model: Annotated[Path, MODEL],
    data: PartOptions,
    prior: Prior = "natural",
    out: Annotated[Path | None, option("FOLDER", "runs/<model>-<split>")] = None,
    tta: Literal["none", "flip"] = "none",
    corruptions: Switch = False,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Score a model on one part of the data, with intervals, tables and pictures.

    Args:
        prior: "natural" for expressions as frequent as in training, "uniform" where each is as likely as any other.
        out: folder for the results.
        tta: "flip" also scores flip test-time augmentation: the mean answer over each face and its mirror image.
        corruptions: also score the same faces damaged in 15 ways, 5 strengths each; takes 75 times as long.
    """
    command = command_line(evaluate, locals())
    require("mien evaluate", "torch", "scikit-learn", "scipy", "matplotlib")
    from mien.evaluate.curves import coverage_curve
    from mien.evaluate.evaluation import evaluation_record, with_corruptions, with_flip, write_evaluation
    from mien.evaluate.reliability import reliability_bins
    from mien.models.files import model_digest
    from mien.records.evaluation import EvaluationRecord, Provenance, is_of
    from mien.report.draw import draw_evaluation, forget_heatmaps
    from mien.report.summaries import trained_elsewhere
    from mien.report.terminal import evaluation_text

    read = read_with_remark(model, data.order)
    parts = data.read()
    faces, split = data.choose(parts)
    read = data.fitting(read, faces)
    folder = out or _evaluation_folder(model, data.path, split, data.labels, prior)
    atomic.check(folder / EvaluationRecord.FILE)
    trained_on = None if split in ("train", "all") else parts.train
    evaluation = _score(model, read, data.path, faces, device=device, prior=prior, trained_on=trained_on)
    if undecided := len(faces) - len(evaluation.faces):
        say(f"left out {undecided:,} {split} faces without a majority of votes")
    if warning := trained_elsewhere(read.notes, str(data.path)):
        say(warning)
    if tta == "flip":
        evaluation = with_flip(evaluation, read, device, prior)
    if corruptions:
        evaluation = with_corruptions(evaluation, read, device, prior, progress_bar("corrupting", 75, " parts"))
    facts = {
        "model": str(model),
        "data": str(data.path),
        "split": split,
        "model_sha256": model_digest(model),
    }
    origin = Provenance(**facts, prior=prior, notes=dict(read.notes), command=command)
    record = evaluation_record(evaluation, origin)
    print(as_json(record.to_json()) if json else evaluation_text(record))
    if (old := EvaluationRecord.found(folder)) and not is_of(old, **facts, prior=prior):
        forget_heatmaps(folder)
    write_evaluation(evaluation, record, folder)
    answers = evaluation.probabilities, evaluation.faces.labels
    draw_evaluation(evaluation, record, reliability_bins(*answers), coverage_curve(*answers), folder)
    say(f"tables and pictures are in {folder}; as a page: mien report {quoted(folder)}")


def compare(
    models: tyro.conf.Positional[Annotated[tuple[Path, ...], several("MODEL")]],
    data: PartOptions = NO_DATA,
    out: Annotated[Path | None, option("FOLDER", "runs/compare")] = None,
    device: Device = "auto",
    latex: Switch = False,
    json: Json = False,
) -> None:
    """Compare models on the same faces: differences, intervals, McNemar's test.

    Args:
        models: two or more of: model file, run folder, name of a model that comes with Mien, predictions.csv of any
            origin. For predictions.csv alone no data are needed, but then no face is drawn.
        out: folder for models.csv, pairs.csv and the picture, which `mien report --compare` takes.
        latex: print the tables for a paper (with the package booktabs).
    """
    command = command_line(compare, locals())
    require("mien compare", "torch", "scikit-learn", "scipy", "matplotlib")
    from mien.data.votes import with_majority
    from mien.evaluate.comparison import (
        answers_of,
        check_same_faces,
        comparison_record,
        labels_of,
        read_answers,
        write_comparison,
    )
    from mien.evaluate.comparison import compare as compared
    from mien.folders import free_folder
    from mien.records.comparison import ComparisonRecord
    from mien.report.draw import draw_comparison
    from mien.report.terminal import comparison_text

    if len(models) < 2:
        raise UsageError("nothing to compare; give two or more models or predictions.csv files")
    tables = {path: read_answers(path) for path in models if path.suffix.lower() == ".csv"}
    networks = {path: read_with_remark(path, data.order) for path in models if path not in tables}
    if networks and not data.data:
        raise UsageError(f"{next(iter(networks))}: a model needs faces to predict on; add --data DATA")
    if not data.data and (data.labels == "votes" or data.votes):
        raise UsageError("--labels and --votes are about --data; leave them out for predictions.csv alone")
    folder = out or free_folder(RUNS / "compare")
    atomic.check(folder / ComparisonRecord.FILE)
    faces, scope = None, "faces"
    if data.data:
        faces, split = data.choose(data.read())
        faces = with_majority(faces)
        voted = ", labelled by the majority of votes" if data.labels == "votes" else ""
        scope = f"{split} faces of {data.path}{voted}"
        for table in tables.values():
            check_same_faces(labels_of(faces, f"{data.path} ({split})"), table)
        for path, read in networks.items():
            read = data.fitting(read, faces)
            tables[path] = answers_of(_score(path, read, data.path, faces, device=device), str(path), read.notes)
    comparison = compared([tables[path] for path in models])
    record = comparison_record(comparison, faces=scope, command=command)
    print(as_json(record.to_json()) if json else comparison_text(record, latex=latex))
    write_comparison(record, folder)
    draw_comparison(comparison, faces, folder, head=f"{record.n:,} {scope}")
    say(f"tables{' and picture' if faces else ''} are in {folder}")


def explain(
    photo: tyro.conf.Positional[Annotated[Path | None, option("PHOTO", "none")]] = None,
    model: Annotated[Path, MODEL] = Path("base"),
    data: PartOptions = NO_DATA,
    method: MethodChoice = "auto",
    out: Annotated[Path | None, option("FOLDER", "runs/<model>-<split>, for a photo runs/explain")] = None,
) -> None:
    """Draw where the model looks: on a photo, or on a part of the data.

    Args:
        photo: picture to explain, each face in it; or give --data.
        method: Grad-CAM asks what is inside the network, occlusion only for answers; "auto" takes Grad-CAM where it
            can, which is not with .onnx.
        out: folder whose figures/ receives the pictures.
    """
    command = command_line(explain, locals())
    if photo and data.data:
        raise UsageError("a photo and --data are two things to explain; give one of them")
    if photo and (data.labels == "votes" or data.votes):
        raise UsageError("--labels and --votes are about --data; leave them out for a photo")
    if photo:
        _explain_photo(photo, model, data.order, method, out or RUNS / "explain")
        return
    if not data.data:
        raise UsageError("nothing to explain; give a photo, or --data DATA")
    require("mien explain --data", "torch", "scikit-learn", "scipy", "matplotlib")
    from mien.explain.study import check_maps, study, write_check
    from mien.models.files import model_digest
    from mien.records.looks import ExplanationRecord
    from mien.report.draw import draw_check, draw_study
    from mien.report.tables import title

    read = read_with_remark(model, data.order)
    faces, split = data.choose(data.read())
    read = data.fitting(read, faces)
    folder = out or _evaluation_folder(model, data.path, split, data.labels)
    evaluation = _score(model, read, data.path, faces)
    head = title(str(model), str(data.path), split, evaluation.scores.n)
    list_paths(draw_study(study(read, evaluation, method), folder, head=head))
    if check := check_maps(read, evaluation, method):
        write_check(check, folder)
        list_paths(draw_check(check, folder, head=head))
    else:
        say("no sanity check of the maps: it needs the weights of a run folder or .safetensors file")
    ExplanationRecord(
        model=str(model),
        model_sha256=model_digest(model),
        notes=dict(read.notes),
        data=str(data.path),
        split=split,
        command=command,
    ).write(folder)


def _explain_photo(photo: Path, model: Path, classes: str, method: MethodChoice, out: Path) -> None:
    """Draw where the model looks on each face of a photo; needs nothing but the core."""
    from mien.explain.photo import explain_faces, photo_picture
    from mien.records.figures import FIGURES

    read = read_with_remark(model, classes)
    if method == "gradcam":
        require("Grad-CAM", "torch")
    maps = explain_faces(read, _faces_of(photo, read), method)
    file = out / FIGURES / f"{photo.stem}.png"
    picture = photo_picture(maps, f"{model} on {photo.name}")
    atomic.write_with(file, picture.save)
    print(file)


def _score(path: Path, model: Model, data: Path, faces: Dataset, **options: Any) -> Evaluation:
    """The evaluation of a model; an error names its file and the data."""
    from mien.evaluate.evaluation import evaluate as score
    from mien.evaluate.evaluation import match_classes

    return score(model, match_classes(model, faces, str(path), str(data)), **options)


def _evaluation_folder(model: Path, data: Path, split: str, labels: Labels, prior: Prior = "natural") -> Path:
    """Where what is found out about a model goes, unless the user says."""
    from mien.models.files import model_digest, model_name
    from mien.records.evaluation import evaluation_folder

    source = "-votes" if labels == "votes" else ""
    base = RUNS / f"{model_name(model)}-{split}{source}"
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
    if len(found) > _MOST_FACES:
        say(f"{photo}: {len(found)} faces; explaining the {_MOST_FACES} that are surest to be faces")
    cuts = [cut_out(picture, face.landmarks, preprocess.size) for face in found[:_MOST_FACES]]
    return np.stack([preprocess.square(cut) for cut in cuts])

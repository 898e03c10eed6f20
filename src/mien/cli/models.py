"""Commands that write model files: calibrate, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from mien.cli.options import Data, Flag, Labels, ModelPath, Part, open_faces, read_with_remark
from mien.errors import UsageError


def calibrate(
    model: ModelPath,
    data: Data,
    save_as: Path,
    split: Part = "val",
    labels: Labels = "given",
    votes: Path | None = None,
) -> None:
    """Fit the model's temperature, so that of the answers it gives at 80 % four in five are right.

    Args:
        model: model file (.safetensors, .keras, .h5) or run folder.
        data: prepared folder, archive, folder of <class>/<image>, fer2013.csv, or kaggle:<owner>/<name>.
        save_as: the model file to write, with the temperature in it.
        split: the part to fit it on; not the one to be scored.
        labels: "given" by the data, or the "votes" of several people.
        votes: file of the votes: fer2013new.csv, ferplus.csv, or a CSV of file and one column a class; may be left out
            where the data were prepared with votes.
    """
    from mien.evaluate.calibration import calibrate as fit
    from mien.models.files import check_writable, write_model
    from mien.report.terminal import calibration_text

    check_writable(save_as)
    read = read_with_remark(model)
    faces = open_faces(data, labels, votes).part(split)
    calibration = fit(read, faces)
    write_model(calibration.model, save_as)
    print(calibration_text(calibration))
    print(save_as)


def export(
    model: tyro.conf.Positional[Path],
    file: tyro.conf.Positional[Path],
    int8: Flag[bool] = False,
    data: Annotated[Path | None, tyro.conf.arg(aliases=["--data-dir"])] = None,
) -> None:
    """Write a model in another format, which the suffix of FILE picks.

    Args:
        model: model file (.safetensors, .keras, .h5) or run folder.
        file: what to write: .safetensors, .onnx, or for the classic network .keras or .h5; replaced if it is there.
        int8: write an .onnx file of a quarter of the size, several times as fast; its ranges are those of DATA.
        data: the data that the model was trained on; with --int8 only.
    """
    from mien.models.files import check_int8_suffix, check_writable, read_model, write_int8, write_model
    from mien.train.trainer import with_notes

    check_writable(file)
    if int8 != (data is not None):
        raise UsageError("--int8 and --data go together: int8 needs training faces, and nothing else does")
    if data is None:
        write_model(read_model(model), file)
    else:
        check_int8_suffix(file)
        noted = with_notes(read_model(model), int8=f"ranges of training faces of {data.name}")
        write_int8(noted, file, open_faces(data).train.images)
    print(file)

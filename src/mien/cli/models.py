"""Commands that write model files: calibrate, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from mien import atomic
from mien.cli.options import DATA, MODEL, DataOptions, PartOptions, Switch, option, read_with_remark
from mien.errors import UsageError
from mien.extras import require

_VAL = PartOptions(tyro.MISSING, split="val")


def calibrate(
    model: Annotated[Path, MODEL],
    save_as: Annotated[Path, tyro.conf.arg(metavar="FILE")],
    data: PartOptions = _VAL,
) -> None:
    """Fit the temperature: of answers given with 80 %, four in five are to be right.

    Args:
        save_as: the model file to write, with the temperature in it.
    """
    require("mien calibrate", "torch", "scikit-learn", "scipy")
    from mien.evaluate.calibration import calibrate as fit
    from mien.models.files import check_writable, write_model
    from mien.report.terminal import calibration_text

    check_writable(save_as)
    read = read_with_remark(model, data.order)
    faces, _ = data.choose(data.read())
    calibration = fit(data.fitting(read, faces), faces)
    write_model(calibration.model, save_as)
    print(calibration_text(calibration))
    print(save_as)


def export(
    model: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="MODEL")]],
    file: tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="FILE")]],
    int8: Switch = False,
    data: Annotated[Path | None, DATA] = None,
    classes: Annotated[str, option("NAMES", "the file's")] = "",
) -> None:
    """Write a model in another format, which the suffix of FILE picks.

    Args:
        model: model file (.safetensors, .onnx, .keras, .h5), run folder, or the name of a model that comes with Mien.
        file: what to write: .safetensors, .onnx, or for the classic network .keras or .h5; replaced if it is there.
        int8: write an .onnx file of a quarter of the size, several times as fast; its ranges are those of DATA.
        data: the data that the model was trained on; with --int8 only.
        classes: what the model's classes are called, in its order, where its file does not say: angry,happy,...
    """
    from mien.models.files import check_int8_suffix, check_writable, model_file, write_int8, write_model

    check_writable(file)
    if int8 != (data is not None):
        raise UsageError("--int8 and --data go together: int8 needs training faces, and nothing else does")
    read, source = read_with_remark(model, classes), model_file(model)
    if data is not None:
        check_int8_suffix(file)
        require("mien export --int8", "torch")
        from mien.train.trainer import with_notes

        noted = with_notes(read, int8=f"ranges of training faces of {data.name}")
        write_int8(noted, file, DataOptions(data).read().train.images)
    elif source.suffix.lower() == file.suffix.lower() == ".onnx":
        atomic.write_bytes(file, source.read_bytes())
    else:
        write_model(read, file)
    print(file)

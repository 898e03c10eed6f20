"""Model files. The suffix picks the format, here and nowhere else.

.safetensors    native: weights, and class names, preprocessing and provenance in the header
.h5             the classic network as Keras writes and reads it (see keras_h5)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from mien import atomic
from mien.errors import ModelError, UsageError
from mien.models.model import Model
from mien.models.networks import NETWORKS, build
from mien.preprocess import Preprocess

MODEL_FILE = "model.safetensors"
_KEY = "mien"


class Format(NamedTuple):
    """How one kind of model file is read and written."""

    read: Callable[[Path], Model]
    write: Callable[[Model, Path], None]


def read_model(path: str | Path) -> Model:
    """The model in a file, or in a run folder; raises UsageError or ModelError naming the remedy."""
    file = _file(Path(path))
    return _format(file).read(file)


def model_digest(path: Path) -> str:
    """SHA-256 of a model file, or of the one in a run folder."""
    return hashlib.sha256(_file(path).read_bytes()).hexdigest()


def model_name(path: Path) -> str:
    """A short name for a model: its run folder's, or its file's."""
    file = _file(path)
    return file.resolve().parent.name if file.name == MODEL_FILE else file.stem


def write_model(model: Model, path: str | Path) -> None:
    """Write `model` to `path`, whole or not at all; the suffix picks the format."""
    path = Path(path)
    write = _format(path).write
    atomic.write_with(path, lambda temporary: write(model, temporary))


def check_suffix(path: Path) -> None:
    """Raise UsageError unless a model file may be called `path`."""
    _format(path)


def check_classes(model: Model, classes: tuple[str, ...], model_name: str, data_name: str) -> None:
    """Raise ModelError unless the model names exactly the classes of the data, in their order."""
    if model.classes != classes:
        raise ModelError(
            f"{model_name} names {', '.join(model.classes)}, but {data_name} holds {', '.join(classes)}; "
            "use the data this model was trained for, or train a new one"
        )


def _read_safetensors(path: Path) -> Model:
    try:
        with safe_open(path, framework="pt") as file:
            fields = json.loads((file.metadata() or {})[_KEY])
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        if fields["architecture"] not in NETWORKS:
            raise ModelError(f"{path}: made by another version of Mien (network '{fields['architecture']}')")
        network = build(fields["architecture"], len(fields["classes"]))
        network.load_state_dict(weights)
        preprocess = Preprocess(**fields["preprocess"])
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(f"{path}: not a model file written by Mien ({reason}); train or export it again") from None
    return Model(network.eval(), fields["architecture"], tuple(fields["classes"]), preprocess, fields["notes"])


def _write_safetensors(model: Model, path: Path) -> None:
    weights = {name: value.contiguous() for name, value in model.network.state_dict().items()}
    # not `save_file`: it makes a temporary file of its own, which would stay behind where the process is killed
    path.write_bytes(save(weights, {_KEY: json.dumps(model.header())}))


def _read_h5(path: Path) -> Model:
    from mien.models.keras_h5 import read_h5  # needs h5py, which only this format does

    return read_h5(path)


def _write_h5(model: Model, path: Path) -> None:
    from mien.models.keras_h5 import write_h5

    write_h5(model, path)


_FORMATS = {
    ".safetensors": Format(_read_safetensors, _write_safetensors),
    ".h5": Format(_read_h5, _write_h5),
}


def _file(path: Path) -> Path:
    if path.is_dir():
        path = path / MODEL_FILE
    if not path.is_file():
        raise UsageError(f"{path}: no such model file; train one, or give a .safetensors or .h5 file or a run folder")
    return path


def _format(path: Path) -> Format:
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"{path}: unknown model format '{path.suffix}'; use {' or '.join(_FORMATS)}")
    return _FORMATS[path.suffix.lower()]

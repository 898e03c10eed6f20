"""Model files. The suffix picks the format, here and nowhere else.

.safetensors    native: weights, and class names, preprocessing, temperature and provenance in the header
.onnx           for prediction alone, without torch, in float32 or int8; the same header in its metadata
.keras, .h5     as Keras writes and reads them: the classic network both ways, other plain stacks of layers to predict

A bare name is a model that comes with Mien, unless a run folder of that name is at hand.

A model file may come from a stranger. Reading one gives a model or an error; it runs nothing, follows no path out of
the file, and asks for no more memory than a network of Mien needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mien import atomic
from mien.errors import ModelError, UsageError
from mien.folders import MODEL_FILE
from mien.models.model import Model, check_class_names

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_BYTES = 64 << 20  # the classic network with Adam's state: 7.5 MB; a VGG of Keras' 10 million weights: 40 MB
_DAMAGED = (OSError, LookupError, ValueError, TypeError, AttributeError, RuntimeError, ArithmeticError, MemoryError)


class Format(NamedTuple):
    """The module whose `read(path)` and `write(model, path)` know a kind of file, and how errors speak of it."""

    module: str
    kind: str
    remedy: str


SHIPPED = Path(__file__).with_name("shipped")  # what comes with Mien, as <name>.onnx

_RESAVE = "save it again with model.save(...)"
_FORMATS = {
    ".safetensors": Format("safetensors", "a model file written by Mien", "train or export it again"),
    ".onnx": Format("onnx", "an .onnx file written by Mien", "export it again with mien export"),
    ".keras": Format("keras_zip", "a Keras .keras file", _RESAVE),
    ".h5": Format("keras_h5", "a Keras .h5 file", _RESAVE),
    ".hdf5": Format("keras_h5", "a Keras .hdf5 file", _RESAVE),
}


def read_model(
    path: str | Path, classes: Sequence[str] | None = None, network: Literal["classic"] | None = None
) -> Model:
    """The model in a file, in a run folder, or that comes with Mien under that name.

    classes: their names in the order of the model's outputs, where the file does not name them itself (Keras' files).
    network: "classic" for weights that were saved without their network. Raises UsageError or ModelError naming the
    remedy.

    >>> read_model("tiny").classes
    ('angry', 'disgust', 'fear', 'happy', 'neutral', 'sad', 'surprise')
    """
    if classes is not None:
        check_class_names(classes)
    if path == "":
        raise UsageError("an empty path; give a model file, a run folder, or the name of a model that comes with Mien")
    file = model_file(Path(path))
    module, kind, remedy = _format(file)
    reader = _module(module)
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ModelError(f"larger than {_MOST_BYTES >> 20} MiB, which no model of Mien is")
        model = reader.read(file, classes, network) if module.startswith("keras") else reader.read(file)
        if classes is not None and model.classes != tuple(classes):
            raise ModelError(f"names its classes itself, {', '.join(model.classes)}; leave out --classes")
        return model
    except ModelError as error:
        raise ModelError(f"{file}: {_line(error)}") from None
    except _DAMAGED as error:
        raise ModelError(f"{file}: not {kind}, or a damaged one ({_line(error)}); {remedy}") from None


def write_model(model: Model, path: str | Path) -> None:
    """Write `model` to `path`, whole or not at all; the suffix picks the format.

    >>> import tempfile
    >>> from mien.models.networks import build
    >>> model = Model(build("classic", 2), "classic", ("no", "yes"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_model(model, f"{folder}/untrained.safetensors")
    ...     read_model(f"{folder}/untrained.safetensors").classes
    ('no', 'yes')
    """
    path = Path(path)
    writer = _module(_format(path).module)
    atomic.write_with(path, lambda temporary: writer.write(model, temporary))


def write_int8(model: Model, path: str | Path, faces: NDArray[np.uint8]) -> None:
    """Write `model` to an `.onnx` file in int8, with the ranges of training faces, uint8 [N, 48, 48]."""
    path = Path(path)
    check_int8_suffix(path)
    atomic.write_with(path, lambda temporary: _module("onnx").write_int8(model, temporary, faces))


def model_digest(path: Path) -> str:
    """SHA-256 of a model file, or of the one in a run folder."""
    return hashlib.sha256(model_file(path).read_bytes()).hexdigest()


def model_name(path: Path) -> str:
    """A short name for a model: its run folder's, or its file's."""
    file = model_file(path)
    return file.resolve().parent.name if file.name == MODEL_FILE else file.stem


def check_writable(path: Path) -> None:
    """Raise UsageError unless a model file may be called `path`, and what writes it is installed."""
    if _format(path).module.startswith("keras") and find_spec("keras") is None:
        raise UsageError(f"{path}: writing Keras files needs Keras: pip install '.[keras]'")


def check_int8_suffix(path: Path) -> None:
    """Raise UsageError unless a model in int8 may be called `path`."""
    if path.suffix.lower() != ".onnx":
        raise UsageError(f"{path}: only .onnx files hold models in int8; leave out --int8, or give an .onnx file")


def check_classes(model: Model, classes: tuple[str, ...], model_name: str, data_name: str) -> None:
    """Raise ModelError unless the model names exactly the classes of the data, in their order."""
    if model.classes != classes:
        raise ModelError(
            f"{model_name} names {', '.join(model.classes)}, but {data_name} holds {', '.join(classes)}; "
            "use the data this model was trained for, or train a new one"
        )


def _module(name: str) -> Any:
    """A format's module, imported now: each needs libraries that the others do without."""
    return import_module(f"mien.models.formats.{name}")


def _line(error: Exception) -> str:
    """One printable line, whatever names from the file an error quotes."""
    return "".join(c if c.isprintable() else "?" for c in str(error) or type(error).__name__)[:400]


def model_file(path: Path) -> Path:
    """The file that a path or name stands for: a run folder's, or one that comes with Mien.

    Raises UsageError where there is none, ModelError where the path cannot be looked at.
    """
    try:
        return _found(path)
    except OSError as error:  # a name too long, no permission
        raise ModelError(f"{str(path)[:300]}: cannot be read ({error.strerror or error})") from None


def _found(path: Path) -> Path:
    named = len(path.parts) == 1 and not path.suffix  # as what comes with Mien is, unless a run of yours is called so
    shipped = SHIPPED / f"{path.name}.onnx"
    if named and not (path / MODEL_FILE).is_file() and (shipped.is_file() or not path.exists()):
        if not shipped.is_file():
            names = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.onnx")))
            raise UsageError(f"{path.name}: no model of that name comes with Mien; there are {names}, or give a path")
        return shipped
    if path.is_dir():
        path = path / MODEL_FILE
    if not path.is_file():
        raise UsageError(f"{path}: no such model file; train one, or give a {_suffixes()} file or a run folder")
    return path


def _format(path: Path) -> Format:
    if path.suffix.lower() not in _FORMATS:
        raise UsageError(f"{path}: unknown model format '{path.suffix}'; use {_suffixes()}")
    return _FORMATS[path.suffix.lower()]


def _suffixes() -> str:
    *some, last = _FORMATS
    return f"{', '.join(some)} or {last}"

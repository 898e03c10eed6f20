"""Everything Mien raises on purpose.

    MienError               one line: what is wrong, where, and what to do about it
    +-- UsageError          the call itself: a missing path, fractions that do not sum to 1, an unknown recipe
    +-- DataError           the images or their folders, archives, manifests
    +-- ModelError          a model file, or a model that does not fit the data
    +-- TrainingError       a training run that cannot go on (a collapsed network, a taken run folder)

The command line prints the message and exits with code 2; anything else that escapes is a bug.
"""


class MienError(Exception):
    """Base of all errors Mien raises on purpose; its text names the cause and the remedy.

    >>> from mien import read_model
    >>> try:
    ...     read_model("gone.onnx")
    ... except MienError as error:
    ...     print(error)
    gone.onnx: no such model file; train one, or give a .safetensors, .onnx, .keras, .h5 or .hdf5 file or a run folder
    """


class UsageError(MienError):
    """A call that cannot be carried out as given.

    >>> from mien import open_data
    >>> open_data("gone")
    Traceback (most recent call last):
    mien.errors.UsageError: gone: no such file or folder; give an archive, table, or folder of <class>/<image>
    """


class DataError(MienError):
    """Images, folders, archives or manifests that cannot be used.

    >>> from mien import Preprocess
    >>> Preprocess().decode(b"", "face.jpg")
    Traceback (most recent call last):
    mien.errors.DataError: face.jpg: not a readable image (it is empty)
    """


class ModelError(MienError):
    """A model file that cannot be read, or a model that does not fit the data.

    >>> from mien import read_model
    >>> read_model("tiny", classes=["yes", "no"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    mien.errors.ModelError: ...tiny.onnx: names its classes itself, angry, ..., surprise; leave out --classes
    """


class TrainingError(MienError):
    """A training run that cannot start or cannot go on.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from mien.folders import hold
    >>> with tempfile.TemporaryDirectory() as folder, hold(Path(folder)), hold(Path(folder)):  # doctest: +ELLIPSIS
    ...     pass
    Traceback (most recent call last):
    mien.errors.TrainingError: ...: another process is training here; wait for it, or stop it
    """

"""Mien names the expression on a face: prepare, train, evaluate, explain, report, predict.

Importing this package loads nothing heavy and opens no network; the names below are fetched when first used, and so
are its rooms: `mien.train.train` and `mien.evaluate.evaluate` live in those whose names they share.

>>> import mien
>>> mien.EMOTIONS
('angry', 'disgust', 'fear', 'happy', 'neutral', 'sad', 'surprise')
"""

from importlib import import_module
from typing import Any

from mien._version import __version__
from mien.emotions import EMOTIONS
from mien.errors import DataError, MienError, ModelError, TrainingError, UsageError

_LAZY = {
    "Preprocess": "mien.preprocess",
    "Dataset": "mien.data.dataset",
    "Split": "mien.data.dataset",
    "open_data": "mien.data.sources",
    "Model": "mien.models.model",
    "predict_proba": "mien.models.model",
    "read_model": "mien.models.files",
    "write_model": "mien.models.files",
    "Predictor": "mien.predict.predictor",
    "Prediction": "mien.predict.prediction",
    "Face": "mien.predict.face",
    "to_frame": "mien.predict.table",
    "grad_cam": "mien.explain.gradcam",
}

_ROOMS = ("audit", "data", "evaluate", "explain", "models", "predict", "records", "report", "train")

__all__ = ["EMOTIONS", "DataError", "MienError", "ModelError", "TrainingError", "UsageError", "__version__", *_LAZY]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name in _ROOMS:
        return import_module(f"mien.{name}")
    raise AttributeError(f"module 'mien' has no attribute '{name}'")

"""Kaggle data sets by name, through kagglehub: the only place that may reach the network, and only when asked."""

from __future__ import annotations

import re
from pathlib import Path

from mien.errors import DataError, UsageError

_PREFIX = "kaggle:"
_HANDLE = re.compile(r"[\w-]+/[\w-]+(/versions/\d+)?")


def is_kaggle(path: str) -> bool:
    """Whether a path is a data set's name on Kaggle, `kaggle:<owner>/<name>`."""
    return path.startswith(_PREFIX)


def download(name: str) -> Path:
    """The folder of a data set `kaggle:<owner>/<name>`, downloaded unless kagglehub has kept it.

    Raises UsageError where the name is none or kagglehub is missing, DataError where the download fails.
    """
    handle = name.removeprefix(_PREFIX)
    if not _HANDLE.fullmatch(handle):
        raise UsageError(f"{name}: no data set's name; expected {_PREFIX}<owner>/<name>, as msambare/fer2013")
    try:
        import kagglehub  # pyrefly: ignore[missing-import]
    except ImportError:
        raise UsageError(
            f"{name}: needs kagglehub (pip install '.[hub]'); or download the archive and give its path"
        ) from None
    try:
        return Path(kagglehub.dataset_download(handle))
    except Exception as error:  # of many libraries: of the network, of the server, of the disk
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DataError(f"{name}: the download failed ({reason}); check the name and the connection") from None

"""Expressions as a function of columns, for engines that carry tables about: Ray, Dask, Spark, datasets, pandas."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from mien.errors import DataError, UsageError
from mien.models.model import Prior
from mien.pictures import Picture, read_picture
from mien.predict.detector import MIN_FACE
from mien.predict.predictor import Crop, Predictor
from mien.predict.sources import Item, items
from mien.scale.rows import schema, table


class Expressions:
    """A callable that takes columns, one of them with pictures, and gives a table of their faces.

    It imports no engine. It pickles, so engines may send it to processes and machines; each reads the model there once.

    pictures: the column of pictures: paths, encoded bytes, or what else `Predictor` takes; a dict of `bytes` and
    `path`, as datasets has it, too. names: the column that goes into `source`; the paths, where left out. columns: as
    in `mien batch`. The other options are those of `Predictor`.

    >>> import numpy as np
    >>> faces = Expressions("tiny", "face", crop="none", columns=["emotion", "confidence"])
    >>> answers = faces({"face": [np.zeros((48, 48), np.uint8), b"no picture"]})
    >>> answers.column_names, answers["emotion"].null_count
    (['source', 'emotion', 'confidence'], 1)
    """

    def __init__(
        self,
        model: str | Path = "base",
        pictures: str = "path",
        names: str | None = None,
        *,
        columns: Iterable[str] = (),
        prior: Prior = "natural",
        crop: Crop = "detect",
        min_confidence: float = 0.0,
        min_face: int = MIN_FACE,
        upright: bool = False,
        labels: str | None = None,
    ) -> None:
        self._options = model, prior, crop, min_confidence, min_face, upright, labels
        self._pictures, self._names = pictures, names
        self.schema = schema(_predictor(*self._options).classes, tuple(columns))

    def __call__(self, batch: Any) -> pa.Table:
        """A row a face, and one for each picture without, in the order of the pictures.

        batch: anything with columns under their names: a dict of lists or arrays, a pandas or Arrow table. Raises
        UsageError where a column is missing.
        """
        predictions = _predictor(*self._options).stream(self._items(batch))
        return table((prediction.to_dict() for prediction in predictions), self.schema)

    def _items(self, batch: Any) -> Iterator[Item]:
        pictures = _values(batch, self._pictures)
        names = _values(batch, self._names) if self._names else [None] * len(pictures)
        for number, (picture, name) in enumerate(zip(pictures, names, strict=True), 1):
            if isinstance(picture, dict):
                picture, name = picture.get("bytes") or picture.get("path"), name or picture.get("path")
            if name is None:
                name = picture if isinstance(picture, str | Path) else f"image {number}"
            yield _item(picture, str(name))


def _item(picture: Any, name: str) -> Item:
    """One picture, whatever it is; what is none becomes an error of its own."""
    if isinstance(picture, bytes):
        return Item(name, partial(read_picture, io.BytesIO(picture), name))
    try:
        found = list(islice(items([picture]), 2))
    except UsageError as error:
        return Item(name, partial(_fail, f"{name}: {error}"))
    if len(found) > 1:
        return Item(name, partial(_fail, f"{name}: a folder; give a path a picture"))
    return Item(name, found[0].read)


def _fail(line: str) -> Picture:
    raise DataError(line)


def _values(batch: Any, name: str) -> list[Any]:
    """A column as a list of plain values."""
    try:
        column = batch[name]
    except KeyError:
        raise UsageError(f"no column '{name}'; say which holds the pictures: Expressions(pictures=...)") from None
    return column.to_pylist() if hasattr(column, "to_pylist") else list(column)


@lru_cache(4)
def _predictor(*options: Any) -> Predictor:
    """The predictor of this process; threads share it."""
    *first, labels = options
    return Predictor(*first, labels=labels)

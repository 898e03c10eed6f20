"""Label errors that networks suspect: each face is judged by a network that saw neither it nor a copy of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from mien.data.dataset import Dataset
from mien.errors import DataError
from mien.models.model import predict_proba
from mien.train.recipes import SPEEDRUN
from mien.train.trainer import Listener, train

if TYPE_CHECKING:
    from numpy.typing import NDArray

FOLDS = 5
RECIPE = replace(SPEEDRUN, name="suspects", epochs=8, keep="last")


def folds_of(groups: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The fold of each face [N], 0 to FOLDS - 1, drawn from `seed`; faces of one group share it."""
    drawn = np.random.default_rng(seed).permutation(int(groups.max(initial=-1)) + 1)
    return drawn[groups] % FOLDS


def judge_fold(faces: Dataset, teaching: NDArray[np.bool_], mine: NDArray[np.bool_], seed: int, listener: Listener):
    taught = faces.subset(np.flatnonzero(teaching & ~mine))
    judged = faces.subset(np.flatnonzero(mine))
    model = train(RECIPE, taught, judged, seed, "auto", listener).model
    return (predict_proba(model, judged.images) , predict_proba(model, judged.images[:, :, ::-1].copy()))

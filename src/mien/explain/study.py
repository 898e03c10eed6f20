"""Explanations over a data set: which faces are shown, and the mean maps of classes and confusions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mien.evaluate.evaluation import Evaluation
from mien.explain.heat import groups, heat_maps
from mien.models.model import Model
from mien.records.figures import Method

if TYPE_CHECKING:
    from numpy.typing import NDArray


_HEATMAPS = 6  # right and wrong answers shown, of each
_PAIRS = 5  # confusions whose mean map is shown


# Faces of a group, and of the sanity check: occlusion asks for 82 predictions a face.
_AVERAGED: dict[Method, int] = {"gradcam": 200, "occlusion": 20}
CHECKED: dict[Method, int] = {"gradcam": 64, "occlusion": 8}


@dataclass(frozen=True)
class GroupMap:
    """The mean face and the mean map, [S, S] each, of `count` faces of class `truth` answered `answer`."""

    truth: str
    answer: str
    count: int
    face: NDArray[np.float64]
    map: NDArray[np.float64]


def group_maps(model: Model, evaluation: Evaluation, method: Method, seed: int) -> list[GroupMap]:
    """The mean face and map of each class's right answers and of the commonest confusions."""
    faces, rng, maps = evaluation.faces, np.random.default_rng(seed), []
    for truth, answer, members in groups(faces.labels, evaluation.predicted, len(faces.classes), _PAIRS):
        few = rng.permutation(members)[: _AVERAGED[method]]
        mean = heat_maps(model, faces.images[few], evaluation.predicted[few], method).mean(0)
        maps.append(GroupMap(faces.classes[truth], faces.classes[answer], len(few), faces.images[few].mean(0), mean))
    return maps


def some_answers(evaluation: Evaluation, seed: int) -> np.ndarray:
    """A few right answers, then a few wrong ones, drawn from `seed`."""
    rng = np.random.default_rng(seed)
    right, wrong = np.flatnonzero(evaluation.right), np.flatnonzero(~evaluation.right)
    drawn = [rng.permutation(indices)[:_HEATMAPS] for indices in (right, wrong)]
    return np.concatenate(drawn).astype(np.int64)


def answer_title(evaluation: Evaluation, i: int) -> str:
    """What a face was called, and its label where that is another."""
    classes = evaluation.faces.classes
    truth, answer = classes[evaluation.faces.labels[i]], classes[evaluation.predicted[i]]
    return answer if truth == answer else f"{truth}, called {answer}"

"""Explanations over a data set and their sanity check: all that figures and tables show of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mien import atomic
from mien.evaluate.evaluation import Evaluation
from mien.explain.heat import MethodChoice, choose_method, groups, has_gradients, heat_maps
from mien.explain.sanity import Stage, cascade, sanity_csv
from mien.models.model import Model
from mien.records.figures import Method, sanity_file

_EXAMPLES = 6  # right and wrong predictions shown, of each
_CONFUSIONS = 5  # whose mean map is shown
# Faces averaged in a group, and faces in the sanity check: occlusion asks for 82 predictions a face.
_AVERAGED: dict[Method, int] = {"gradcam": 200, "occlusion": 20}
_CHECKED: dict[Method, int] = {"gradcam": 64, "occlusion": 8}


@dataclass(frozen=True)
class GroupMap:
    """The mean face and the mean map, [S, S] each, of `count` faces of class `truth` predicted as `answer`."""

    truth: str
    answer: str
    count: int
    face: NDArray[np.float64]
    map: NDArray[np.float64]


@dataclass(frozen=True)
class Study:
    """Maps of single faces, right and wrong predictions, and the mean maps of groups of faces.

    faces, maps: [N, S, S]; titles: what was predicted; right: bool [N].
    """

    method: Method
    faces: NDArray[np.uint8]
    maps: NDArray[np.float32]
    titles: tuple[str, ...]
    right: NDArray[np.bool_]
    groups: tuple[GroupMap, ...]


@dataclass(frozen=True)
class SanityCheck:
    """Faces uint8 [N, S, S] and their maps while the layers lose their weights."""

    method: Method
    faces: NDArray[np.uint8]
    stages: tuple[Stage, ...]


def study(model: Model, evaluation: Evaluation, method: MethodChoice = "auto", seed: int = 0) -> Study:
    """Where the model looks: single predictions, right and wrong, and the means of each class and the top confusions.

    Raises ModelError where Grad-CAM is asked of a model without gradients.
    """
    chosen = choose_method(model, method)
    faces, answers, rng = evaluation.faces, evaluation.predicted, np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(mask))[:_EXAMPLES] for mask in (evaluation.right, ~evaluation.right)]
    shown = np.concatenate(drawn).astype(np.int64)
    named = [(faces.classes[faces.labels[i]], faces.classes[answers[i]]) for i in shown]
    return Study(
        method=chosen,
        faces=faces.images[shown],
        maps=heat_maps(model, faces.images[shown], answers[shown], chosen),
        titles=tuple(answer if truth == answer else f"{truth} → {answer}" for truth, answer in named),
        right=evaluation.right[shown],
        groups=tuple(_group_maps(model, evaluation, chosen, seed)),
    )


def check_maps(
    model: Model, evaluation: Evaluation, method: MethodChoice = "auto", seed: int = 0
) -> SanityCheck | None:
    """Whether the maps change as the network loses its weights; None where torch does not run the model."""
    if not has_gradients(model):
        return None
    chosen = choose_method(model, method)
    indices = np.random.default_rng(seed).permutation(len(evaluation.faces))[: _CHECKED[chosen]]
    faces = evaluation.faces.images[indices]
    return SanityCheck(chosen, faces, tuple(cascade(model, faces, evaluation.predicted[indices], chosen, seed)))


def write_check(check: SanityCheck, folder: Path) -> None:
    """Write the check as a table, `<method>_sanity.csv`."""
    atomic.write_text(folder / sanity_file(check.method), sanity_csv(check.stages))


def _group_maps(model: Model, evaluation: Evaluation, method: Method, seed: int) -> Sequence[GroupMap]:
    faces, rng, maps = evaluation.faces, np.random.default_rng(seed), []
    for truth, answer, members in groups(faces.labels, evaluation.predicted, len(faces.classes), _CONFUSIONS):
        few = rng.permutation(members)[: _AVERAGED[method]]
        mean = heat_maps(model, faces.images[few], evaluation.predicted[few], method).mean(0)
        maps.append(GroupMap(faces.classes[truth], faces.classes[answer], len(few), faces.images[few].mean(0), mean))
    return maps

"""Label errors that networks suspect: each face is judged by a network that saw neither it nor a copy of it.

The faces are dealt into folds, copies and near copies together. A network a fold learns from the training faces of
the other folds and judges all faces of its own, in whatever part they lie: nothing is learned from val or test.
cleanlab's confident learning (Northcutt et al. 2021, arXiv:1911.00068) then estimates which labels are how noisy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mien.audit.findings import Audit
from mien.errors import DataError
from mien.models.model import predict_proba
from mien.percent import percent
from mien.train.recipes import SPEEDRUN
from mien.train.state import State
from mien.train.trainer import Listener, Progress, train

FOLDS = 5
_KNOWN = 0.2  # how far from the commonest label's share to all of the labels networks have to come (FER-2013: 0.48)
# The small network of the speed run for longer; the last epoch is kept, so that no choice is made on the judged faces.
RECIPE = replace(SPEEDRUN, name="suspects", epochs=8, keep="last")


@dataclass(frozen=True)
class Suspect:
    """A face, by its index, whose label may be wrong.

    suggested: the most likely class. score: how likely the given one is; low is suspicious.
    """

    index: int
    suggested: int
    score: float


@dataclass(frozen=True)
class FoldProgress:
    """Where the whole search stands: which fold, from 1, and samples seen and to see over all folds."""

    fold: int
    done: int
    total: int


def cross_probabilities(
    findings: Audit,
    seed: int = 0,
    device: str = "auto",
    on_step: Callable[[FoldProgress], None] = lambda progress: None,
    on_forecast: Callable[[float], None] = lambda seconds: None,
) -> NDArray[np.float32]:
    """Class probabilities of every face, float32 [N, K], each by the network that knows neither it nor a copy.

    `on_forecast` is called once, after the first epoch, with the seconds that all folds together are going to take.
    Raises DataError where there are too few faces to learn from.
    """
    teaches = ~np.isin(findings.parts, ("val", "test")) & ~findings.blank
    folds = _folds(findings, seed)
    training = [np.flatnonzero(teaches & (folds != fold)) for fold in range(FOLDS)]
    judged = [np.flatnonzero(folds == fold) for fold in range(FOLDS)]
    if not all(map(len, [*training, *judged])):
        raise DataError(f"{len(folds):,} images are too few to look for suspects; leave out --suspects")
    total = RECIPE.epochs * sum(map(len, training))
    probabilities = np.empty((len(folds), len(findings.faces.classes)), np.float32)
    done = 0
    for fold in range(FOLDS):
        size = len(training[fold])

        def step(progress: Progress, fold: int = fold, size: int = size, before: int = done) -> None:
            on_step(FoldProgress(fold + 1, before + (progress.epoch - 1) * size + progress.samples_seen, total))

        def epoch_end(state: State, fold: int = fold, size: int = size) -> None:
            if fold == 0 and len(state.history) == 1:
                on_forecast(state.last.seconds / size * total)

        faces = findings.faces.subset(judged[fold])
        listener = Listener(on_step=step, on_epoch=epoch_end)
        model = train(RECIPE, findings.faces.subset(training[fold]), faces, seed, device, listener).model
        mirrored = np.ascontiguousarray(faces.images[:, :, ::-1])
        probabilities[judged[fold]] = (predict_proba(model, faces.images) + predict_proba(model, mirrored)) / 2
        done += RECIPE.epochs * size
    return probabilities


def check_known(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """The share of faces that the probabilities [N, K] name as they are labelled [N].

    Raises DataError where it is not well above that of the commonest label: such networks cannot doubt a label.
    """
    named = float((probabilities.argmax(1) == labels).mean())
    commonest = float(np.bincount(labels).max() / len(labels))
    if named < commonest + _KNOWN * (1 - commonest):
        raise DataError(
            f"the networks agree with {percent(named)} of the labels, the most frequent class alone with "
            f"{percent(commonest)}: they know too little to suspect labels; give more faces, or leave out --suspects"
        )
    return named


def find_suspects(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> tuple[Suspect, ...]:
    """The faces whose labels [N] are more likely wrong than right in one way, the most suspicious first.

    With p(j | x) the probabilities [N, K] and p(i | j) how often truth j was labelled i, as confident learning
    estimates it from both: a face x labelled i is in truth j with probability p(j | x) p(i | j), scaled to sum 1.
    So a doubt weighs more against a label that is often wrong, such as FER-2013's fear, than against a steady one.
    """
    from cleanlab.count import estimate_joint

    joint = estimate_joint(labels, probabilities)
    given = joint / np.maximum(joint.sum(axis=0), 1e-12)  # p(i | j), rows i
    truth = probabilities * given[labels]
    truth /= truth.sum(axis=1, keepdims=True)
    scores, answers = truth[np.arange(len(labels)), labels], truth.argmax(1)
    doubted = np.flatnonzero(answers != labels)
    ranked = doubted[np.argsort(scores[doubted], kind="stable")]
    return tuple(Suspect(int(i), int(answers[i]), float(scores[i])) for i in ranked)


def _folds(findings: Audit, seed: int) -> NDArray[np.int64]:
    """The fold of each face [N], drawn from `seed`; copies and near copies share it."""
    count = int(findings.groups.max()) + 1
    pairs = np.array([(pair.first, pair.second) for pair in findings.near], np.int64).reshape(-1, 2)
    first, second = findings.groups[pairs].T
    links = coo_array((np.ones(len(first), bool), (first, second)), (count, count))
    number, families = connected_components(links, directed=False)
    return np.random.default_rng(seed).permutation(number)[families[findings.groups]] % FOLDS

"""Stratified splits that keep the copies of one face together.

8 % of FER-2013's faces occur more than once. A plain stratified split puts copies of one face into
training and test, and the test then partly measures memory.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mien.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def check_fractions(fractions: Sequence[float]) -> None:
    """Raise UsageError unless the three fractions (train, val, test) are >= 0 and sum to 1."""
    total = sum(fractions)
    if min(fractions) < 0 or not math.isclose(total, 1, abs_tol=1e-6):
        shown = " + ".join(f"{fraction:g}" for fraction in fractions)
        raise UsageError(f"the fractions {shown} sum to {total:g}; they must be >= 0 and sum to 1")


def split_indices(
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    fractions: Sequence[float],
    seed: int,
) -> list[NDArray[np.int64]]:
    """Indices of each part, ascending; every class is divided by `fractions` to the image where groups allow.

    labels, groups: int64 [N]. Images of one group land in one part; with `groups = arange(N)` it is the plain
    stratified split. Groups are dealt out largest first, each to the part that lacks most of its classes in
    proportion to its goal, so that copies spread over the parts as other faces do, and single faces then fill
    every part to its goal.
    """
    check_fractions(fractions)
    goals = _goals(np.bincount(labels), fractions)
    lacking = goals.copy()
    part_of = np.empty(len(labels), np.int64)
    for members in _shuffled_groups(groups, seed):
        counts = np.bincount(labels[members], minlength=goals.shape[1])
        part = _neediest(lacking, goals, counts)
        lacking[part] -= counts
        part_of[members] = part
    return [np.flatnonzero(part_of == part) for part in range(len(fractions))]


def _goals(totals: NDArray[np.int64], fractions: Sequence[float]) -> NDArray[np.int64]:
    """Images wanted of each class in each part, int64 [parts, K]; rounded so that each class adds up."""
    exact = np.outer(fractions, totals)
    goals = np.floor(exact + 1e-9).astype(np.int64)
    for k in range(len(totals)):
        short = totals[k] - goals[:, k].sum()
        order = np.argsort(goals[:, k] - exact[:, k], kind="stable")
        goals[order[:short], k] += 1
    return goals


def _shuffled_groups(groups: NDArray[np.int64], seed: int) -> list[NDArray[np.int64]]:
    """Members of each group; large groups first, equally large ones in an order drawn from `seed`."""
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    drawn = np.random.default_rng(seed).permutation(len(members))
    return sorted((members[i] for i in drawn), key=len, reverse=True)


def _neediest(lacking: NDArray[np.int64], goals: NDArray[np.int64], counts: NDArray[np.int64]) -> int:
    """The part with the largest unfilled share of the classes in `counts`, where they fit if anywhere."""
    mine = counts > 0
    need = (lacking[:, mine] / np.maximum(goals[:, mine], 1)).min(axis=1)
    fits = (lacking[:, mine] >= counts[mine]).all(axis=1)
    need[goals[:, mine].sum(axis=1) == 0] = -np.inf
    return int(np.argmax(np.where(fits, need + 1e6, need)))

"""Splits: stratified to the image, copies together, the same for the same seed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.data.split import split_indices
from mien.errors import UsageError

THIRDS = (0.70, 0.15, 0.15)


@given(st.integers(0, 2**31), st.lists(st.integers(0, 4), min_size=1, max_size=300))
@settings(max_examples=60, deadline=None)
def test_every_image_lands_in_exactly_one_part(seed: int, labels: list[int]) -> None:
    parts = split_indices(np.array(labels), np.arange(len(labels)), THIRDS, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(labels)))


@given(st.integers(0, 2**31), st.integers(2, 7), st.integers(50, 400))
@settings(max_examples=40, deadline=None)
def test_single_faces_are_stratified_to_one_image(seed: int, classes: int, count: int) -> None:
    labels = np.random.default_rng(seed).integers(0, classes, count)
    for indices, fraction in zip(split_indices(labels, np.arange(count), THIRDS, seed), THIRDS, strict=True):
        wanted = fraction * np.bincount(labels, minlength=classes)
        assert (np.abs(np.bincount(labels[indices], minlength=classes) - wanted) <= 1).all()


@given(st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_copies_stay_together_and_classes_stay_balanced(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 7, 1000)
    groups = np.arange(1000)
    groups[:120] = np.repeat(groups[:40], 3)  # 40 groups of three copies, labels as drawn: many conflict
    parts = split_indices(labels, groups, THIRDS, seed)
    assert sum(len(set(groups[part])) for part in parts) == len(set(groups))
    for indices, fraction in zip(parts, THIRDS, strict=True):
        shares = np.bincount(labels[indices], minlength=7) / np.bincount(labels, minlength=7)
        assert (np.abs(shares - fraction) <= np.maximum(0.005, 1.01 / np.bincount(labels, minlength=7))).all()


def test_copies_spread_over_the_parts_as_other_faces_do() -> None:
    labels = np.zeros(3000, int)
    groups = np.arange(3000)
    groups[:600] = np.repeat(np.arange(300), 2)
    for part, fraction in zip(split_indices(labels, groups, THIRDS, 0), THIRDS, strict=True):
        assert abs((part < 600).sum() / 600 - fraction) < 0.02


def test_same_seed_same_split_and_another_seed_another() -> None:
    labels = np.arange(300) % 7
    first, again, other = (split_indices(labels, np.arange(300), THIRDS, seed) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    assert any(len(a) != len(b) or (a != b).any() for a, b in zip(first, other, strict=True))


def test_an_empty_part_stays_empty() -> None:
    sizes = [len(part) for part in split_indices(np.arange(100) % 5, np.arange(100), (0.8, 0.2, 0.0), 0)]
    assert sizes == [80, 20, 0]


@pytest.mark.parametrize("fractions", [(0.8, 0.15, 0.15), (0.7, 0.1, 0.1), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5)])
def test_fractions_that_do_not_sum_to_one_are_refused(fractions: tuple[float, float, float]) -> None:
    with pytest.raises(UsageError, match="must be >= 0 and sum to 1"):
        split_indices(np.zeros(10, int), np.arange(10), fractions, 0)

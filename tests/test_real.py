"""Facts about the real FER-2013 archive; run where FER2013_ARCHIVE names it."""

from pathlib import Path

import numpy as np
import pytest

from mien.data.copies import blank, conflicting, copy_groups, group_sizes, shared_with
from mien.data.dataset import Dataset
from mien.data.facts import preparation_facts
from mien.data.prepare import SplitOptions, plan
from mien.data.sources import load, open_source
from mien.data.split import split_indices
from mien.emotions import EMOTIONS


@pytest.fixture(scope="module")
def faces(archive: Path) -> Dataset:
    return load(open_source(archive))


def part(archive: Path, name: str) -> np.ndarray:
    return np.array([entry.part == name for entry in open_source(archive).entries])


def test_the_archive_is_fer2013(archive: Path, faces: Dataset) -> None:
    assert faces.classes == EMOTIONS
    train = faces.subset(np.flatnonzero(part(archive, "train")))
    assert train.counts().tolist() == [3995, 436, 4097, 7215, 4965, 4830, 3171]
    assert part(archive, "val").sum() == 3589


def test_copies_blanks_and_conflicts(archive: Path, faces: Dataset) -> None:
    """Counted on Training and PublicTest; PrivateTest may or may not be in the archive."""
    known = np.flatnonzero(~part(archive, "test"))
    groups = copy_groups(faces.images[known])
    labels = faces.labels[known]
    assert groups.max() + 1 == 30_769
    assert len(set(groups[group_sizes(groups) > 1])) == 1_271
    assert (group_sizes(groups) > 1).sum() == 2_800
    assert len(set(groups[conflicting(groups, labels)])) == 46
    assert blank(faces.images[known]).sum() == 12


def test_280_faces_of_public_test_are_also_in_training(archive: Path, faces: Dataset) -> None:
    train, val = (faces.images[part(archive, name)] for name in ("train", "val"))
    assert shared_with(val, train).sum() == 280


def test_the_split_leaks_nothing_and_is_stratified(faces: Dataset) -> None:
    groups = copy_groups(faces.images)
    parts = split_indices(faces.labels, groups, (0.70, 0.15, 0.15), 0)
    assert sum(len(set(groups[indices])) for indices in parts) == groups.max() + 1
    for indices, fraction in zip(parts, (0.70, 0.15, 0.15), strict=True):
        shares = np.bincount(faces.labels[indices]) / faces.counts()
        assert (np.abs(shares - fraction) < 0.005).all()


def test_the_plain_split_leaks_8_percent(archive: Path) -> None:
    facts = preparation_facts(plan(open_source(archive), SplitOptions(allow_leaks=True)))
    share = facts.copies.also_in_train["test"] / facts.part_sizes()["test"]
    assert 0.06 < share < 0.09

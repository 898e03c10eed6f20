"""Damage to faces: deterministic, graded, of fifteen different kinds; and what is made of it."""

import csv
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from conftest import random_faces

from mien.data.drawn import draw_face
from mien.emotions import EMOTIONS
from mien.evaluate.corruptions import KINDS, STRENGTHS, corrupt
from mien.evaluate.evaluation import evaluate, evaluation_record, with_corruptions, write_evaluation
from mien.evaluate.robustness import relative
from mien.models.model import Model
from mien.models.networks import build
from mien.records.evaluation import Provenance
from mien.report.terminal import evaluation_text


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.stack([draw_face(emotion, np.random.default_rng(i)) for i, emotion in enumerate(EMOTIONS * 2)])


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Mean difference in gray levels."""
    return float(np.abs(one.astype(float) - other).mean())


def test_the_fifteen_kinds_of_the_paper() -> None:
    assert len(KINDS) == 15
    assert STRENGTHS == (1, 2, 3, 4, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_stronger_is_farther_from_the_original(kind: str, faces: np.ndarray) -> None:
    distances = [distance(corrupt(faces, kind, strength), faces) for strength in STRENGTHS]
    assert distances[0] > 0.5
    assert all(one < 0.97 * other for one, other in pairwise(distances)), distances


@pytest.mark.parametrize("kind", KINDS)
def test_same_call_same_bytes(kind: str, faces: np.ndarray) -> None:
    before = faces.copy()
    damaged = corrupt(faces, kind, 3)
    assert np.array_equal(damaged, corrupt(faces, kind, 3))
    assert np.array_equal(faces, before), "the original is left alone"
    assert damaged.dtype == np.uint8
    assert damaged.shape == faces.shape


def test_noise_differs_between_strengths_and_faces() -> None:
    gray = np.full((2, 48, 48), 128, np.uint8)
    one, other = (corrupt(gray, "gaussian noise", strength).astype(float) - 128 for strength in (1, 2))
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.1
    assert abs(np.corrcoef(one[0].ravel(), one[1].ravel())[0, 1]) < 0.1
    assert one.std() == pytest.approx(0.03 * 255, rel=0.05)


def test_kinds_are_told_apart(faces: np.ndarray) -> None:
    """No two kinds leave the same picture: they lie farther apart than the rounding of gray levels."""
    pictures = {kind: corrupt(faces, kind, 3) for kind in KINDS}
    for one, other in combinations(KINDS, 2):
        assert distance(pictures[one], pictures[other]) > 2, f"{one} and {other}"


def test_what_single_kinds_do(faces: np.ndarray) -> None:
    means, deviations = faces.mean((1, 2)), faces.std((1, 2))
    assert (corrupt(faces, "brightness", 3).mean((1, 2)) > means + 30).all()
    assert corrupt(faces, "contrast", 3).std((1, 2)) == pytest.approx(0.32 * deviations, rel=0.05)
    assert corrupt(faces, "contrast", 3).mean((1, 2)) == pytest.approx(means, abs=0.5)
    changed = (corrupt(faces, "impulse noise", 5) != faces).mean()
    assert changed == pytest.approx(0.13, abs=0.02)
    for blur in (kind for kind in KINDS if "blur" in kind):
        damaged = corrupt(faces, blur, 5)
        assert damaged.mean() == pytest.approx(faces.mean(), abs=3), "a blur neither lights nor darkens"
        assert damaged.std((1, 2)).mean() < deviations.mean()
    assert len(np.unique(corrupt(faces[:1], "pixelate", 5))) <= 14**2


def test_a_plain_picture_survives_what_only_moves_or_averages() -> None:
    plain = np.full((3, 48, 48), 90, np.uint8)
    for kind in ("defocus blur", "glass blur", "motion blur", "zoom blur", "contrast", "elastic", "pixelate"):
        assert np.array_equal(corrupt(plain, kind, 5), plain), kind


def test_many_faces_are_damaged_in_batches() -> None:
    many = np.full((1025, 8, 8), 128, np.uint8)
    damaged = corrupt(many, "shot noise", 1)
    assert damaged.shape == many.shape
    assert len({face.tobytes() for face in damaged}) == 1025


def test_robustness_is_the_accuracy_on_corrupted_faces(tmp_path: Path) -> None:
    classes = ("a", "b", "c")
    faces = random_faces(24, classes)
    model = Model(build("pooled", 3), "pooled", classes)
    plain = evaluate(model, faces)
    done = with_corruptions(plain, model)
    assert done.corruptions is not None
    again = evaluate(model, replace(faces, images=corrupt(faces.images, "fog", 4)))
    assert done.corruptions.accuracy["fog"][3] == again.scores.accuracy
    origin = Provenance(model="m", data="d", split="test")
    record = evaluation_record(done, origin)
    write_evaluation(done, record, tmp_path)
    with open(tmp_path / "corruptions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["corruption"], row["strength"]) for row in rows] == [
        (kind, str(s)) for kind in KINDS for s in STRENGTHS
    ]
    assert record.corruptions is not None
    assert record.corruptions.accuracy["fog"][3] == again.scores.accuracy
    assert record.corruptions.mean_relative_accuracy == pytest.approx(
        np.mean([float(row["relative"]) for row in rows]), abs=1e-5
    )
    assert "on corrupted faces" in evaluation_text(record)
    write_evaluation(plain, evaluation_record(plain, origin), tmp_path)
    assert not (tmp_path / "corruptions.csv").exists(), "it would tell of an earlier evaluation"


def test_mean_relative_accuracy_by_hand() -> None:
    assert relative(np.full((15, 5), 0.4), 0.8).mean() == pytest.approx(0.5)
    assert not relative(np.full((15, 5), 0.4), 0.0).any()

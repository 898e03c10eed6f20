"""Scores against values worked out by hand, and the files an evaluation leaves."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import random_faces
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import DataError, ModelError
from mien.evaluate.evaluation import Evaluation, evaluate, metrics, write_evaluation
from mien.evaluate.intervals import wilson
from mien.evaluate.scores import calibration_error, score
from mien.models.model import Model
from mien.models.networks import build
from mien.records.evaluation import evaluation_folder, read_metrics

CLASSES = ("a", "b", "c")


def evaluation() -> Evaluation:
    faces = random_faces(40, CLASSES)
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], 40).astype(np.float32)
    return Evaluation(faces, probabilities, score(probabilities, faces.labels, CLASSES), "m", "d", "test")


def test_scores_by_hand() -> None:
    probabilities = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
    scores = score(probabilities, np.array([0, 1, 1, 0]), ("x", "y"))
    assert scores.accuracy == 0.75
    assert scores.confusion.tolist() == [[2, 0], [1, 1]]
    assert scores.per_class["x"].precision == pytest.approx(2 / 3)
    assert scores.per_class["y"].recall == 0.5
    assert scores.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)
    assert scores.nll == pytest.approx(-np.log([0.8, 0.4, 0.7, 0.9]).mean())
    assert scores.ece == pytest.approx((0.2 + 0.6 - 0 + 0.3 + 0.1) / 4, abs=0.3)


def test_wilson_matches_the_published_example() -> None:
    """Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662."""
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert all(wilson(0, n)[0] == 0 and wilson(n, n)[1] == 1 for n in range(1, 50))


def test_calibration_error_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1]] * 10)
    assert calibration_error(probabilities, np.array([0] * 9 + [1])) == pytest.approx(0)
    assert calibration_error(probabilities, np.array([0] * 5 + [1] * 5)) == pytest.approx(0.4)


@given(st.integers(0, 2**31), st.integers(1, 60))
@settings(max_examples=50, deadline=None)
def test_the_confusion_matrix_sums_to_n(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    scores = score(rng.dirichlet([1, 1, 1], n), labels, CLASSES)
    assert scores.confusion.sum() == scores.n == n
    assert np.trace(scores.confusion) == round(scores.accuracy * n)
    assert scores.accuracy_ci95[0] <= scores.accuracy <= scores.accuracy_ci95[1]
    assert scores.confusion.sum(1).tolist() == [scores.per_class[name].support for name in CLASSES]


def test_the_files_agree_with_the_scores(tmp_path: Path) -> None:
    one = evaluation()
    write_evaluation(one, tmp_path, command="mien evaluate")
    fields = json.loads((tmp_path / "metrics.json").read_text())
    assert fields == read_metrics(tmp_path) == metrics(one) | {"command": "mien evaluate"}
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == list(one.faces.paths)
    assert sum(row["label"] == row["predicted"] for row in rows) / len(rows) == fields["accuracy"]
    assert float(rows[0]["confidence"]) == max(float(rows[0][name]) for name in CLASSES)
    matrix = (tmp_path / "confusion_matrix.csv").read_text().splitlines()
    assert matrix[0] == "true \\ predicted,a,b,c"
    assert [int(cell) for cell in matrix[1].split(",")[1:]] == one.scores.confusion[0].tolist()


def test_another_models_evaluation_is_not_overwritten(tmp_path: Path) -> None:
    base = tmp_path / "m-test"
    assert evaluation_folder(base, model_sha256="one", prior="natural") == base
    write_evaluation(evaluation(), base, model_sha256="one", prior="natural")
    assert evaluation_folder(base, model_sha256="one", prior="natural") == base
    assert evaluation_folder(base, model_sha256="two", prior="natural") == tmp_path / "m-test-2"
    assert evaluation_folder(base, model_sha256="one", prior="uniform") == tmp_path / "m-test-2"


def test_damaged_metrics_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="evaluate the model first"):
        read_metrics(tmp_path)
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        read_metrics(tmp_path)


def test_a_model_for_other_classes_is_refused() -> None:
    model = Model(build("pooled", 2), "pooled", ("x", "y"))
    with pytest.raises(ModelError, match="m names x, y, but d holds a, b, c"):
        evaluate(model, random_faces(6, CLASSES), name="m", data="d", split="test")

"""Scores against values worked out by hand, and the files an evaluation leaves."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import random_faces
from hypothesis import given, settings
from hypothesis import strategies as st

from mien.errors import ModelError
from mien.evaluate.evaluation import Evaluation, evaluate, evaluation_record, write_evaluation
from mien.evaluate.scores import calibration_error, score
from mien.models.model import Model
from mien.models.networks import build
from mien.records.evaluation import EvaluationRecord, Provenance, evaluation_folder
from mien.records.intervals import wilson

CLASSES = ("a", "b", "c")


def evaluation() -> Evaluation:
    faces = random_faces(40, CLASSES)
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], 40).astype(np.float32)
    return Evaluation(faces, probabilities, score(probabilities, faces.labels, CLASSES))


def test_scores_by_hand() -> None:
    probabilities = np.array([[0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.9, 0.1]])
    scores = score(probabilities, np.array([0, 1, 1, 0]), ("x", "y"))
    assert scores.accuracy == 0.75
    assert scores.confusion == ((2, 0), (1, 1))
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
    assert np.sum(scores.confusion) == scores.n == n
    assert np.trace(scores.confusion) == round(scores.accuracy * n)
    assert scores.accuracy_ci95[0] <= scores.accuracy <= scores.accuracy_ci95[1]
    assert np.sum(scores.confusion, 1).tolist() == [scores.per_class[name].support for name in CLASSES]


def test_the_files_agree_with_the_scores(tmp_path: Path) -> None:
    one = evaluation()
    record = evaluation_record(one, Provenance(model="m", data="d", split="test", command="mien evaluate"))
    write_evaluation(one, record, tmp_path)
    fields = json.loads((tmp_path / "metrics.json").read_text())
    assert fields == json.loads(json.dumps(record.to_json()))
    assert EvaluationRecord.read(tmp_path) == record
    assert fields["classes"] == fields["labels"] == list(CLASSES)
    with open(tmp_path / "predictions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == list(one.faces.paths)
    assert sum(row["label"] == row["predicted"] for row in rows) / len(rows) == fields["accuracy"]
    assert float(rows[0]["confidence"]) == max(float(rows[0][name]) for name in CLASSES)
    matrix = (tmp_path / "confusion_matrix.csv").read_text().splitlines()
    assert matrix[0] == "true \\ predicted,a,b,c"
    assert [int(cell) for cell in matrix[1].split(",")[1:]] == list(one.scores.confusion[0])


def test_another_models_evaluation_is_not_overwritten(tmp_path: Path) -> None:
    base = tmp_path / "m-test"
    assert evaluation_folder(base, model_sha256="one", prior="natural") == base
    origin = Provenance(model="m", data="d", split="test", model_sha256="one")
    write_evaluation(evaluation(), evaluation_record(evaluation(), origin), base)
    assert evaluation_folder(base, model_sha256="one", prior="natural") == base
    assert evaluation_folder(base, model_sha256="two", prior="natural") == tmp_path / "m-test-2"
    assert evaluation_folder(base, model_sha256="one", prior="uniform") == tmp_path / "m-test-2"


def test_confident_mistakes_show_a_face_once() -> None:
    """Of copies of one face the most confident prediction is shown."""
    one = evaluation()
    images = one.faces.images.copy()
    images[:] = images[:1]
    alike = Evaluation(replace(one.faces, images=images), one.probabilities, one.scores)
    wrong = np.flatnonzero(~one.right)
    assert one.confident_mistakes(100).tolist() == wrong[np.argsort(-one.confidence[wrong])].tolist()
    assert alike.confident_mistakes(100).tolist() == one.confident_mistakes(1).tolist()


def test_a_model_for_other_classes_is_refused() -> None:
    model = Model(build("pooled", 2), "pooled", ("x", "y"))
    with pytest.raises(ModelError, match="no class a, b, c among x, y"):
        evaluate(model, random_faces(6, CLASSES))

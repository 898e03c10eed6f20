"""Intervals, calibration, curves and coverage against values known otherwise."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import random_faces
from scipy.stats import mannwhitneyu
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, precision_score, recall_score

from mien.cli.app import main
from mien.data.dataset import Dataset
from mien.evaluate.bootstrap import intervals, macro_mean, rates, resample
from mien.evaluate.curves import accuracy_by_coverage, coverage_curve, precision_recall, roc, selective_score
from mien.evaluate.evaluation import Evaluation, evaluate, evaluation_record, scores_without_copies, with_flip
from mien.evaluate.reliability import calibration_error, error_if_calibrated, reliability_bins
from mien.evaluate.scores import score
from mien.models.files import write_model
from mien.models.model import Model, predict_proba
from mien.models.networks import build
from mien.records.evaluation import EvaluationRecord, Provenance
from mien.records.intervals import wilson
from mien.report.terminal import evaluation_text

CLASSES = ("a", "b", "c")


def answers(n: int, seed: int = 0, sharpness: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [n, 3] and labels [n] drawn from them: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet([sharpness] * 3, n)
    labels = (rng.random((n, 1)) > probabilities.cumsum(1)).sum(1).clip(max=2)
    return probabilities, labels


def evaluation(n: int = 300) -> Evaluation:
    faces = random_faces(n, CLASSES)
    probabilities = np.random.default_rng(0).dirichlet([0.5] * 3, n).astype(np.float32)
    return Evaluation(faces, probabilities, score(probabilities, faces.labels, CLASSES))


def record_of(one: Evaluation) -> EvaluationRecord:
    return evaluation_record(one, Provenance(model="m", data="d", split="test"))


def test_rates_are_scikit_learns() -> None:
    probabilities, labels = answers(200)
    said = probabilities.argmax(1)
    truth, answer = np.indices((3, 3)).reshape(2, 9)
    counts = np.ravel(score(probabilities, labels, CLASSES).confusion)
    one = rates(counts[None], truth, answer, 3)
    assert one.accuracy[0] == pytest.approx(accuracy_score(labels, said))
    for values, theirs in ((one.precision, precision_score), (one.recall, recall_score), (one.f1, f1_score)):
        assert values[0] == pytest.approx(theirs(labels, said, average=None))
        assert macro_mean(values)[0] == pytest.approx(theirs(labels, said, average="macro"))


def test_resamples_hold_as_many_faces() -> None:
    drawn = resample(np.array([5, 0, 20]))
    assert drawn.shape == (2000, 3)
    assert (drawn.sum(1) == 25).all()
    assert not drawn[:, 1].any()
    assert drawn.mean(0) == pytest.approx([5, 0, 20], abs=0.2)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    """200 samples of 400 faces from one population, whose accuracy and macro F1 are known."""
    population = np.array([[0.30, 0.07, 0.03], [0.05, 0.25, 0.05], [0.06, 0.04, 0.15]])
    truth, answer = np.indices((3, 3)).reshape(2, 9)
    exact = rates((population.reshape(1, 9) * 10000).round().astype(np.int64), truth, answer, 3)
    covered = np.zeros(3)
    for sample in np.random.default_rng(1).multinomial(400, population.ravel(), 200):
        found = intervals(sample.reshape(3, 3).tolist(), CLASSES)
        goals = exact.accuracy[0], macro_mean(exact.f1)[0], exact.recall[0, 2]
        ends = found.accuracy, found.macro_f1, found.per_class["c"].recall
        covered += [low <= goal <= high for goal, (low, high) in zip(goals, ends, strict=True)]
    assert (covered >= 0.89 * 200).all()
    assert (covered <= 0.99 * 200).all()


def test_bootstrap_and_wilson_agree_on_the_accuracy() -> None:
    one = evaluation(2000).scores
    assert intervals(one.confusion, CLASSES).accuracy == pytest.approx(one.accuracy_ci95, abs=0.002)


def test_a_class_without_faces_has_no_known_score() -> None:
    found = intervals([[8, 2, 0], [1, 9, 0], [0, 0, 0]], CLASSES)
    assert found.per_class["c"].recall == (0.0, 1.0)
    assert found.macro_recall[0] > 0.6, "it does not pull the mean down"


def test_a_calibrated_model_shows_about_the_error_that_chance_gives() -> None:
    errors = [calibration_error(*answers(1000, seed)) for seed in range(40)]
    mean, (low, high) = error_if_calibrated(answers(1000, 99)[0])
    assert np.mean(errors) == pytest.approx(mean, rel=0.1)
    assert np.mean([low <= error <= high for error in errors]) >= 0.85


def test_an_overconfident_model_shows_more() -> None:
    probabilities, labels = answers(1000)
    sharpened = probabilities**3 / (probabilities**3).sum(1, keepdims=True)
    assert calibration_error(sharpened, labels) > 2 * error_if_calibrated(sharpened)[1][1]


def test_chance_gives_less_error_on_more_faces() -> None:
    means = [error_if_calibrated(answers(n)[0])[0] for n in (250, 1000, 4000)]
    assert means[0] / means[1] == pytest.approx(2, rel=0.2)
    assert means[1] / means[2] == pytest.approx(2, rel=0.2)


def test_bins_add_up_to_the_calibration_error() -> None:
    probabilities, labels = answers(500)
    bins = reliability_bins(probabilities, labels)
    assert bins.counts.sum() == 500
    gaps = np.nan_to_num(np.abs(bins.confidence - bins.accuracy))
    assert (gaps * bins.counts).sum() / 500 == pytest.approx(calibration_error(probabilities, labels))


def test_curves_and_their_areas() -> None:
    """The ROC area is the chance that a face of the class gets more than another: Mann and Whitney's U."""
    probabilities, labels = answers(400)
    for k in range(3):
        mine = labels == k
        curve, other = roc(probabilities, labels, k), precision_recall(probabilities, labels, k)
        assert curve and other
        u = mannwhitneyu(probabilities[mine, k], probabilities[~mine, k]).statistic
        assert curve.area == pytest.approx(u / (mine.sum() * (~mine).sum()))
        assert other.area == pytest.approx(average_precision_score(mine, probabilities[:, k]))
        for line in (curve, other):
            assert (np.diff(line.x) >= 0).all()
            assert (line.x[0], line.x[-1]) == (0, 1)


def test_curves_of_a_class_that_is_not_there() -> None:
    probabilities, labels = answers(50)
    assert roc(probabilities, np.zeros_like(labels), 0) is None
    assert precision_recall(probabilities, np.zeros_like(labels), 1) is None


def test_coverage_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7]])
    right_right_wrong_wrong = np.array([0, 1, 1, 0])  # by confidence 0.9, 0.8, 0.7, 0.6
    assert accuracy_by_coverage(probabilities, right_right_wrong_wrong).tolist() == [1, 1, 2 / 3, 0.5]
    half = selective_score(probabilities, right_right_wrong_wrong, 0.5)
    assert (half.n, half.accuracy, half.confidence) == (2, 1.0, 0.8)
    assert half.accuracy_ci95 == wilson(2, 2)


def test_coverage_does_not_depend_on_the_order_of_equally_sure_answers() -> None:
    probabilities = np.repeat([[0.7, 0.3]], 10, 0)
    labels = np.array([0] * 6 + [1] * 4)
    assert accuracy_by_coverage(probabilities, labels) == pytest.approx([0.6] * 10)
    assert accuracy_by_coverage(probabilities, labels[::-1]) == pytest.approx([0.6] * 10)


def test_leaving_the_unsure_to_a_person_helps_a_calibrated_model() -> None:
    probabilities, labels = answers(3000)
    accuracy = accuracy_by_coverage(probabilities, labels)
    assert accuracy[-1] == pytest.approx((probabilities.argmax(1) == labels).mean())
    assert accuracy[600] > accuracy[1500] > accuracy[-1] + 0.05


def test_scores_without_the_faces_seen_in_training() -> None:
    one = replace(evaluation(100), in_training=np.arange(100) < 30)
    without = scores_without_copies(one)
    rest = score(one.probabilities[30:], one.faces.labels[30:], CLASSES)
    assert without is not None
    assert vars(without) == vars(rest) | {"copies": 30}
    assert "30 faces excluded" in evaluation_text(record_of(one))
    assert record_of(evaluation()).without_copies is None
    assert record_of(replace(one, in_training=np.ones(100, bool))).without_copies is None


def test_no_copies_in_training_changes_nothing() -> None:
    text = evaluation_text(record_of(replace(evaluation(100), in_training=np.zeros(100, bool))))
    assert "excluding faces also in training: unchanged (there are none)" in text


def test_a_coverage_curve_ends_at_the_accuracy() -> None:
    probabilities, labels = answers(500)
    curve = coverage_curve(probabilities, labels)
    assert curve.coverage[-1] == 1
    assert curve.accuracy[-1] == pytest.approx((probabilities.argmax(1) == labels).mean())
    assert (curve.accuracy_ci95[:, 0] <= curve.accuracy).all()
    assert (curve.accuracy <= curve.accuracy_ci95[:, 1]).all()


def test_flip_is_reported_apart() -> None:
    faces = random_faces(30, CLASSES)
    model = Model(build("pooled", 3), "pooled", CLASSES)
    plain = evaluate(model, faces)
    both = with_flip(plain, model)
    mirrored = predict_proba(model, faces.images[:, :, ::-1].copy())
    assert both.flipped == pytest.approx((plain.probabilities + mirrored) / 2, abs=1e-6)
    assert np.array_equal(both.probabilities, plain.probabilities)
    before, after = record_of(plain), record_of(both)
    assert after.tta_flip is not None
    assert after.tta_flip.n == 30
    assert replace(after, tta_flip=None) == before


def test_a_symmetrical_face_is_answered_alike_flipped() -> None:
    faces = random_faces(10, CLASSES)
    symmetrical = Dataset(np.maximum(faces.images, faces.images[:, :, ::-1]), faces.labels, CLASSES, faces.paths)
    model = Model(build("pooled", 3), "pooled", CLASSES)
    both = with_flip(evaluate(model, symmetrical), model)
    assert both.flipped == pytest.approx(both.probabilities, abs=1e-6)


def test_metrics_hold_the_intervals(tmp_path: Path) -> None:
    one = evaluation()
    record_of(one).write(tmp_path)
    fields = json.loads((tmp_path / "metrics.json").read_text())
    for name in ("accuracy", "macro_precision", "macro_recall", "macro_f1"):
        low, high = fields["bootstrap_ci95"][name]
        assert low < fields[name] < high
    for label in CLASSES:
        low, high = fields["bootstrap_ci95"]["per_class"][label]["f1"]
        assert low < fields["per_class"][label]["f1"] < high
        assert 0 < fields["areas"][label]["roc"] < 1
    assert fields["at_80_coverage"]["n"] == 240


def test_evaluate_finds_the_faces_that_training_has_too(
    make_image: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of eight test faces two are also in training, one of them under another label."""
    for part, first in (("train", 0), ("val", 20), ("test", 40)):
        for i in range(8):
            make_image(tmp_path / "data" / part / "ab"[i % 2] / f"{i}.png", first + i)
    make_image(tmp_path / "data/test/a/0.png", 0)
    make_image(tmp_path / "data/test/b/1.png", 2)
    model = tmp_path / "model.safetensors"
    write_model(Model(build("pooled", 2), "pooled", ("a", "b")), model)
    here = ["--model", str(model), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"), "--json"]
    assert main(["evaluate", *here, "--tta", "flip"]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert (fields["without_copies"]["copies"], fields["without_copies"]["n"]) == (2, 6)
    assert fields["tta_flip"]["n"] == fields["n"] == 8
    assert main(["evaluate", *here, "--split", "train"]) == 0
    assert "without_copies" not in json.loads(capsys.readouterr().out)


def test_no_interval_is_flat() -> None:
    """30 faces of which none is named right say little of the next."""
    sure = intervals([[30, 0], [30, 0]], ("a", "b"))
    assert sure.per_class["a"].recall == pytest.approx((0.886, 1), abs=0.001)
    assert sure.per_class["b"].recall == pytest.approx((0, 0.114), abs=0.001)
    assert sure.per_class["b"].f1 == pytest.approx((0, 0.204), abs=0.001)

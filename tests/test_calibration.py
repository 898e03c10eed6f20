"""A temperature makes confidence mean what it says, and changes no answer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import FACES, lively

from mien.cli.app import main
from mien.data.dataset import Dataset
from mien.evaluate.calibration import calibrate, fit_temperature
from mien.models.files import read_model, write_model
from mien.models.model import predict_proba, softmax


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_that_labels_were_drawn_with_is_found(temperature: float) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 7))
    drawn = softmax(logits / temperature).cumsum(1) > rng.random((20_000, 1))
    assert fit_temperature(logits, drawn.argmax(1)) == pytest.approx(temperature, rel=0.04)


def test_labels_that_contradict_every_answer_stay_within_bounds() -> None:
    logits = np.eye(3)[[0, 1, 2]] * 5
    assert 0.04 < fit_temperature(logits, np.array([1, 2, 0])) <= 21
    assert 0.04 < fit_temperature(logits, np.array([0, 1, 2])) <= 21


def faces_as_named(count: int, spoiled: float) -> Dataset:
    """Faces labelled as `lively()` names them, but for a share."""
    model, rng = lively(), np.random.default_rng(1)
    images = FACES[rng.integers(0, len(FACES), count)]
    labels = predict_proba(model, images).argmax(1)
    labels = np.where(rng.random(count) < spoiled, rng.integers(0, 7, count), labels)
    return Dataset(images, labels.astype(np.int64), model.classes, tuple(f"a/{i}.png" for i in range(count)))


def test_calibrating_lowers_the_error_and_keeps_the_answers() -> None:
    overconfident = replace(lively(), temperature=0.05)
    faces = faces_as_named(600, spoiled=0.4)
    calibration = calibrate(overconfident, faces)
    assert calibration.n == 600
    assert calibration.error_after < calibration.error_before
    before, after = (predict_proba(model, FACES).argmax(1) for model in (overconfident, calibration.model))
    np.testing.assert_array_equal(before, after)


def test_the_command_writes_the_temperature(drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, target = tmp_path / "m.safetensors", tmp_path / "calibrated.safetensors"
    write_model(lively(), source)
    assert main(["calibrate", "--model", str(source), "--data", str(drawn), "--save-as", str(target)]) == 0
    assert f"temperature {read_model(target).temperature:.3f}" in capsys.readouterr().out
    assert read_model(source).temperature == 1

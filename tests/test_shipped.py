"""The models that come with Mien."""

from pathlib import Path

import pytest

from mien.data.sources import open_data
from mien.data.votes import join_split
from mien.emotions import EMOTIONS
from mien.evaluate import evaluate
from mien.models.files import SHIPPED, read_model

NAMES = ("base", "base-fer2013", "large", "tiny")
ON_VOTES = {"base": 0.861, "large": 0.871, "tiny": 0.858}  # README's figures for PublicTest
ON_LABELS = {"base-fer2013": 0.691, "large": 0.716}


def test_they_are_small() -> None:
    files = list(SHIPPED.iterdir())
    assert {file.name for file in files} == {*(f"{name}.onnx" for name in NAMES), "measured.json"}
    assert sum(file.stat().st_size for file in files) <= 16e6


@pytest.mark.parametrize("name", NAMES)
def test_they_carry_what_they_need(name: str) -> None:
    model = read_model(name)
    assert model.classes == EMOTIONS
    assert model.notes["recipe"] == name
    assert model.temperature != 1
    assert len(model.prior) == len(EMOTIONS)
    assert not any(note.startswith("/") or " /" in note for note in model.notes.values()), (
        "a path of somebody's machine"
    )


@pytest.mark.parametrize("name", ON_VOTES)
def test_readmes_agreement_with_the_votes(name: str, archive: Path) -> None:
    votes = archive.parent / "ferplus.csv"
    if not votes.exists():
        pytest.skip("no ferplus.csv beside the archive")
    split, _ = join_split(votes, open_data(archive))
    scores = evaluate(read_model(name), split.val).scores
    assert scores.n == 3_372
    assert scores.accuracy == pytest.approx(ON_VOTES[name], abs=0.001)


@pytest.mark.parametrize("name", ON_LABELS)
def test_readmes_accuracy_on_the_labels(name: str, archive: Path) -> None:
    scores = evaluate(read_model(name).answering("fer2013"), open_data(archive).val).scores
    assert scores.n == 3_589
    assert scores.accuracy == pytest.approx(ON_LABELS[name], abs=0.001)
